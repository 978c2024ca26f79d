"""Files of every layout become the store that the model's own states would be."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cache.cases import contents
from tests.chats import CHATML, CHATS
from tests.extraction.foreign_files import (
    ROWS,
    last,
    states,
    token_ids,
    write_hooks,
    write_lmprobe,
    write_requests,
)
from tests.tiny import save_tiny_model
from w2sprobe.cache import ActivationStore, push_store
from w2sprobe.errors import InputError, StoreMismatch
from w2sprobe.extraction import audit_store, extract, import_activations, repair
from w2sprobe.models import describe_model, forget_models, load_base, load_tokenizer

LAYERS = (1, 2)


@pytest.fixture(scope="module")
def rows(llama: str) -> list[torch.Tensor]:
    return states(llama)


@pytest.fixture
def requests(llama: str, rows: list[torch.Tensor], tmp_path: Path) -> Path:
    write_requests(tmp_path / "vllm", llama, rows, LAYERS, torch.float32)
    return tmp_path / "vllm"


def check(store: ActivationStore, rows: list[torch.Tensor]) -> None:
    """The store holds the rows' last tokens bit for bit, and says that they are the model's."""
    assert store.ids.tolist() == [row["id"] for row in ROWS]
    assert store.layers == LAYERS
    for layer in LAYERS:
        np.testing.assert_array_equal(store.read(layer), last(rows, layer))
    (run,) = store.manifest["runs"]
    assert run["drift"]["n_rows"] == 16
    assert max(layer["relative_error"] for layer in run["drift"]["layers"]) < 1e-5
    assert store.verify() == []


def test_requests_of_vllm(requests: Path, llama: str, rows: list, tmp_path: Path) -> None:
    store = import_activations(
        requests, tmp_path / "store", model=llama, dataset=ROWS, layers=LAYERS, rows_per_shard=5
    )
    check(store, rows)


@pytest.mark.parametrize("left", [False, True], ids=["padded right", "padded left"])
def test_named_tensors_of_transformer_lens(
    left: bool, llama: str, rows: list, tmp_path: Path
) -> None:
    write_hooks(tmp_path / "cache", llama, rows, batch=7, left=left)
    store = import_activations(tmp_path / "cache", tmp_path / "store", model=llama, dataset=ROWS)
    check(store, rows)


@pytest.mark.parametrize("pooled", [False, True])
def test_caches_of_lmprobe(pooled: bool, llama: str, rows: list, tmp_path: Path) -> None:
    write_lmprobe(tmp_path / "cache", rows, pooled=pooled)
    store = import_activations(tmp_path / "cache", tmp_path / "store", model=llama, dataset=ROWS)
    check(store, rows)


def test_modules_of_nnsight_named_by_id(llama: str, rows: list, tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    for row, values in zip(ROWS, rows, strict=True):
        trace = {
            "model.layers.0.output": values[1][None].clone(),
            "model.layers.2.input": values[2][None].clone(),
            "model.layers.1.mlp.output": values[0][None].clone(),
        }
        save_file(trace, tmp_path / f"traces/{row['id']}.safetensors")
    store = import_activations(
        tmp_path / "traces", tmp_path / "store", model=llama, dataset=ROWS, match="name"
    )
    check(store, rows)


def write_matrix(path: Path, rows: list, kind: str) -> None:
    both = np.stack([last(rows, layer) for layer in LAYERS], axis=1)
    if kind == "npy":
        np.save(path / "all.npy", both)
    elif kind == "npz":
        np.savez(path / "all.npz", **{str(layer): last(rows, layer) for layer in LAYERS})
    elif kind == "safetensors":
        save_file({"states": torch.from_numpy(both)}, path / "all.safetensors")
    else:
        torch.save(torch.from_numpy(both[:10]), path / "a.pt")  # noqa: TID251 - what is imported
        torch.save(torch.from_numpy(both[10:]), path / "b.pt")  # noqa: TID251


@pytest.mark.parametrize("kind", ["npy", "npz", "safetensors", "pt"])
def test_matrices_with_ids(kind: str, llama: str, rows: list, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    write_matrix(tmp_path / "files", rows, kind)
    backwards = list(reversed(ROWS))
    store = import_activations(
        tmp_path / "files",
        tmp_path / "store",
        model=llama,
        dataset=backwards,
        layers=LAYERS,
        ids=[row["id"] for row in ROWS],
    )
    np.testing.assert_array_equal(store.read(2), last(rows, 2)[::-1])
    ordered = import_activations(
        tmp_path / "files",
        tmp_path / "ordered",
        model=llama,
        dataset=ROWS,
        layers=LAYERS,
        match="order",
    )
    check(ordered, rows)


def test_old_files_of_speculators(llama: str, rows: list, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number, (row, tokens) in enumerate(zip(rows, token_ids(llama), strict=True)):
        data = {
            "input_ids": tokens,
            "hidden_states": [row[1], row[2]],
            "loss_mask": torch.ones_like(tokens),
        }
        torch.save(data, tmp_path / f"data/data_{number}.pt")  # noqa: TID251 - what is imported
    store = import_activations(
        tmp_path / "data", tmp_path / "store", model=llama, dataset=ROWS, layers=LAYERS
    )
    check(store, rows)


@pytest.mark.parametrize("position", ["all", "mean", "first", "marker:the"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_positions_are_those_of_an_extraction(
    position: str, dtype: str, llama: str, tmp_path: Path
) -> None:
    chosen = [row for row in ROWS if " the" in row["text"] or not position.startswith("marker")]
    write_requests(tmp_path / "vllm", llama, states(llama, dtype), LAYERS, getattr(torch, dtype))
    settings = {"layers": LAYERS, "position": position}
    ours = extract(llama, chosen, tmp_path / "ours", dtype=dtype, **settings)
    store = import_activations(
        tmp_path / "vllm", tmp_path / "store", model=llama, dataset=chosen, dtype=dtype, **settings
    )
    assert store.dtype == dtype
    np.testing.assert_array_equal(store.offsets, ours.offsets)
    assert store.manifest["runs"][0]["rows_left_out"] == len(ROWS) - len(chosen)
    near = {"float32": 1e-4, "bfloat16": 5e-2}[dtype]  # ours were computed in batches
    for layer in LAYERS:
        np.testing.assert_allclose(store.read(layer), ours.read(layer), rtol=near, atol=near)
    assert store.origin(1) == ours.origin(1), "probes on one can be used on the other"


def test_without_a_task_rows_are_those_of_the_files(
    requests: Path, llama: str, rows: list, tmp_path: Path
) -> None:
    store = import_activations(requests, tmp_path / "store", model=llama, layers=LAYERS)
    assert store.ids.tolist() == [f"hs_{number}" for number in range(len(ROWS))]
    np.testing.assert_array_equal(store.read(1), last(rows, 1))
    assert store.manifest["runs"][0]["drift"]
    names = [f"row {number}" for number in range(len(ROWS))]
    named = import_activations(
        requests, tmp_path / "named", model=llama, layers=LAYERS, ids=names, position="all"
    )
    assert named.ids.tolist() == names
    assert named.offsets[-1] == sum(map(len, token_ids(llama)))


def test_importing_again_costs_nothing_and_adds_layers(
    llama: str, rows: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hooks(tmp_path / "cache", llama, rows, batch=7, left=False)
    source, target = tmp_path / "cache", tmp_path / "store"
    import_activations(source, target, model=llama, dataset=ROWS, layers="1")
    first = import_activations(source, target, model=llama, dataset=ROWS, layers="2")
    whole = import_activations(source, tmp_path / "whole", model=llama, dataset=ROWS)
    for layer in LAYERS:
        np.testing.assert_array_equal(first.read(layer), whole.read(layer))
    before = contents(target)
    monkeypatch.setattr("w2sprobe.extraction.importing.load_base", None)
    import_activations(source, target, model=llama, dataset=ROWS)
    assert contents(target) == before


def test_drift_is_refused_unless_it_is_to_be_kept(llama: str, rows: list, tmp_path: Path) -> None:
    torch.manual_seed(0)
    noisy = [row * (1 + 0.01 * torch.randn_like(row)) for row in rows]
    write_requests(tmp_path / "vllm", llama, noisy, LAYERS, torch.float32)
    arguments = {"model": llama, "dataset": ROWS, "layers": LAYERS}
    with pytest.raises(InputError, match=r"layer 1: relative error .*no usual cause") as caught:
        import_activations(tmp_path / "vllm", tmp_path / "store", **arguments)
    assert "--keep-drift" in str(caught.value)
    assert "--dtype bfloat16" in str(caught.value)
    assert not (tmp_path / "store").exists()
    kept = import_activations(tmp_path / "vllm", tmp_path / "store", keep_drift=True, **arguments)
    np.testing.assert_array_equal(kept.read(1), last(noisy, 1))
    assert kept.origin(1)["audit"] == "not enforced"
    with pytest.raises(StoreMismatch, match="audit"):
        import_activations(tmp_path / "vllm", tmp_path / "store", **arguments)
    unread = import_activations(tmp_path / "vllm", tmp_path / "other", audit_rows=0, **arguments)
    assert unread.manifest["runs"][0]["drift"] is None
    with pytest.raises(InputError, match="imported store"):
        repair(tmp_path / "other", ROWS)


def change(path: Path, **changed: torch.Tensor | None) -> None:
    tensors = {**load_file(path), **changed}
    save_file({name: value for name, value in tensors.items() if value is not None}, path)


def nan(folder: Path) -> None:
    hidden = load_file(folder / "hs_20.safetensors")["hidden_states"]
    hidden[-1, 1, 3] = float("nan")
    change(folder / "hs_20.safetensors", hidden_states=hidden)


def doubled(folder: Path) -> None:
    (folder / "again.safetensors").write_bytes((folder / "hs_3.safetensors").read_bytes())


def other_tokens(folder: Path) -> None:
    tokens = load_file(folder / "hs_4.safetensors")["token_ids"]
    change(folder / "hs_4.safetensors", token_ids=tokens + 1)


def narrow(folder: Path) -> None:
    for path in folder.iterdir():
        change(path, hidden_states=load_file(path)["hidden_states"][..., :-1].contiguous())


def another_type(folder: Path) -> None:
    hidden = load_file(folder / "hs_5.safetensors")["hidden_states"]
    change(folder / "hs_5.safetensors", hidden_states=hidden.half())


def integers(folder: Path) -> None:
    for path in folder.iterdir():
        change(path, hidden_states=load_file(path)["hidden_states"].double())


def chunk(folder: Path) -> None:
    hidden = load_file(folder / "hs_6.safetensors")["hidden_states"]
    change(folder / "hs_6.safetensors", hidden_states=hidden[1:].contiguous())


def cut_off(folder: Path) -> None:
    whole = (folder / "hs_7.safetensors").read_bytes()
    (folder / "hs_7.safetensors").write_bytes(whole[:-4])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "hs_2.safetensors").unlink(), "1 of 24 rows have no states.*r2"),
        (nan, "non-finite activations for ids 'r20'"),
        (doubled, "2 rows of files for id 'r3': 'again.safetensors', 'hs_3.safetensors'"),
        (other_tokens, "1 of 24 rows have no states.*r4"),
        (narrow, "states of width 31.*Allowed: 32"),
        (another_type, "a file of another kind.*float16.*hs_5"),
        (integers, "states in float64"),
        (chunk, "token ids or mask of shape.*hs_6"),
        (cut_off, "not a tensor file.*hs_7"),
    ],
)
def test_bad_files_are_refused_and_leave_nothing(
    damage: Callable[[Path], None], said: str, requests: Path, llama: str, tmp_path: Path
) -> None:
    damage(requests)
    with pytest.raises(InputError, match=said) as caught:
        import_activations(
            requests,
            tmp_path / "store",
            model=llama,
            dataset=ROWS,
            layers=LAYERS,
            rows_per_shard=2,
        )
    assert caught.value.exit_code == 2
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"layers": "9"}, "no layer 9"),
        ({"layers": "1,2,3"}, "2 layers in the file.*names 3"),
        ({"layers": "all"}, "2 layers in the file"),
        ({"match": "name"}, "rows have no states"),
        ({"match": "guess"}, "unknown match"),
        ({"ids": ["a", "b"]}, "2 ids for 24 rows"),
        ({"dataset": ROWS[:3], "match": "order"}, "24 rows in the files, 3 in the task"),
        ({"dataset": [{"id": 1, "text": "a film"}]}, "begins with .*the text of id '1' with 5, 6"),
        ({"dataset": list(reversed(ROWS)), "match": "order"}, "other tokens than the text of id"),
        ({"dataset": None, "position": "marker:the"}, "without a task"),
        ({"dtype": "int8"}, "unknown dtype"),
        ({"audit_rows": -1}, "audit_rows -1"),
    ],
)
def test_bad_arguments_are_refused_and_leave_nothing(
    arguments: dict, said: str, requests: Path, llama: str, tmp_path: Path
) -> None:
    given = {"model": llama, "dataset": ROWS, "layers": LAYERS, **arguments}
    with pytest.raises(InputError, match=said):
        import_activations(requests, tmp_path / "store", **given)
    assert not (tmp_path / "store").exists()


def test_vectors_of_rows_need_a_match_and_a_position(
    llama: str, rows: list, tmp_path: Path
) -> None:
    np.save(tmp_path / "all.npy", last(rows, 1))
    arguments = {"model": llama, "dataset": ROWS, "layers": "1"}
    with pytest.raises(InputError, match="no token ids that say which row is which"):
        import_activations(tmp_path / "all.npy", tmp_path / "store", **arguments)
    with pytest.raises(InputError, match="one vector per row"):
        import_activations(
            tmp_path / "all.npy", tmp_path / "store", match="order", position="all", **arguments
        )
    with pytest.raises(InputError, match="rows without texts"):
        import_activations(tmp_path / "all.npy", tmp_path / "store", model=llama, layers="1")
    assert not (tmp_path / "store").exists()
    store = import_activations(
        tmp_path / "all.npy", tmp_path / "store", model=llama, layers="1", audit_rows=0
    )
    assert store.ids[:2].tolist() == ["all-0", "all-1"]


def test_padding_without_a_mask_is_refused(llama: str, rows: list, tmp_path: Path) -> None:
    write_hooks(tmp_path / "cache", llama, rows, batch=30, left=False)
    file = tmp_path / "cache/batch_0.safetensors"
    change(file, attention_mask=None, tokens=None)
    with pytest.raises(InputError, match=r"vectors for .* tokens.*attention_mask"):
        import_activations(file, tmp_path / "store", model=llama, dataset=ROWS, match="order")


@pytest.mark.parametrize("position", ["assistant", "last-assistant"])
def test_conversations(position: str, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model", max_position_embeddings=256)
    tokenizer = load_tokenizer(model)
    tokenizer.chat_template = CHATML
    tokenizer.model_max_length = 256
    tokenizer.save_pretrained(model)
    forget_models()
    chats = [
        {"id": str(number), "messages": messages}
        for number, messages in enumerate(CHATS)
        if messages[-1]["role"] == "assistant"
    ]
    settings = {"layers": LAYERS, "position": position}
    ours = extract(model, chats, tmp_path / "ours", **settings)
    network = load_base(describe_model(model), "float32", torch.device("cpu"))
    (tmp_path / "vllm").mkdir()
    for number, row in enumerate(chats):
        read = tokenizer.apply_chat_template(row["messages"], return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            output = network(**read, output_hidden_states=True).hidden_states
        hidden = torch.stack([output[layer][0] for layer in LAYERS], dim=1)
        tensors = {"token_ids": read["input_ids"][0].clone(), "hidden_states": hidden.clone()}
        save_file(tensors, tmp_path / f"vllm/{number}.safetensors")
    store = import_activations(
        tmp_path / "vllm", tmp_path / "store", model=model, dataset=chats, **settings
    )
    np.testing.assert_array_equal(store.offsets, ours.offsets)
    np.testing.assert_allclose(store.read(2), ours.read(2), rtol=1e-4, atol=1e-4)
    if position == "assistant":
        np.testing.assert_array_equal(store.roles, ours.roles)


def test_what_a_store_without_texts_can_do(requests: Path, llama: str, tmp_path: Path) -> None:
    store = import_activations(requests, tmp_path / "store", model=llama, layers=LAYERS)
    with pytest.raises(StoreMismatch, match="other rows than the task"):
        audit_store(tmp_path / "store", ROWS)
    push_store(tmp_path / "store", tmp_path / "copy", card=True)
    assert "hs_0" in store.ids
    assert ActivationStore.open(tmp_path / "copy").verify() == []
