from pathlib import Path

import pytest

from tests.extraction.cases import ROWS
from tests.zoo import save_tiny
from w2sprobe import extract
from w2sprobe.errors import W2SProbeError
from w2sprobe.tokens import pad


def test_a_model_that_reads_other_rows_fails(
    llama: str, bert: str, tmp_path: Path, monkeypatch
) -> None:
    store = extract(llama, ROWS, tmp_path / "store")
    note = store.manifest["runs"][0]["self_test"]
    assert note["max_relative_difference"] <= note["tolerance"] == 1e-4
    assert (note["last_layer_is_normed"], note["padding_side"]) == (True, "right")
    encoder = extract(bert, ROWS, tmp_path / "other")
    assert encoder.manifest["runs"][0]["self_test"]["last_layer_is_normed"] is False

    def careless(rows, pad_id):
        batch = pad(rows, pad_id)
        return {**batch, "input_ids": batch["input_ids"].flip(0)}

    monkeypatch.setattr("w2sprobe.extraction.forward.pad", careless)
    with pytest.raises(W2SProbeError, match="in a batch and alone differ"):
        extract(llama, ROWS, tmp_path / "wrong")


def test_models_that_number_their_layers_differently_are_named(tmp_path: Path) -> None:
    model = save_tiny("mamba", tmp_path / "model")
    with pytest.warns(UserWarning, match=r"hidden_states\[0\] of MambaModel is not the embedding"):
        store = extract(model, [{"id": "a", "text": "w1 w2"}], tmp_path / "store")
    note = store.manifest["runs"][0]["self_test"]
    assert (note["whole_pass"], note["layer_0_is_embedding"]) == (True, False)
