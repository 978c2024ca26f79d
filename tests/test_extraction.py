from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cache.cases import contents
from tests.tiny import CONFIGS, VOCABULARY, save_tiny_model, sentences
from tests.zoo import save_tiny
from w2sprobe import extract
from w2sprobe import fingerprint as fingerprint_module
from w2sprobe.errors import InputError, OutputError, StoreMismatch, W2SProbeError
from w2sprobe.extraction import plan_extraction, repair, store_identity
from w2sprobe.extraction.forward import Extractor
from w2sprobe.fingerprint import fingerprint
from w2sprobe.models import (
    blocks_of,
    describe_model,
    forget_models,
    hidden_states,
    load_base,
    load_tokenizer,
)
from w2sprobe.tokens import pad

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


def states_alone(model: str, row: int) -> torch.Tensor:
    info = describe_model(model)
    network, tokenizer = (
        load_base(info, "float32", torch.device("cpu")),
        load_tokenizer(info.source),
    )
    with torch.inference_mode():
        output = network(**tokenizer(TEXTS[row], return_tensors="pt"), output_hidden_states=True)
    return torch.stack([layer[0] for layer in output.hidden_states])


@pytest.mark.parametrize("architecture", ["llama", "bert"])
@pytest.mark.parametrize(
    ("position", "reduce"),
    [
        ("first", lambda states: states[:, 0]),
        ("mean", lambda states: states.mean(dim=1)),
        ("all", lambda states: states.flatten(0, 1).view(4, -1, 32)),
    ],
)
def test_positions(architecture: str, position: str, reduce, tmp_path: Path) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    store = extract(model, ROWS, tmp_path / "store", position=position, batch_tokens=100)
    assert store.ragged == (position == "all")
    for row in (0, 17, 39):
        expected = reduce(states_alone(model, row)).numpy()
        for layer in store.layers:
            found = store.read(layer, [row])
            np.testing.assert_allclose(
                found.squeeze(), expected[layer].squeeze(), rtol=1e-3, atol=1e-5
            )
    assert store.verify() == []


