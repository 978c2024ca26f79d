from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.extraction.cases import ROWS, last_tokens_alone
from tests.tiny import CONFIGS, save_tiny_model
from w2sprobe import extract
from w2sprobe.errors import InputError, W2SProbeError
from w2sprobe.models import (
    forget_models,
    hidden_states,
)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_batched_equals_single_rows(architecture: str, side: str, tmp_path: Path) -> None:
    model = save_tiny_model(architecture, tmp_path / "model", padding_side=side)
    store = extract(model, ROWS, tmp_path / "store", batch_tokens=200)
    expected = last_tokens_alone(model)
    assert store.layers == (0, 1, 2, 3)
    assert store.ids.tolist() == [row["id"] for row in ROWS]
    for layer in store.layers:
        difference = np.linalg.norm(store.read(layer) - expected[layer], axis=1)
        assert (difference <= 1e-4 * np.linalg.norm(expected[layer], axis=1)).all()


def test_the_comparison_with_single_rows_can_fail(llama: str, tmp_path: Path) -> None:
    expected = last_tokens_alone(llama)
    other = last_tokens_alone(save_tiny_model("llama", tmp_path / "other", seed=1))
    assert np.linalg.norm(expected - other) > 1e-2 * np.linalg.norm(expected)


def test_running_out_of_memory_halves_the_batch(llama: str, tmp_path: Path, monkeypatch) -> None:
    whole = extract(llama, ROWS, tmp_path / "whole")
    sizes = []

    def scarce(network, batch, layers, reduce, **options):
        sizes.append(batch["input_ids"].numel())
        if sizes[-1] > limit:
            raise torch.OutOfMemoryError
        return hidden_states(network, batch, layers, reduce, **options)

    monkeypatch.setattr("w2sprobe.extraction.forward.hidden_states", scarce)
    limit = 130
    store = extract(llama, ROWS, tmp_path / "store")
    assert max(sizes) > limit
    for layer in whole.layers:
        np.testing.assert_allclose(store.read(layer), whole.read(layer), rtol=1e-4, atol=1e-5)
    limit = 3
    with pytest.raises(W2SProbeError, match="out of memory on one row"):
        extract(llama, ROWS, tmp_path / "never")


def test_values_beyond_the_stored_type_are_refused(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    narrow = extract(model, ROWS, tmp_path / "narrow", store_dtype="float16")
    wide = extract(model, ROWS, tmp_path / "wide")
    assert (narrow.dtype, wide.dtype) == ("float16", "float32")
    np.testing.assert_array_equal(narrow.read(2), wide.read(2).astype("f2").astype("f4"))
    weights = tmp_path / "model/model.safetensors"
    tensors = load_file(weights)
    tensors["model.embed_tokens.weight"] *= 1e7
    save_file(tensors, weights, metadata={"format": "pt"})
    forget_models()
    with pytest.raises(InputError, match=r"layer 0 holds .* which torch.float16 cannot"):
        extract(model, ROWS, tmp_path / "large", store_dtype="float16")
