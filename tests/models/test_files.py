import shutil
from pathlib import Path

import pytest

from tests.models.cases import weights_of
from tests.tiny import save_tiny_model
from w2sprobe.errors import InputError
from w2sprobe.models import describe_model


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    weights_of(model).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(
        InputError, match=r"pointer of Git LFS .*model\.safetensors.*`git lfs pull`"
    ):
        describe_model(model)


@pytest.mark.parametrize("kept", [4, 40, -100])
def test_a_cut_safetensors_file_is_named(kept: int, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    weights_of(model).write_bytes(weights_of(model).read_bytes()[:kept])
    with pytest.raises(InputError, match=r"model\.safetensors.* download complete"):
        describe_model(model)


def test_a_file_that_is_no_safetensors_file_is_named(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    weights_of(model).write_bytes(b"\x10" + b"\0" * 40)
    with pytest.raises(InputError, match=r"not a safetensors file in .*model\.safetensors"):
        describe_model(model)


def test_an_adapter_folder_is_no_model(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    shutil.copy(Path(model) / "config.json", Path(model) / "adapter_config.json")
    with pytest.raises(InputError, match="holds a PEFT adapter"):
        describe_model(model)
