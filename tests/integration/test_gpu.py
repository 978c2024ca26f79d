"""A GPU computes what the CPU computes, in float32 up to rounding.

The same tests run on the CPU, where they show that the tests themselves work.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.extraction.cases import ROWS, last_tokens_alone
from tests.tiny import save_tiny_model
from tests.training.cases import SETTINGS, TRAIN, TRUTH, VAL
from w2sprobe import extract
from w2sprobe.bench.measuring import synthetic_layer
from w2sprobe.extraction import forward
from w2sprobe.models import hidden_states, load_base, tokens_per_pass
from w2sprobe.models.describe import describe_model
from w2sprobe.probes import (
    AttentionProbe,
    LogisticProbe,
    MassMeanProbe,
    logistic_path,
    nearest_neighbors,
)
from w2sprobe.training.trainer import finetune

X, SOFT = synthetic_layer(600, 48)


@pytest.fixture(params=[pytest.param("cuda", marks=pytest.mark.gpu), "cpu"])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("architecture", ["llama", "bert", "gemma2"])
def test_hidden_states_are_those_of_single_rows_on_the_cpu(
    architecture: str, device: str, tmp_path: Path
) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    store = extract(model, ROWS, tmp_path / "store", device=device)
    for layer, expected in zip(store.layers, last_tokens_alone(model), strict=True):
        np.testing.assert_allclose(store.read(layer), expected, rtol=1e-3, atol=1e-4)


def test_a_batch_that_does_not_fit_is_halved(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    n_failures = 0

    def scarce(network, batch, *arguments, **options):
        nonlocal n_failures
        if batch["input_ids"].numel() > 100:
            n_failures += 1
            raise torch.OutOfMemoryError
        return hidden_states(network, batch, *arguments, **options)

    monkeypatch.setattr(forward, "hidden_states", scarce)
    # the self-test's single batch is halved, too
    store = extract(model, ROWS, tmp_path / "store", device=device, batch_tokens=512)
    assert n_failures
    np.testing.assert_allclose(store.read(3), last_tokens_alone(model)[3], rtol=1e-3, atol=1e-4)


def test_the_tokens_of_a_pass_follow_the_memory(device: str, tmp_path: Path) -> None:
    info = describe_model(save_tiny_model("llama", tmp_path / "model"))
    network = load_base(info, "float32", torch.device(device))
    assert tokens_per_pass(network, network.device) == (16_384 if device == "cuda" else 512)


def test_a_path_of_penalties_reaches_the_cpus_optimum(device: str) -> None:
    l2s = [1e-4, 1e-2, 1.0]
    coef, intercept = logistic_path(X, SOFT, l2s=l2s, device=device)
    expected, expected_intercept = logistic_path(X, SOFT, l2s=l2s, device="cpu")
    np.testing.assert_allclose(coef, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(intercept, expected_intercept, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("probe", [LogisticProbe, MassMeanProbe])
def test_predictions_are_the_cpus(probe: type, device: str) -> None:
    options = {"whiten": True} if probe is MassMeanProbe else {}
    p, expected = (
        probe(**options, device=on).fit(X, SOFT).predict_proba(X) for on in (device, "cpu")
    )
    np.testing.assert_allclose(p, expected, atol=1e-4)


def test_the_attention_probe_learns_the_same(device: str) -> None:
    offsets = np.arange(0, 601, 5)
    y = (np.add.reduceat(SOFT, offsets[:-1]) > 2.5).astype(float)
    p, expected = (
        AttentionProbe(device=on, steps=50).fit(X, y, offsets=offsets)
        .predict_proba(X, offsets=offsets)[:, 1]
        for on in (device, "cpu")
    )  # fmt: skip
    assert np.corrcoef(p, expected)[0, 1] > 0.99


@pytest.mark.parametrize("asked", ["medium", "highest"])
def test_neighbours_need_no_precision_from_outside(asked: str, device: str) -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(asked)
    try:
        found = nearest_neighbors(X, k=9, backend="torch")
    finally:
        torch.set_float32_matmul_precision(before)
    expected = nearest_neighbors(X, k=9, backend="symmetric")
    np.testing.assert_array_equal(found.indices, expected.indices)
    assert found.n_searched_again < len(X) / 10, "TF32 would fail most proofs"


def test_finetuning_takes_the_cpus_steps(device: str, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    one, other = (
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / name, SETTINGS, device=on)
        for name, on in (("one", device), ("other", "cpu"))
    )
    np.testing.assert_allclose(one.record["train_loss"], other.record["train_loss"], rtol=1e-2)
    np.testing.assert_allclose(
        one.predict(VAL).soft_label, other.predict(VAL).soft_label, atol=2e-2
    )


def test_finetuning_in_bfloat16_predicts_after_reloading(device: str, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SETTINGS.model_copy(update={"precision": "bfloat16", "micro_batch_tokens": 0})
    trained = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", settings, device=device)
    assert trained.record["micro_batch_tokens"] >= 512
    assert np.isfinite(trained.predict(VAL).soft_label).all()
