"""The parts themselves, at tiny sizes on the CPU; the 8B shape on the meta device."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.bench.device.cases import CPU
from w2sprobe.assets import is_fetched
from w2sprobe.bench.device import FULL, TINY, gpu_tests, model_parts, parts_of, probe_parts
from w2sprobe.bench.device.row import Row
from w2sprobe.bench.device.sizes import LLAMA_8B, LLAMA_TINY, SMOLLM2_135M
from w2sprobe.errors import MissingDependency
from w2sprobe.models import describe_model, hidden_states, parameters_of, read_config
from w2sprobe.training.classifiers import random_classifier
from w2sprobe.training.settings import TrainSettings

META = torch.device("meta")


@pytest.mark.parametrize("name", [part.name for part in parts_of(TINY) if part.name != "tests"])
def test_every_part_runs_and_agrees_with_its_check(name: str) -> None:
    (part,) = [part for part in parts_of(TINY) if part.name == name]
    rows = list(part.measure(CPU))
    assert rows
    for row in rows:
        assert row.agrees, row
        assert row.seconds > 0
        assert row.check or name == "limit"


def test_full_sizes_fit_into_eight_minutes_by_expectation() -> None:
    parts = parts_of(FULL)
    assert sum(part.seconds for part in parts) < 8 * 60
    assert len({part.name for part in parts}) == len(parts)
    wanted = {"limit", "tests", "search 100,000 x 4,096", "finetuning Llama of 8B shape"}
    assert wanted <= {part.name for part in parts}


def test_a_search_that_misses_neighbours_disagrees(monkeypatch: pytest.MonkeyPatch) -> None:
    real = probe_parts.nearest_neighbors

    def wrong(X, **options):
        found = real(X, **options)
        if options["backend"] == "torch":
            found.indices[:, -1] = found.indices[:, 0]
        return found

    monkeypatch.setattr(probe_parts, "nearest_neighbors", wrong)
    *_, by_torch = probe_parts.search(CPU, 200, 8, 5)
    assert not by_torch.agrees
    assert "NOT equal" in by_torch.check or "recall 0." in by_torch.check


def test_cuvs_is_measured_beside_ours_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def search(X: np.ndarray, k: int) -> np.ndarray:
        found: np.ndarray = probe_parts.nearest_neighbors(X, k=k).indices.copy()
        found[:, -1] = -1  # one of five
        return found

    monkeypatch.setattr(probe_parts, "_peers", lambda _: {"cuVS": search})
    *_, last = probe_parts.search(CPU, 400, 16, 5)
    assert last.name == "5 neighbours, 400 x 16, cuVS alone"
    assert last.check == "no proof; recall 0.800000"


@pytest.mark.parametrize(
    ("cuvs", "options", "expected"),
    [
        (None, "GPU AVX2", []),
        (object(), "GPU", ["cuVS"]),
        (None, "GPU NVIDIA_CUVS", ["FAISS with cuVS"]),
    ],
)
def test_peers_are_those_that_are_installed(
    cuvs: object, options: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = torch.device("cuda")
    faiss = SimpleNamespace(get_compile_options=lambda: options)
    monkeypatch.setattr(probe_parts, "has_faiss_gpu", lambda: True)
    monkeypatch.setattr(probe_parts, "import_faiss", lambda: faiss)
    monkeypatch.setattr(probe_parts.importlib.util, "find_spec", lambda _: cuvs)
    assert list(probe_parts._peers(gpu)) == expected
    assert probe_parts._backends(gpu) == ["faiss-gpu", "torch"]
    assert probe_parts._peers(CPU) == {}


def test_the_8b_shape_on_the_meta_device() -> None:
    network = model_parts.random_llama(LLAMA_8B, META)
    counts = parameters_of(network)
    # Llama-3-8B has 8,030,261,248 parameters, of which 128,256 x 4,096 are its output layer
    assert counts.total == 8_030_261_248 - 128_256 * 4096
    assert counts.blocks == counts.total - 128_256 * 4096 - 65 * 4096
    assert network.dtype == torch.bfloat16
    network.set_attn_implementation("eager")  # the other reads the values of the mask
    batch = {
        name: torch.ones(2, 50, dtype=torch.long, device=META)
        for name in ("input_ids", "attention_mask")
    }
    states = hidden_states(network, batch, range(33), lambda hidden: hidden[:, -1])
    assert {tuple(state.shape) for state in states.values()} == {(2, 4096)}
    assert len(states) == 33


def test_lora_on_the_8b_shape_trains_21_million_weights() -> None:
    config = model_parts.LlamaConfig(**LLAMA_8B, pad_token_id=0)
    model = random_classifier(config, TrainSettings(), precision="bfloat16", device=META)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    # rank 8, two matrices for each linear layer: 8 (rows + columns); and a head of two logits
    sides = 2 * (2 * 4096 + 4096 + 1024) + 3 * (4096 + 14_336)
    assert sum(weight.numel() for weight in trained) == 32 * 8 * sides + 2 * 4096
    assert {weight.dtype for weight in trained} == {torch.float32}


@pytest.mark.skipif(not is_fetched("smollm2-135m"), reason="needs smollm2-135m")
def test_the_small_shape_is_that_of_smollm2() -> None:
    config = read_config(describe_model("smollm2-135m").source)
    assert {name: getattr(config, name) for name in SMOLLM2_135M} == SMOLLM2_135M


def test_operations_are_those_of_the_weights_and_of_attention() -> None:
    network = model_parts.random_llama(LLAMA_TINY, CPU)
    rows = [np.ones(n, dtype=int) for n in (3, 5)]
    weights = 3 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)
    expected = 8 * weights + 3 * 32 * (9 + 25)
    assert model_parts._operations(network, LLAMA_TINY, rows) == expected


def test_states_that_are_not_finite_disagree(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self, input_ids, kept, layers):
        return {layer: np.full((len(kept), 4), 0x7F80, dtype=np.uint16) for layer in layers}

    real = model_parts.Extractor

    class Broken(real):
        states = broken

    monkeypatch.setattr(model_parts, "Extractor", Broken)
    (row,) = model_parts.extraction(CPU, "broken", LLAMA_TINY, TINY)
    assert not row.agrees


def test_the_gpu_tests_are_found_and_run_in_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcome() -> Row:
        (row,) = gpu_tests.gpu_tests(CPU)
        return row

    monkeypatch.setattr(gpu_tests, "ROOT", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu\n")
    with pytest.raises(MissingDependency, match="Run this in a checkout"):
        outcome()
    tests = tmp_path / "tests"
    tests.mkdir()
    head = "import pytest\n@pytest.mark.gpu\ndef test_one():\n    assert "
    (tests / "test_a.py").write_text(f"{head}1\n")
    (tests / "test_b.py").write_text("raise ValueError('never imported')\n")
    assert outcome().agrees
    assert outcome().check.startswith("1 passed")
    (tests / "test_a.py").write_text(f"{head}0\n")
    assert not outcome().agrees
    assert "FAILED tests/test_a.py::test_one" in outcome().check


def test_the_checkouts_own_gpu_tests_are_found() -> None:
    root = gpu_tests.ROOT
    marked = {
        str(file.relative_to(root))
        for file in (root / "tests").rglob("test_*.py")
        if gpu_tests.MARK in file.read_text(encoding="utf-8")
    }
    assert {"tests/integration/test_gpu.py", "tests/probes/test_backends.py"} <= marked
