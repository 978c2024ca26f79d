"""`w2sprobe predict` on small random models and a local file."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.tiny import save_tiny_model, sentences
from w2sprobe.cli import root
from w2sprobe.data import SPLIT_NAMES, Splits, SplitSizes, load_splits
from w2sprobe.errors import InputError, OutputError, UnknownName
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import performance
from w2sprobe.training.zero_shot import choose_shots, zero_shot

Run = Callable[..., Any]
SIZES = SplitSizes(16, 12, 8, 12)


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(root, [*arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task, a model and two runs of it."""
    folder = tmp_path_factory.mktemp("predict")
    texts = sorted(set(sentences(90, longest=6)))
    with (folder / "task.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows((text, index % 2) for index, text in enumerate(texts))
    model = save_tiny_model("llama", folder / "model")
    for seed in ("0", "1"):
        invoke(
            "train", "--model", model, "--task", str(folder / "task.csv"), "--sizes", "16,12,8,12",
            "--split", "weak_train", "--epochs", "1", "--batch-size", "8", "--learning-rate",
            "1e-2", "--precision", "float32", "--seed", seed, "--out", str(folder / seed),
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def splits(place: Path) -> Splits:
    return load_splits(str(place / "task.csv"), sizes=SIZES)


@pytest.fixture
def run(place: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(place)
    return lambda *arguments: invoke(
        "predict", "--task", "task.csv", "--sizes", "16,12,8,12", "--out", "p.parquet", *arguments
    )


def predicted() -> LabelTable:
    return LabelTable.read("p.parquet")


def test_a_run_predicts_every_row_as_training_did(run: Run, splits: Splits) -> None:
    result = json.loads(run("--model", "0", "--json"))
    table = predicted()
    assert table.ids.tolist() == [name for _, part in splits.items() for name in part.ids.tolist()]
    then = LabelTable.read("0/labels.parquet")
    np.testing.assert_allclose(table.align(then.ids).soft_label, then.soft_label, rtol=0, atol=1e-6)
    assert table.variance is None
    assert result["rows"] == 48
    assert set(result["auc"]) == set(SPLIT_NAMES)
    shown = run("--model", "0", "--split", "test,val")
    assert predicted().ids.tolist() == [*splits.test.ids.tolist(), *splits.val.ids.tolist()]
    found = result["performance"]["test"]
    assert (
        f"AUC against truth, test: {result['auc']['test']:.3f}; accuracy {found['accuracy']:.3f}, "
        f"log-loss {found['log_loss']:.3f}, Brier {found['brier']:.3f}, calibration error "
        f"{found['calibration_error']:.3f}" in shown
    )
    p = table.align(splits.test.ids).soft_label
    assert found == performance(splits.test.labels, p).model_dump(mode="json")
    assert "weak_train" not in shown


def test_several_runs_are_an_ensemble(run: Run) -> None:
    alone = []
    for folder in ("0", "1"):
        run("--model", folder)
        alone.append(predicted().soft_label)
    shown = run("--model", "0", "--model", "1")
    np.testing.assert_allclose(predicted().soft_label, np.mean(alone, axis=0), atol=1e-7)
    np.testing.assert_allclose(predicted().variance, np.var(alone, axis=0), atol=1e-7)
    assert "ensemble: mean" in shown
    assert "(members " in shown
    result = json.loads(run("--model", "0", "--model", "1", "--ensemble", "logit_mean", "--json"))
    odds = np.exp(np.mean([np.log(p / (1 - p)) for p in alone], axis=0))
    np.testing.assert_allclose(predicted().soft_label, odds / (1 + odds), atol=1e-7)
    assert len(result["auc_of_members"]) == 2
    assert result["mean_std"] == pytest.approx(np.std(alone, axis=0).mean(), rel=1e-3)


def test_zero_shot_and_examples_that_are_not_predicted(run: Run, splits: Splits) -> None:
    asking = ("--zero-shot", "--model", "model", "--answers", "bad,good", "--question", "is it")
    run(*asking)
    assert len(predicted()) == 48
    result = json.loads(run(*asking, "--shots", "2", "--json"))
    shots = choose_shots(splits.weak_train, 2)
    assert result["shots"] == shots.ids.tolist()
    table = predicted()
    assert len(table) == 46
    assert not set(shots.ids) & set(table.ids)
    options = {"shots": shots, "answers": ("bad", "good"), "question": "is it"}
    wanted = zero_shot("model", splits.test, **options)
    np.testing.assert_allclose(
        table.align(splits.test.ids).soft_label, wanted.soft_label, atol=1e-6
    )
    assert "2 rows of weak_train are examples" in run(*asking, "--shots", "2")
    assert json.loads(run(*asking, "--shots", "2", "--split", "val", "--json"))["rows"] == 8


def test_a_split_that_examples_use_up_has_no_auc(run: Run) -> None:
    asking = ("--zero-shot", "--model", "model", "--answers", "bad,good", "--shots", "2")
    asking += ("--sizes", "2,12,8,12")
    result = json.loads(run(*asking, "--json"))
    assert result["auc"]["weak_train"] is result["performance"]["weak_train"] is None
    assert result["auc"]["test"] is not None
    assert result["rows"] == 32
    assert "weak_train: undefined, as one class only is left" in run(*asking)


@pytest.mark.parametrize(
    ("arguments", "error", "part"),
    [
        (("--model", "model"), InputError, "It is a base model"),
        (("--model", "0", "--model", "gone"), InputError, "no run folder 'gone'"),
        (("--model", "0", "--shots", "2"), InputError, "--shots without --zero-shot"),
        (("--model", "0", "--question", "Is it?"), InputError, "--question without --zero-shot"),
        (("--model", "0", "--split", "test,tests"), UnknownName, "Did you mean 'test'"),
        (("--model", "0", "--split", "test,test"), InputError, "twice"),
        (("--zero-shot", "--model", "model", "--answers", "good"), InputError, "two words"),
        (("--zero-shot", "--model", "model", "--answers", "a,b,c"), InputError, "two words"),
        (("--zero-shot", "--model", "model", "--shots", "3"), InputError, "half of them"),
        (("--model", "0", "--out", "model"), OutputError, "it is a folder"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    run: Run, place: Path, arguments: tuple[str, ...], error: type[Exception], part: str
) -> None:
    (place / "p.parquet").unlink(missing_ok=True)
    with pytest.raises(error, match=part):
        run(*arguments)
    assert not (place / "p.parquet").exists()


def test_the_file_is_a_label_table(run: Run) -> None:
    run("--model", "0", "--split", "test")
    assert pq.read_schema("p.parquet").names == ["id", "soft_label", "keep"]
    run("--model", "0", "--model", "1", "--split", "test")
    assert pq.read_schema("p.parquet").names == ["id", "soft_label", "keep", "variance"]


def test_the_command_line_names_what_the_library_knows() -> None:
    from w2sprobe.cli import predict
    from w2sprobe.training.ensembles import HOW
    from w2sprobe.training.zero_shot import ANSWERS

    assert predict.HOW == HOW
    assert ",".join(SPLIT_NAMES) == predict.SPLITS
    (answers,) = (p for p in predict.command.params if p.name == "answers")
    assert answers.default == ",".join(ANSWERS)