def test_markers(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    texts = ["the film was good and we liked it", "was it cold and it was warm and bad"]
    rows = [{"id": text[:3], "text": text} for text in texts]
    whole = extract(model, rows, tmp_path / "all", position="all")
    marker = extract(model, rows, tmp_path / "marker", position="marker:was")
    after = extract(model, rows, tmp_path / "after", position="after:was ")
    for row, at in enumerate((2, 5)):
        tokens = whole.read(2, [row])
        np.testing.assert_allclose(marker.read(2, [row])[0], tokens[at], rtol=1e-5)
        np.testing.assert_allclose(after.read(2, [row])[0], tokens[at + 1 :].mean(0), rtol=1e-4)
    with pytest.raises(InputError, match="'the'"):
        extract(model, rows, tmp_path / "none", position="after:liked it")


@pytest.mark.parametrize("architecture", CONFIGS)
def test_blocks_above_the_highest_layer_are_not_run(
    architecture: str, tmp_path: Path, monkeypatch
) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    network = load_base(describe_model(model), "float32", torch.device("cpu"))
    blocks, ran = blocks_of(network), []
    assert blocks is not None
    for number, block in enumerate(blocks):
        block.register_forward_hook(lambda *_, number=number: ran.append(number))
    batch = {name: torch.ones(2, 5, dtype=torch.int64) for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        found = hidden_states(network, batch, [0, 1], lambda hidden: hidden)
        assert (sorted(found), ran) == ([0, 1], [0])
        full = network(**batch, output_hidden_states=True).hidden_states
        torch.testing.assert_close(found[1], full[1])
        monkeypatch.setattr("w2sprobe.models.blocks_of", lambda _: None)
        other = hidden_states(network, batch, [1, 3], lambda hidden: hidden)
    torch.testing.assert_close(other[3], full[3])


def test_more_layers_are_added_and_fewer_are_read(tmp_path: Path, monkeypatch) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    whole = extract(model, ROWS, tmp_path / "whole", rows_per_shard=16)
    extract(model, ROWS, tmp_path / "grown", layers="1", rows_per_shard=16)
    computed = []
    real = Extractor.states
    monkeypatch.setattr(
        Extractor,
        "states",
        lambda self, ids, spans, layers, *rest: (
            computed.append(tuple(layers)) or real(self, ids, spans, layers, *rest)
        ),
    )
    grown = extract(model, ROWS, tmp_path / "grown", layers="1,3")
    assert computed[1:] == [(3,)] * 3  # the first is the self-test
    assert grown.layers == (1, 3)
    for layer in grown.layers:
        np.testing.assert_allclose(grown.read(layer), whole.read(layer), rtol=1e-5, atol=1e-6)
    computed.clear()
    extract(model, ROWS, tmp_path / "whole", layers="2")
    assert not computed


def test_running_out_of_memory_halves_the_batch(tmp_path: Path, monkeypatch) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    whole = extract(model, ROWS, tmp_path / "whole")
    sizes = []

    def scarce(network, batch, layers, reduce, **options):
        sizes.append(batch["input_ids"].numel())
        if sizes[-1] > limit:
            raise torch.OutOfMemoryError
        return hidden_states(network, batch, layers, reduce, **options)

    monkeypatch.setattr("w2sprobe.extraction.forward.hidden_states", scarce)
    limit = 130
    store = extract(model, ROWS, tmp_path / "store")
    assert max(sizes) > limit
    for layer in whole.layers:
        np.testing.assert_allclose(store.read(layer), whole.read(layer), rtol=1e-4, atol=1e-5)
    limit = 3
    with pytest.raises(W2SProbeError, match="out of memory on one row"):
        extract(model, ROWS, tmp_path / "never")


def test_what_does_not_fit_the_stored_type_is_refused(tmp_path: Path) -> None:
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


def test_values_that_are_not_finite_stop_the_extraction(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    weights = tmp_path / "model/model.safetensors"
    tensors = load_file(weights)
    tensors["model.embed_tokens.weight"][VOCABULARY["awful"]] = float("nan")
    save_file(tensors, weights, metadata={"format": "pt"})
    rows = [{"id": str(n), "text": text} for n, text in enumerate(["good", "bad awful", "cold"])]
    with pytest.raises(W2SProbeError, match="'1'"):
        extract(model, rows, tmp_path / "store")


def test_a_model_that_looks_at_other_rows_fails_the_self_test(tmp_path: Path, monkeypatch) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    store = extract(model, ROWS, tmp_path / "store")
    note = store.manifest["runs"][0]["self_test"]
    assert note["max_relative_difference"] <= note["tolerance"] == 1e-4
    assert (note["last_layer_is_normed"], note["padding_side"]) == (True, "right")
    bert = extract(save_tiny_model("bert", tmp_path / "bert"), ROWS, tmp_path / "other")
    assert bert.manifest["runs"][0]["self_test"]["last_layer_is_normed"] is False

    def careless(rows, pad_id):
        batch = pad(rows, pad_id)
        return {**batch, "input_ids": batch["input_ids"].flip(0)}

    monkeypatch.setattr("w2sprobe.extraction.forward.pad", careless)
    with pytest.raises(W2SProbeError, match="in a batch and alone differ"):
        extract(model, ROWS, tmp_path / "wrong")


def test_a_plan_measures_and_writes_nothing(tmp_path: Path, monkeypatch) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    plan = plan_extraction(model, ROWS, tmp_path / "store", layers="1,2")
    assert plan.disk_bytes == len(ROWS) * 2 * 32 * 4
    assert plan.rows_per_second > 0 < plan.seconds
    assert not (tmp_path / "store").exists()
    monkeypatch.setattr("w2sprobe.extraction.disk.free_bytes", lambda _: 1000)
    for function in (plan_extraction, extract):
        with pytest.raises(OutputError, match="are free"):
            function(model, ROWS, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_repair_computes_only_what_is_damaged(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    extract(model, ROWS, tmp_path / "store", rows_per_shard=16)
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


def test_another_tokenizer_is_another_address(tmp_path: Path) -> None:
    identities = []
    for change in ("", "tokenizer", "weights"):
        model = save_tiny_model("llama", tmp_path / f"model{change}", seed=change == "weights")
        if change == "tokenizer":
            path = Path(model) / "tokenizer.json"
            path.write_text(path.read_text().replace('"never"', '"always"'))
        identities.append(store_identity(describe_model(model), ["a"], ["good film"]))
    identities.append(
        store_identity(describe_model(str(tmp_path / "model")), ["a"], ["good films"])
    )
    assert len({fingerprint(identity) for identity in identities}) == 4


def test_the_hash_of_large_weights_is_remembered_until_they_change(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("W2SPROBE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("w2sprobe.models.describe.REMEMBER_BYTES", 1000)
    model = Path(save_tiny_model("llama", tmp_path / "model"))
    hashed = []
    real = fingerprint_module.sha256_file
    monkeypatch.setattr(
        "w2sprobe.models.describe.sha256_file", lambda file: hashed.append(file.name) or real(file)
    )

    def identity() -> dict:
        forget_models()
        return describe_model(str(model)).identity

    first = identity()
    assert "model.safetensors" in hashed
    hashed.clear()
    assert identity() == first
    assert "model.safetensors" not in hashed
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (model / "model.safetensors").write_bytes(data)
    assert identity()["weights"] != first["weights"]


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
    monkeypatch.setattr("w2sprobe.extraction.request.load_base", None)  # calling it would raise
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
        ({"position": "middle"}, ["'middle'", "last"]),
        ({"position": "marker:"}, ["'marker:'", "marker:TEXT"]),
        ({"position": "marker:zebra"}, ["zebra", "'r0'"]),
        ({"dtype": "float8"}, ["'float8'", "bfloat16"]),
        ({"device": "quantum"}, ["'quantum'", "cuda"]),
        ({"dataset": []}, ["no rows in the dataset"]),
        ({"dataset": [{"id": "a"}]}, ["no column 'text'", "found 'id'"]),
        ({"dataset": [ROWS[0], {"id": "a"}]}, ["text is absent", "row 2"]),
        ({"dataset": [ROWS[0], {"id": "a", "text": "half \ud800"}]}, ["surrogate", "row 2"]),
        ({"dataset": [ROWS[0], {"id": "half \ud800", "text": "a"}]}, ["surrogate", "row 2"]),
        ({"dataset": [ROWS[0], {"id": None, "text": "a"}]}, ["id is None", "row 2"]),
        ({"dataset": [ROWS[0], {"id": 1.0, "text": "a"}]}, ["id is 1.0", "row 2", "an integer"]),
        ({"dataset": [ROWS[0], ROWS[0]]}, ["doubled ids 'r0'"]),
        ({"dataset": ["good", "bad"]}, ["a str where a row should be", "row 1"]),
        ({"dataset": None}, ["None where rows should be"]),
        ({"dataset": "task.csv"}, ["a str where rows should be"]),
        ({"dataset": pd.DataFrame({"id": []})}, ["no column 'text'"]),
        ({"dataset": pd.DataFrame({"id": [], "text": []})}, ["no rows in the dataset"]),
        ({"dataset": pd.DataFrame({"id": ["a"], "text": [None]})}, ["text is ", "row 1"]),
        ({"dataset": {"id": ["a"], "text": ["b", "c"]}}, ["different length"]),
        (
            {"dataset": datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)})},
            ["tables 'train' where one should be", "tables['train']"],
        ),
        ({"model": 3}, ["model is a int", "str or Path"]),
        ({"layers": True}, ["True", "all, mid"]),
        ({"layers": []}, ["no layer []", "all, mid"]),
        ({"layers": np.array([1.0, 2.0])}, ["1.", "all, mid"]),
        ({"dataset": [{"id": "a", "text": "  "}]}, ["empty text '  '", "row 1"]),
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


TABLES = {
    "list": lambda: ROWS,
    "iterator": lambda: iter(ROWS),
    "numpy's strings": lambda: [
        {name: np.str_(cell) for name, cell in row.items()} for row in ROWS
    ],
    "dict of columns": lambda: {name: [row[name] for row in ROWS] for name in ROWS[0]},
    "dict of arrays": lambda: {name: np.array([row[name] for row in ROWS]) for name in ROWS[0]},
    "frame": lambda: pd.DataFrame(ROWS),
    "dataset": lambda: datasets.Dataset.from_list(ROWS),
    "streaming": lambda: datasets.Dataset.from_list(ROWS).to_iterable_dataset(),
    "arrow": lambda: pa.Table.from_pylist(ROWS),
}


def test_rows_of_every_kind_are_the_same_store(tmp_path: Path, monkeypatch) -> None:
    model = Path(save_tiny_model("llama", tmp_path / "model"))
    extract(model, ROWS, tmp_path / "store", layers=0.5)
    monkeypatch.setattr("w2sprobe.extraction.request.load_base", None)  # calling it would raise
    for kind, make in TABLES.items():
        assert extract(str(model), make(), tmp_path / "store", layers=np.int64(2)), kind
        assert plan_extraction(model, make(), tmp_path / "store", layers=[2]).seconds == 0, kind


def test_ids_that_are_integers_are_their_digits(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    frame = pd.DataFrame({"id": range(4), "text": TEXTS[:4]})
    store = extract(model, frame, tmp_path / "store", layers=range(1, 3))
    assert store.ids.tolist() == ["0", "1", "2", "3"]
    assert store.layers == (1, 2)
    path = tmp_path / "store/shards/00000.h5"
    path.write_bytes(path.read_bytes()[:-1])
    assert repair(tmp_path / "store", ({"id": i, "text": text} for i, text in enumerate(TEXTS[:4])))
    assert store.verify() == []


def test_truncation_is_asked_for_and_counted(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    rows = [*ROWS, {"id": "long", "text": "good " * 70}]
    with pytest.warns(UserWarning, match="1 of 41 texts were cut to 64 tokens"):
        store = extract(model, rows, tmp_path / "store", truncate=True)
    assert store.manifest["runs"][0]["n_truncated"] == 1


@pytest.mark.parametrize("side", ["left", "right"])
def test_positions_in_a_text_that_is_cut(side: str, tmp_path: Path) -> None:
    """They are those of its start, on whatever side the tokenizer was saved to cut."""
    model = save_tiny_model("llama", tmp_path / "model")
    tokenizer = load_tokenizer(model)
    tokenizer.truncation_side = side
    tokenizer.save_pretrained(model)
    text = "good " * 30 + "hotel " + "bad " * 20 + "hotel " + "bad " * 11 + "hotel " + "bad " * 8
    ids = tokenizer(text)["input_ids"]
    assert [at for at, token in enumerate(ids) if token == VOCABULARY["hotel"]] == [30, 51, 63]
    tokens = torch.tensor([ids[:60]])
    with torch.inference_mode():
        states = load_base(describe_model(model), "float32", torch.device("cpu"))(
            input_ids=tokens, output_hidden_states=True
        ).hidden_states[2][0]
    expected = {
        "last": states[59],
        "marker:hotel": states[51],
        "after:hotel": states[52:60].mean(dim=0),
        "marker:good hotel": states[30],
    }
    set_context(model, 60)
    for position, vector in expected.items():
        with pytest.warns(UserWarning, match="1 of 1 texts were cut to 60"):
            store = extract(
                model,
                [{"id": "a", "text": text}],
                tmp_path / position.replace(":", "-"),
                position=position,
                truncate=True,
            )
        np.testing.assert_allclose(store.read(2)[0], vector, rtol=1e-4, atol=1e-6)
    set_context(model, 20)
    with (
        pytest.warns(UserWarning, match="were cut to 20"),
        pytest.raises(InputError, match=r"no tokens at position .*before they are cut"),
    ):
        extract(
            model, [{"id": "a", "text": text}], tmp_path / "no", position="marker:hotel",
            truncate=True,
        )  # fmt: skip


def set_context(model: str, n_tokens: int) -> None:
    tokenizer = load_tokenizer(model)
    tokenizer.model_max_length = n_tokens
    tokenizer.save_pretrained(model)
    forget_models()


def test_layers_that_are_numbered_otherwise_are_told(tmp_path: Path) -> None:
    model = save_tiny("mamba", tmp_path / "model")
    with pytest.warns(UserWarning, match=r"hidden_states\[0\] of MambaModel is not the embedding"):
        store = extract(model, [{"id": "a", "text": "w1 w2"}], tmp_path / "store")
    note = store.manifest["runs"][0]["self_test"]
    assert (note["whole_pass"], note["layer_0_is_embedding"]) == (True, False)
