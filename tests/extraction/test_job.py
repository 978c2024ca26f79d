from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cache.cases import contents
from tests.extraction.cases import ROWS, last_tokens_alone
from tests.tiny import VOCABULARY, save_tiny_model
from w2sprobe import extract
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError, StoreMismatch, W2SProbeError
from w2sprobe.extraction import repair
from w2sprobe.extraction.forward import Extractor


class _Stopped(Exception):
    pass


def test_rows_that_raise_leave_nothing(llama: str, tmp_path: Path) -> None:
    def broken_rows():
        yield from ROWS[:3]
        raise _Stopped

    with pytest.raises(_Stopped):
        extract(llama, broken_rows(), tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_a_stopped_extraction_ends_as_if_it_had_never_stopped(
    llama: str, tmp_path: Path, monkeypatch
) -> None:
    whole = extract(llama, ROWS, tmp_path / "whole", rows_per_shard=16)
    real = Extractor.states

    def stop_in_the_last_shard(self, input_ids, *rest):
        if len(input_ids) == len(ROWS) % 16:
            raise _Stopped
        return real(self, input_ids, *rest)

    monkeypatch.setattr(Extractor, "states", stop_in_the_last_shard)
    with pytest.raises(_Stopped):
        extract(llama, ROWS, tmp_path / "store", rows_per_shard=16)
    with pytest.raises(InputError, match="1 of 3 shards missing"):
        ActivationStore.open(tmp_path / "store")
    monkeypatch.undo()
    assert extract(llama, ROWS, tmp_path / "store").layers == whole.layers
    assert contents(tmp_path / "store") == contents(tmp_path / "whole")


def test_more_layers_are_added_and_fewer_are_read(llama: str, tmp_path: Path, monkeypatch) -> None:
    whole = extract(llama, ROWS, tmp_path / "whole", rows_per_shard=16)
    extract(llama, ROWS, tmp_path / "grown", layers="1", rows_per_shard=16)
    computed = []
    real = Extractor.states
    monkeypatch.setattr(
        Extractor,
        "states",
        lambda self, ids, spans, layers, *rest: (
            computed.append(tuple(layers)) or real(self, ids, spans, layers, *rest)
        ),
    )
    grown = extract(llama, ROWS, tmp_path / "grown", layers="1,3")
    assert computed[1:] == [(3,)] * 3  # the first is the self-test
    assert grown.layers == (1, 3)
    for layer in grown.layers:
        np.testing.assert_allclose(grown.read(layer), whole.read(layer), rtol=1e-5, atol=1e-6)
    computed.clear()
    extract(llama, ROWS, tmp_path / "whole", layers="2")
    assert not computed


def test_values_that_are_not_finite_stop_the_extraction(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    weights = tmp_path / "model/model.safetensors"
    tensors = load_file(weights)
    tensors["model.embed_tokens.weight"][VOCABULARY["awful"]] = float("nan")
    save_file(tensors, weights, metadata={"format": "pt"})
    rows = [{"id": str(n), "text": text} for n, text in enumerate(["good", "bad awful", "cold"])]
    with pytest.raises(W2SProbeError, match="'1'"):
        extract(model, rows, tmp_path / "store")


def test_repair_computes_only_what_is_damaged(llama: str, tmp_path: Path) -> None:
    extract(llama, ROWS, tmp_path / "store", rows_per_shard=16)
    before = contents(tmp_path / "store")
    assert repair(tmp_path / "store", ROWS) == []
    shard = tmp_path / "store/shards/00001.h5"
    damaged = bytearray(shard.read_bytes())
    damaged[3000] ^= 4
    shard.write_bytes(damaged)
    with pytest.raises(StoreMismatch):
        repair(tmp_path / "store", ROWS[1:])
    assert shard.read_bytes() == damaged  # nothing deleted
    untouched = (tmp_path / "store/shards/00000.h5").stat().st_mtime_ns
    assert "shard 1" in repair(tmp_path / "store", ROWS)[0]
    assert contents(tmp_path / "store") == before
    assert (tmp_path / "store/shards/00000.h5").stat().st_mtime_ns == untouched


def test_bfloat16_is_kept_as_computed(llama: str, tmp_path: Path) -> None:
    store = extract(llama, ROWS, tmp_path / "store", dtype="bfloat16", layers="mid")
    assert (store.dtype, store.layers) == ("bfloat16", (1,))
    found = store.read(1)
    assert (torch.from_numpy(found).bfloat16().float().numpy() == found).all()
    expected = last_tokens_alone(llama, "bfloat16")[1]
    assert np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)


def test_a_finished_store_is_not_computed_again(bert: str, tmp_path: Path, monkeypatch) -> None:
    extract(bert, ROWS, tmp_path / "store")
    monkeypatch.setattr("w2sprobe.extraction.request.load_base", None)  # calling it would raise
    assert len(extract(bert, ROWS, tmp_path / "store")) == len(ROWS)


def test_another_store_in_the_folder_is_refused(llama: str, tmp_path: Path) -> None:
    extract(llama, ROWS, tmp_path / "store")
    other = save_tiny_model("llama", tmp_path / "other", seed=1)
    changed = [{**ROWS[0], "text": "never again"}, *ROWS[1:]]
    for arguments in ((other, ROWS), (llama, changed), (llama, ROWS[1:])):
        with pytest.raises(StoreMismatch):
            extract(*arguments, tmp_path / "store")


def test_truncation_is_requested_and_counted(llama: str, tmp_path: Path) -> None:
    rows = [*ROWS, {"id": "long", "text": "good " * 70}]
    with pytest.warns(UserWarning, match="1 of 41 texts were cut to 64 tokens"):
        store = extract(llama, rows, tmp_path / "store", truncate=True)
    assert store.manifest["runs"][0]["n_truncated"] == 1
