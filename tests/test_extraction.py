from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models import CONFIGS, save_tiny_model, sentences
from w2sprobe import extract
from w2sprobe.errors import InputError, StoreMismatch
from w2sprobe.models import describe_model, load_base, load_tokenizer

TEXTS = sentences(40)
ROWS = [{"id": f"r{number}", "text": text} for number, text in enumerate(TEXTS)]


def alone(model: str, dtype: str = "float32") -> np.ndarray:
    """(layers, rows, width): each row by itself, without padding."""
    info = describe_model(model)
    network, tokenizer = load_base(info, dtype, torch.device("cpu")), load_tokenizer(info.source)
    states = []
    for text in TEXTS:
        with torch.inference_mode():
            output = network(**tokenizer(text, return_tensors="pt"), output_hidden_states=True)
        states.append(torch.stack([layer[0, -1] for layer in output.hidden_states]).float())
    return torch.stack(states, dim=1).numpy()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_batched_equals_single_rows(architecture: str, side: str, tmp_path: Path) -> None:
    model = save_tiny_model(architecture, tmp_path / "model", padding_side=side)
    store = extract(model, ROWS, tmp_path / "store", batch_tokens=200)
    expected = alone(model)
    assert store.layers == (0, 1, 2, 3)
    assert store.ids.tolist() == [row["id"] for row in ROWS]
    for layer in store.layers:
        difference = np.linalg.norm(store.read(layer) - expected[layer], axis=1)
        assert (difference <= 1e-4 * np.linalg.norm(expected[layer], axis=1)).all()


def test_the_comparison_with_single_rows_can_fail(tmp_path: Path) -> None:
    expected = alone(save_tiny_model("llama", tmp_path / "model"))
    other = alone(save_tiny_model("llama", tmp_path / "other", seed=1))
    assert np.linalg.norm(expected - other) > 1e-2 * np.linalg.norm(expected)


def test_resumed_and_batched_otherwise_is_the_same_store(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    whole = extract(model, ROWS, tmp_path / "whole", rows_per_shard=16)
    with pytest.raises(_Killed):
        extract(model, _dies_after(ROWS), tmp_path / "broken")
    again = extract(model, ROWS, tmp_path / "again", rows_per_shard=16)
    assert again.manifest["address"] == whole.manifest["address"]
    for layer in whole.layers:
        np.testing.assert_array_equal(whole.read(layer), again.read(layer))


class _Killed(Exception):
    pass


def _dies_after(rows: list[dict[str, str]]):
    yield from rows[:3]
    raise _Killed


def test_bfloat16_is_kept_as_computed(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    store = extract(model, ROWS, tmp_path / "store", dtype="bfloat16", layers="mid")
    assert (store.dtype, store.layers) == ("bfloat16", (1,))
    found = store.read(1)
    assert (torch.from_numpy(found).bfloat16().float().numpy() == found).all()
    expected = alone(model, "bfloat16")[1]
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)


def test_an_open_store_is_not_computed_again(tmp_path: Path, monkeypatch) -> None:
    model = save_tiny_model("bert", tmp_path / "model")
    extract(model, ROWS, tmp_path / "store")
    monkeypatch.setattr("w2sprobe.extraction.load_base", None)  # calling it would raise
    assert len(extract(model, ROWS, tmp_path / "store")) == len(ROWS)


def test_other_rows_or_weights_are_not_mistaken_for_these(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    extract(model, ROWS, tmp_path / "store")
    other = save_tiny_model("llama", tmp_path / "other", seed=1)
    changed = [{**ROWS[0], "text": "never again"}, *ROWS[1:]]
    for arguments in ((other, ROWS), (model, changed), (model, ROWS[1:])):
        with pytest.raises(StoreMismatch):
            extract(*arguments, tmp_path / "store")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"model": "no/such-model-here"}, ["no/such-model-here", "minilm-l6", "local folder"]),
        ({"layers": "4"}, ["no layer 4", "0 to 3"]),
        ({"layers": "upper"}, ["'upper'", "all, mid"]),
        ({"position": "first"}, ["'first'", "last"]),
        ({"dtype": "float8"}, ["'float8'", "bfloat16"]),
        ({"device": "quantum"}, ["'quantum'", "cuda"]),
        ({"dataset": []}, ["without rows"]),
        ({"dataset": [{"id": "a"}]}, ["text is None", "row 1"]),
        ({"dataset": [{"id": "a", "text": "  "}]}, ["text is '  '", "row 1"]),
        ({"dataset": [{"id": "a", "text": "good " * 70}]}, ["70 tokens", "'a'", "up to 64"]),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    changes: dict, parts: list[str], tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    arguments = {"model": save_tiny_model("llama", tmp_path / "model"), "dataset": ROWS} | changes
    with pytest.raises(InputError) as caught:
        extract(path=tmp_path / "store", **arguments)
    for part in parts:
        assert part in str(caught.value)
    assert not (tmp_path / "store").exists()


def test_truncation_is_asked_for_and_counted(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    rows = [*ROWS, {"id": "long", "text": "good " * 70}]
    store = extract(model, rows, tmp_path / "store", truncate=True)
    assert store.manifest["report"]["n_truncated"] == 1
