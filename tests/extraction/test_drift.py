"""Planted faults are found and named; sound states are not blamed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.extraction.foreign_files import ROWS, TEXTS, states, token_ids, write_requests
from tests.tiny import save_tiny_model
from w2sprobe.errors import InputError
from w2sprobe.extraction import import_activations
from w2sprobe.models import describe_model, load_base

LAYERS = (1, 2, 3)
Rows = list[torch.Tensor]  # (layers, tokens, width), one for each row


def change_weights(
    folder: Path, ends: tuple[str, ...], change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    weights = load_file(folder / "model.safetensors")
    chosen = [name for name in weights if name.endswith(ends)]
    assert chosen
    changed = {name: change(weights[name]) for name in chosen}
    save_file({**weights, **changed}, folder / "model.safetensors", {"format": "pt"})


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp(request.param) / "model"
    # large initial weights, so that blocks change the stream as much as trained ones do
    model = save_tiny_model(request.param, folder, initializer_range=0.3)
    # a norm with equal weights, as new ones are, does the same twice as once
    norms = ("model.norm.weight", "transformer.ln_f.weight")
    change_weights(folder, norms, lambda weight: weight * torch.linspace(0.5, 2, len(weight)))
    return model


@pytest.fixture(scope="module")
def rows(model: str) -> Rows:
    return states(model)


def parts_of_the_model(model: str) -> tuple[Rows, Rows, Callable[[torch.Tensor], torch.Tensor]]:
    """Output of the last block, output of block 1's MLP, and the final norm."""
    info = describe_model(model)
    network = load_base(info, "float32", torch.device("cpu"))
    blocks = network.layers if hasattr(network, "layers") else network.h
    norm = network.norm if hasattr(network, "norm") else network.ln_f
    last: Rows = []
    mlp: Rows = []

    def keep(into: Rows) -> Callable[..., None]:
        def hook(_: object, __: object, output: object) -> None:
            tensor = output[0] if isinstance(output, tuple) else output
            into.append(tensor.reshape(-1, info.hidden_size))

        return hook

    blocks[-1].register_forward_hook(keep(last))
    blocks[1].mlp.register_forward_hook(keep(mlp))
    with torch.inference_mode():
        for tokens in token_ids(model):
            network(tokens[None])
    return last, mlp, norm


def off_by_one(rows: Rows, model: str) -> Rows:
    return [row[[0, 0, 1, 2]] for row in rows]


def without_final_norm(rows: Rows, model: str) -> Rows:
    last, _, _ = parts_of_the_model(model)
    return [torch.cat([row[:3], end[None]]) for row, end in zip(rows, last, strict=True)]


def normed_twice(rows: Rows, model: str) -> Rows:
    _, _, norm = parts_of_the_model(model)
    with torch.inference_mode():
        return [torch.cat([row[:3], norm(row[3:])]) for row in rows]


def residual_apart(rows: Rows, model: str) -> Rows:
    _, mlp, _ = parts_of_the_model(model)
    return [
        torch.cat([row[:2], (row[2] - part)[None], row[3:]])
        for row, part in zip(rows, mlp, strict=True)
    ]


def only_the_branch(rows: Rows, model: str) -> Rows:
    _, mlp, _ = parts_of_the_model(model)
    return [torch.cat([row[:2], part[None], row[3:]]) for row, part in zip(rows, mlp, strict=True)]


def permuted(rows: Rows, model: str) -> Rows:
    """Each row's vector of the last token is another row's, as after a wrong unsort of a batch."""
    order = np.random.default_rng(0).permutation(len(rows))
    moved = []
    for row, other in zip(rows, order, strict=True):
        row = row.clone()
        row[:, -1] = rows[other][:, -1]
        moved.append(row)
    return moved


def shifted(rows: Rows, model: str) -> Rows:
    return [torch.roll(row, 1, dims=1) for row in rows]


def centred(rows: Rows, model: str) -> Rows:
    return [row - row.mean(dim=-1, keepdim=True) for row in rows]


FAULTS = [
    (off_by_one, "layer 2: .*it has the states of layer 1: layers are numbered one too high"),
    (without_final_norm, "layer 3: .*the final norm is missing"),
    (normed_twice, "layer 3: .*went through the final norm twice"),
    (permuted, "layer 1: .*the batch is permuted"),
    (shifted, "layer 1: .*1 token before the right position: positions are shifted"),
    (residual_apart, "layer 2: .*the residual stream without what block 1's mlp adds"),
    (only_the_branch, "layer 2: .*only what block 1's mlp returns"),
    (centred, "layer 1: .*lacks the mean over its width"),
]


