"""`w2sprobe probe` on a small store."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.cli.cases import STORE
from tests.cli.cases import run as shown_by
from tests.probing.cases import labels, store_in
from w2sprobe.cache import ActivationStore
from w2sprobe.cli import root
from w2sprobe.curation import filter_by_disagreement
from w2sprobe.data import SplitSizes, load_splits, truth_table
from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.models import describe_model, forward_flops, load_tokenizer
from w2sprobe.probes import LogisticProbe, MassMeanProbe
from w2sprobe.tokens import tokenize

LAYER = 2


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    store_in(tmp_path / "store")
    labels().write("labels.parquet")
    return tmp_path


def run(*arguments: str) -> Result:
    given = ["probe", *arguments, "--store", "store", "--labels", "labels.parquet"]
    return CliRunner().invoke(root, [*given, "--layers", str(LAYER), "--out", "out.parquet"])


@pytest.mark.parametrize(
    ("name", "probe"), [("logistic", LogisticProbe()), ("mass-mean", MassMeanProbe())]
)
@pytest.mark.parametrize(
    ("options", "cv"), [((), None), (("--cv", "3"), 3), (("--cv", "in-sample"), "in-sample")]
)
def test_filters_use_held_out_predictions(
    folder: Path, name: str, probe: object, options: tuple[str, ...], cv: object
) -> None:
    done = run(name, "filter", "--contamination", "0.2", *options)
    assert done.exit_code == 0, done.output
    given, kept = LabelTable.read("labels.parquet"), LabelTable.read("out.parquet")
    store = ActivationStore.open(folder / "store")
    X = store.read(LAYER, store.rows_of(given.ids))
    expected = filter_by_disagreement(probe, X, given.soft_label, contamination=0.2, cv=cv)
    np.testing.assert_array_equal(kept.align(given.ids).keep, expected)


@pytest.mark.parametrize("folds", ["1", "0", "x", "2.5", "-3"])
def test_bad_folds(folder: Path, folds: str) -> None:
    done = run("logistic", "filter", f"--cv={folds}")
    assert isinstance(done.exception, InputError)
    assert f"--cv is {folds!r}" in str(done.exception)
    assert "in-sample" in str(done.exception)
    assert not (folder / "out.parquet").exists()


def test_predictions_are_held_out(folder: Path) -> None:
    done = run("logistic", "predict", "--cv", "in-sample")
    assert isinstance(done.exception, InputError)
    assert not (folder / "out.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "held_out", "part"),
    [
        (("knn", "predict"), "leave-one-out", "all rows ranked together"),
        (("knn", "predict", "--cv", "4"), "folds", "mean of the AUCs within folds"),
        (("knn", "relabel", "--cv", "in-sample"), "in-sample", "own labels included"),
        (("logistic", "relabel"), "folds", "mean of the AUCs within folds"),
    ],
)
def test_the_output_explains_the_auc_of_training_rows(
    folder: Path, arguments: tuple[str, ...], held_out: str, part: str
) -> None:
    shown, given = run(*arguments, "--k", "3"), run(*arguments, "--k", "3", "--json")
    assert part in shown.output
    summary = json.loads(given.stdout)
    assert summary["held_out"] == held_out
    (result,) = summary["results"]
    assert ("n_folds" in result) == (held_out == "folds")


def test_a_filter_has_no_auc(folder: Path) -> None:
    shown = run("knn", "filter", "--k", "3")
    assert "AUC" not in shown.output


def test_a_penalty_may_be_chosen(folder: Path) -> None:
    (result,) = json.loads(run("logistic", "predict", "--l2s", "auto", "--json").stdout)["results"]
    given, store = LabelTable.read("labels.parquet"), ActivationStore.open(folder / "store")
    X = store.read(LAYER, store.rows_of(given.ids))
    assert result["l2"] == LogisticProbe("auto").fit(X, given.soft_label).l2_
    assert "at edge" in run("logistic", "predict", "--l2s", "auto").output


def test_recall_at_few_false_alarms_and_operations_are_shown(inputs: Path) -> None:
    shown_by("extract", *STORE, "--layers", "2", "--sizes", "20,20,4,40")
    splits_options = ("--task", "task.csv", "--sizes", "20,20,4,40")
    splits = load_splits("task.csv", sizes=SplitSizes(20, 20, 4, 40))
    truth_table(splits.strong_train, splits.val, splits.test).write("truth.parquet")
    command = ("probe", "logistic", "--store", "shared/store", "--labels", "truth.parquet")
    options = (*command, *splits_options, "--layers", "2", "--out", "out.parquet")
    shown = shown_by(*options)
    assert "recall at FPR 0.05" in shown
    assert "0.001 needs 1,000" in shown
    (result,) = json.loads(shown_by(*options, "--json"))["results"]
    info = describe_model("model")
    n_tokens = ActivationStore.open("shared/store").manifest["runs"][0]["n_tokens"]
    texts = [*splits.strong_train.texts, *splits.val.texts, *splits.test.texts]
    ids = [str(number) for number in range(len(texts))]
    tokens = tokenize(load_tokenizer("model"), ids, texts, max_tokens=None)
    assert n_tokens == tokens.lengths.sum()
    expected = forward_flops(info, 2, n_tokens / len(texts))
    assert result["flops"] == {"probe": 2 * info.hidden_size, "forward": pytest.approx(expected)}
