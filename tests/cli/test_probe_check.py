"""`w2sprobe probe --save` and `w2sprobe probe check` on stores of a random model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.cli.cases import invoke, run
from w2sprobe.cache import ActivationStore
from w2sprobe.cli import _probe_check
from w2sprobe.data import SplitSizes, load_splits, truth_table
from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import TOLERANCE
from w2sprobe.probes import load_card, load_probe

TASK = ("--task", "task.csv", "--sizes", "4,30,4,50")
FIT = ("probe", "logistic", "--store", "store", "--labels", "truth.parquet", "--layers", "2")
KEEP = (*FIT, *TASK, "--out", "p.parquet", "--save", "probe")


def extract(store: str, *options: str, model: str = "model") -> None:
    run("extract", "--model", model, *TASK, "--layers", "2", "--store", store, *options)


@pytest.fixture
def work(inputs: Path) -> Path:
    splits = load_splits("task.csv", sizes=SplitSizes(4, 30, 4, 50))
    truth_table(splits.strong_train, splits.val, splits.test).write("truth.parquet")
    extract("store")
    return inputs


def test_a_probe_is_saved_with_its_card_and_checked(work: Path) -> None:
    shown = run(*KEEP, "--fpr", "0.2")
    assert "saved: probe, test AUC" in shown
    assert "threshold" in shown
    card, rows = load_card("probe")
    assert (card.training.name, card.training.n_rows) == ("task.csv", 30)
    assert (card.evaluation.on, card.evaluation.n_rows) == ("test", 50)
    assert "layer 2 of model" in Path("probe/README.md").read_text()
    test = rows.of("test")
    written = LabelTable.read("p.parquet").align(test.ids).soft_label
    np.testing.assert_allclose(test.p, written, atol=1e-6)
    load_probe("probe", origin=ActivationStore.open("store").origin(2))

    extract("rounded", "--dtype", "bfloat16")
    checked = invoke("probe", "check", "probe", "--store", "rounded", "--tolerance", "0.4")
    assert (checked.exit_code, "holds: AUC" in checked.output) == (0, True), checked.output
    assert "computed_in float32 -> bfloat16" in checked.output
    assert "false-positive rate at p >" in checked.output

    record = json.loads(run("probe", "check", "probe", "--store", "store", "--json"))
    assert (record["verdict"], record["auc_change"], record["rows"]["crossed"]) == ("holds", 0, 0)
    assert (record["differences"], record["n_rows"]) == ({}, 50)


def test_other_weights_are_found(work: Path) -> None:
    run(*KEEP)
    shutil.copytree("model", "other")
    file = Path("other/model.safetensors")
    weights = load_file(file)
    random = np.random.default_rng(0)
    noisy = {
        name: (value + random.normal(size=value.shape)).astype(value.dtype)
        for name, value in weights.items()
    }
    save_file(noisy, file, {"format": "pt"})
    extract("noisy", model="other")
    done = invoke("probe", "check", "probe", "--store", "noisy", "--json")
    record = json.loads(done.stdout)
    assert done.exit_code == (record["verdict"] != "holds")
    assert "model weights" in record["differences"]
    assert record["rows"]["largest"] > 0.05
    strict = invoke("probe", "check", "probe", "--store", "noisy", "--tolerance", "0")
    assert (strict.exit_code, strict.output.count("holds:")) == (1, 0)


def test_the_default_tolerance_is_the_library_s() -> None:
    (option,) = (p for p in _probe_check.command.params if p.name == "tolerance")
    assert option.default == TOLERANCE


def test_rows_can_be_named(work: Path) -> None:
    run(*KEEP)
    by_task = json.loads(run("probe", "check", "probe", "--store", "store", *TASK, "--json"))
    assert by_task["left_out"] == {
        "the probe was fitted on": 30,
        "not in the card's evaluation": 4,
    }
    labelled = ("--labels", "truth.parquet")
    by_file = json.loads(run("probe", "check", "probe", "--store", "store", *labelled, "--json"))
    assert by_file["n_rows"] == 50
    both = invoke("probe", "check", "probe", "--store", "store", *labelled, *TASK)
    assert (both.exit_code, "leave one out" in both.output) == (2, True)


def test_without_a_task_the_card_is_of_held_out_rows(work: Path) -> None:
    summary = json.loads(run(*FIT, "--out", "p.parquet", "--save", "probe", "--json"))
    evaluation = summary["saved"]["card"]["evaluation"]
    assert (evaluation["on"], evaluation["against"]) == ("cross-fit", "labels")
    assert evaluation["auc"] == summary["results"][0]["auc"]["labelled"]["labels"]
    done = invoke("probe", "check", "probe", "--store", "store")
    assert isinstance(done.exception, InputError)
    assert "--task or --labels" in str(done.exception)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ((*FIT, *TASK, "--out", "o", "--fpr", "0.1"), "name --save, too"),
        ((*KEEP[:2], "relabel", *KEEP[2:]), "not with relabel"),
        (("probe", "token-mean", *KEEP[2:]), "--position mean"),
        ((*KEEP, "--fpr", "0.001"), "rows of class 0"),
        ((*KEEP, "--fpr", "1"), "range"),
        ((*KEEP, "--l2s", "1,2"), "2 layers and hyperparameter values"),
        ((*KEEP[:-1], "store"), "exists already"),
    ],
)
def test_bad_options_write_nothing(work: Path, options: tuple[str, ...], part: str) -> None:
    done = invoke(*options)
    code = getattr(done.exception, "exit_code", done.exit_code)
    assert (code, part in f"{done.output} {done.exception}") == (2, True)
    assert not Path("probe").exists()
    assert not Path("p.parquet").exists()


def test_stores_of_another_input_are_refused(work: Path) -> None:
    run(*KEEP)
    extract("mean", "--position", "mean")
    for store, part in (("mean", "position 'mean'"), ("nothing", "no activation store")):
        done = invoke("probe", "check", "probe", "--store", store)
        assert isinstance(done.exception, InputError)
        assert part in str(done.exception)
