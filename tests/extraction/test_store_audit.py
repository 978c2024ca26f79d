from pathlib import Path

import pytest

from tests.extraction.cases import ROWS
from tests.tiny import save_tiny_model
from w2sprobe.errors import InputError, StoreMismatch
from w2sprobe.extraction import audit_store, extract


@pytest.mark.parametrize(
    "settings",
    [
        {"position": "last"},
        {"position": "all"},
        {"position": "mean", "store_dtype": "bfloat16"},
        {"generate": 3, "position": "all"},
    ],
)
def test_our_own_stores_pass(settings: dict, llama: str, tmp_path: Path) -> None:
    extract(llama, ROWS, tmp_path / "store", layers="1,3", **settings)
    drift = audit_store(tmp_path / "store", ROWS)
    assert not drift.problems
    assert drift.n_rows == 16
    assert [layer.layer for layer in drift.layers] == [1, 3]


def test_a_store_of_an_encoder_passes(bert: str, tmp_path: Path) -> None:
    extract(bert, ROWS, tmp_path / "store", position="mean")
    assert not audit_store(tmp_path / "store", ROWS).problems


def test_the_states_of_another_model_do_not_pass(llama: str, tmp_path: Path) -> None:
    other = save_tiny_model("llama", tmp_path / "other", seed=1)
    extract(llama, ROWS, tmp_path / "store", layers="1,3")
    drift = audit_store(tmp_path / "store", ROWS, model=other, audit_rows=5)
    assert [layer.layer for layer in drift.problems] == [1, 3]
    assert {layer.cause for layer in drift.problems} == {""}
    assert drift.n_rows == 5
    assert all("no usual cause fits" in line for line in drift.problem_lines())


def test_other_rows_and_other_widths_are_refused(llama: str, tmp_path: Path) -> None:
    extract(llama, ROWS, tmp_path / "store", layers="1")
    with pytest.raises(StoreMismatch, match="other rows than the task"):
        audit_store(tmp_path / "store", ROWS[:-1])
    wide = save_tiny_model("llama", tmp_path / "wide", hidden_size=64)
    with pytest.raises(StoreMismatch, match="width"):
        audit_store(tmp_path / "store", ROWS, model=wide)
    flat = save_tiny_model("llama", tmp_path / "flat", num_hidden_layers=1)
    extract(llama, ROWS, tmp_path / "high", layers="3")
    with pytest.raises(InputError, match="no layer 3"):
        audit_store(tmp_path / "high", ROWS, model=flat)
