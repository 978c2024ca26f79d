"""Caches that TransformerLens, nnsight and lmprobe make, where they are installed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.extraction.foreign_files import ROWS, TEXTS, last, states, token_ids
from w2sprobe.errors import InputError
from w2sprobe.extraction import import_activations

LAYERS = (0, 1, 2, 3)  # layer 3 follows the final norm
# of these packages, at import and in use
pytestmark = pytest.mark.filterwarnings("ignore")


def check(
    folder: Path,
    model: str,
    tmp_path: Path,
    layers: tuple[int, ...] = LAYERS,
    **settings: str,
) -> None:
    store = import_activations(
        folder, tmp_path / "store", model=model, dataset=ROWS, layers=layers, **settings
    )
    for layer in layers:
        np.testing.assert_allclose(store.read(layer), last(states(model), layer), atol=1e-5)
    assert store.manifest["runs"][0]["drift"]["n_rows"] == 16


def test_transformer_lens(llama: str, tmp_path: Path) -> None:
    bridges = pytest.importorskip("transformer_lens.model_bridge")
    bridge = bridges.TransformerBridge.boot_transformers(
        llama,
        device="cpu",
        hf_model=AutoModelForCausalLM.from_pretrained(llama),
        tokenizer=AutoTokenizer.from_pretrained(llama),
    )
    (tmp_path / "caches").mkdir()
    for number, tokens in enumerate(token_ids(llama)):
        _, cache = bridge.run_with_cache(tokens[None])
        tensors = {
            name: value.detach().clone()
            for name, value in cache.items()
            if isinstance(value, torch.Tensor)
        }
        save_file({**tensors, "tokens": tokens[None]}, tmp_path / f"caches/{number}.safetensors")
    check(tmp_path / "caches", llama, tmp_path)


def test_nnsight(llama: str, tmp_path: Path) -> None:
    nnsight = pytest.importorskip("nnsight")
    model = nnsight.TransformersModel(
        llama, task="text-generation", device_map="cpu", dispatch=True, dtype=torch.float32
    )
    (tmp_path / "caches").mkdir()
    for row in ROWS:
        with model.trace(row["text"]) as tracer:
            cache = tracer.cache()
        tensors = {
            name: value.clone()
            for name in cache.keys()  # noqa: SIM118 - not a dict
            if isinstance(value := cache[name].output, torch.Tensor)
        }
        save_file(tensors, tmp_path / f"caches/{row['id']}.safetensors")
    check(tmp_path / "caches", llama, tmp_path, match="name")


@pytest.mark.parametrize("pooled", [False, True])
def test_lmprobe(pooled: bool, llama: str, tmp_path: Path) -> None:
    caches = pytest.importorskip("lmprobe.unified_cache")
    pytest.importorskip("lmprobe.cache").set_cache_backend(str(tmp_path / "cache"))
    cache = caches.UnifiedCache(llama, layers=[0, 1, 2], device="cpu", cache_pooled=pooled)
    cache.warmup(TEXTS)
    (folder,) = (tmp_path / "cache").iterdir()
    check(folder, llama, tmp_path, (1, 2))
    with pytest.raises(InputError, match="the final norm is missing"):
        import_activations(folder, tmp_path / "all", model=llama, dataset=ROWS)