def imported(folder: Path, model: str, rows: Rows, dtype: torch.dtype, **settings: object):
    write_requests(folder / "vllm", model, rows, LAYERS, dtype)
    arguments = {"model": model, "dataset": ROWS, "layers": LAYERS, **settings}
    return import_activations(folder / "vllm", folder / "store", **arguments)


@pytest.mark.parametrize(("fault", "said"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_faults_are_named(
    fault: Callable[[Rows, str], Rows], said: str, model: str, rows: Rows, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        imported(tmp_path, model, fault(rows, model), torch.float32)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "fault", [off_by_one, without_final_norm, permuted, shifted, residual_apart]
)
def test_faults_are_named_under_rounding(
    fault: Callable[[Rows, str], Rows], model: str, rows: Rows, tmp_path: Path
) -> None:
    said = dict(FAULTS)[fault]
    with pytest.raises(InputError, match=said):
        imported(tmp_path, model, fault(rows, model), torch.bfloat16)


@pytest.mark.parametrize("position", ["all", "mean", "first"])
@pytest.mark.parametrize("fault", [off_by_one, without_final_norm, residual_apart])
def test_faults_are_named_at_other_positions(
    fault: Callable[[Rows, str], Rows], position: str, model: str, rows: Rows, tmp_path: Path
) -> None:
    said = dict(FAULTS)[fault]
    with pytest.raises(InputError, match=said):
        imported(tmp_path, model, fault(rows, model), torch.float32, position=position)


def test_bytes_of_bfloat16_read_as_float16(model: str, rows: Rows, tmp_path: Path) -> None:
    write_requests(tmp_path / "vllm", model, rows, LAYERS, torch.bfloat16)
    for path in (tmp_path / "vllm").iterdir():
        tensors = load_file(path)
        tensors["hidden_states"] = tensors["hidden_states"].view(torch.float16)
        save_file(tensors, path)
    with pytest.raises(InputError, match="bytes of bfloat16, read as float16"):
        import_activations(
            tmp_path / "vllm", tmp_path / "store", model=model, dataset=ROWS, layers=LAYERS
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_sound_states_pass(dtype: torch.dtype, model: str, rows: Rows, tmp_path: Path) -> None:
    store = imported(tmp_path, model, rows, dtype)
    (run,) = store.manifest["runs"]
    drift = run["drift"]
    assert [layer["cause"] for layer in drift["layers"]] == ["", "", ""]
    worst = max(layer["relative_error"] for layer in drift["layers"])
    rounding = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 8e-3}[dtype]
    assert worst <= rounding
    assert drift["line"].startswith("16 rows computed again with transformers")


def test_a_fault_within_the_tolerance_is_found_if_another_reading_fits(tmp_path: Path) -> None:
    """Neighbouring layers of deep models differ by less than bfloat16 may drift."""
    llama = save_tiny_model("llama", tmp_path / "model")
    change_weights(
        tmp_path / "model", ("o_proj.weight", "down_proj.weight"), lambda weight: weight / 10
    )
    alike = states(llama)
    changes = [(row[2, -1] - row[1, -1]).norm() / row[1, -1].norm() for row in alike]
    assert 0.01 < max(changes) < 0.1
    write_requests(tmp_path / "vllm", llama, off_by_one(alike, llama), (1, 2), torch.bfloat16)
    with pytest.raises(InputError, match=r"layer 2: .*layers are numbered one too high"):
        import_activations(
            tmp_path / "vllm", tmp_path / "store", model=llama, dataset=ROWS, layers=(1, 2)
        )


def test_one_wrong_row_of_the_sample_is_enough(model: str, rows: Rows, tmp_path: Path) -> None:
    wrong = [*rows[:-1], -rows[-1]]
    with pytest.raises(InputError, match="no usual cause fits"):
        imported(tmp_path, model, wrong, torch.float32)
    assert len(wrong) == len(TEXTS)


def test_values_that_transformers_cannot_hold_do_not_fit(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    change_weights(tmp_path / "model", ("embed_tokens.weight",), lambda weight: weight * 1e7)
    write_requests(tmp_path / "vllm", model, states(model), (0,), torch.float32)
    arguments = {"model": model, "dataset": ROWS, "layers": (0,), "keep_drift": True}
    store = import_activations(tmp_path / "vllm", tmp_path / "store", dtype="float16", **arguments)
    (drift,) = store.manifest["runs"][0]["drift"]["layers"]
    assert drift["relative_error"] > 1e30
    assert drift["cosine"] == 0
