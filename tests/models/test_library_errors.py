from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.models.cases import weights_of
from tests.tiny import save_tiny_model
from w2sprobe import extract
from w2sprobe.errors import InputError


def test_a_cut_pickled_checkpoint_is_refused(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    torch.save(load_file(weights_of(model)), tmp_path / "model/pytorch_model.bin")  # noqa: TID251
    weights_of(model).unlink()
    whole = (tmp_path / "model/pytorch_model.bin").read_bytes()
    (tmp_path / "model/pytorch_model.bin").write_bytes(whole[:-200])
    with pytest.raises(InputError, match=r"weights of model .* cannot be loaded"):
        extract(model, [{"id": "a", "text": "good"}], tmp_path / "store")
