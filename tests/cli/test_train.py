"""`w2sprobe train` on a small random model and a local file."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.tiny import WORDS, save_tiny_model, sentences
from w2sprobe.cli import root
from w2sprobe.data import SplitSizes, load_splits, truth_table
from w2sprobe.errors import OutputError
from w2sprobe.labels import LabelTable
from w2sprobe.training.saved import SavedModel
from w2sprobe.training.settings import STOPPING_RULES

Train = Callable[..., str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    with (folder / "task.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        texts = sorted(set(sentences(90, longest=6)))
        rows.writerows((text, index % 2) for index, text in enumerate(texts))
    save_tiny_model("llama", folder / "model")
    return folder


@pytest.fixture
def train(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(
            root,
            [
                *("train", "--model", str(place / "model"), "--task", str(place / "task.csv")),
                *("--sizes", "16,12,8,12", "--epochs", "1", "--batch-size", "4"),
                *("--learning-rate", "1e-2", "--precision", "float32", *arguments),
            ],
            catch_exceptions=False,
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


def test_a_run_leaves_weights_record_and_predictions(train: Train) -> None:
    result = json.loads(train("--out", "run", "--json"))
    assert set(result) == {
        *("out", "model", "trained_on", "rows_kept", "chosen_epoch", "early_stopping"),
        *("auc", "performance", "warnings"),
    }
    assert result["rows_kept"] == 12
    assert set(result["performance"]) == set(result["auc"]) == {"weak_train", "val", "test"}
    left = {path.name for path in Path("run").iterdir()}
    assert left == {"adapter", "validation.parquet", "training.json", "labels.parquet"}
    assert len(LabelTable.read("run/labels.parquet")) == 16 + 8 + 12, "all but strong_train"


def test_scores_are_shown(train: Train) -> None:
    shown = train("--out", "run")
    assert "run: trained on 12 of 12 rows of strong_train, epoch 1.0 kept by soft_auc" in shown
    assert re.search(r"AUC against truth, test: 0\.\d{3}; accuracy 0\.\d{3}, log-loss 0\.", shown)


@pytest.fixture(scope="module")
def rankings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task that is easily learned, and two tables of labels that rank its rows as truth does."""
    folder = tmp_path_factory.mktemp("rankings")
    save_tiny_model("llama", folder / "model")
    plain = [word for word in WORDS if word not in ("good", "bad")]
    rng = np.random.default_rng(0)
    words = [[*rng.choice(plain, 3), ("bad", "good")[row % 2]] for row in range(200)]
    texts = sorted({" ".join(rng.permutation(parts)) for parts in words})
    truth = ["good" in text.split() for text in texts]
    with (folder / "task.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows([("text", "label"), *zip(texts, map(int, truth), strict=True)])
    splits = load_splits(str(folder / "task.csv"), sizes=SplitSizes(2, 60, 24, 60))
    known = truth_table(splits.strong_train, splits.val)
    for name, low in (("across", 0.4), ("below", 0.2)):
        LabelTable(known.ids, low + 0.2 * known.soft_label).write(folder / f"{name}.parquet")
    return folder


def learn(place: Path, labels: str, rule: str, *more: str) -> Result:
    return CliRunner().invoke(
        root,
        [
            *("train", "--model", str(place / "model"), "--task", str(place / "task.csv")),
            *("--labels", str(place / f"{labels}.parquet"), "--early-stopping", rule),
            *("--sizes", "2,60,24,60", "--epochs", "6", "--batch-size", "8"),
            *("--learning-rate", "2e-2"),
            *("--precision", "float32", "--out", f"{labels}-{rule}", *more),
        ],
        catch_exceptions=False,
    )


@pytest.mark.filterwarnings("ignore:early stopping by auc is undefined")
@pytest.mark.parametrize("rule", STOPPING_RULES)
def test_labels_on_one_side_of_one_half_teach_as_well_as_others(
    rule: str, rankings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = {}
    for labels in ("across", "below"):
        done = learn(rankings, labels, rule, "--json")
        assert done.exit_code == 0, done.output
        found[labels] = json.loads(done.stdout)
        assert found[labels]["auc"]["test"] > 0.95
        assert found[labels]["early_stopping"] == rule
    undefined = rule == "auc"
    for labels, warned in (("across", False), ("below", undefined)):
        record = json.loads(Path(f"{labels}-{rule}/training.json").read_text())
        assert record["val_auc"][0] is not None or labels == "below"
        assert found[labels]["warnings"] == record["warnings"]
        assert len(record["warnings"]) == warned
    below = json.loads(Path(f"below-{rule}/training.json").read_text())
    assert below["val_auc"] == [None] * 6
    assert below["val_soft_auc"][0] < max(below["val_soft_auc"]) - 0.05, "the first is no good"
    assert (found["below"]["chosen_epoch"] == 6) or not undefined


def test_a_rule_with_nothing_to_go_by_is_told(
    rankings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="early stopping by auc is undefined"):
        done = learn(rankings, "below", "auc")
    assert done.exit_code == 0
    assert "Warning: early stopping by auc is undefined" in done.stdout
    assert "epoch 6.0 kept by auc" in done.stdout


def test_an_interrupted_command_goes_on(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train("--out", "whole")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SavedModel, "predict", stop)
        with pytest.raises(AssertionError):
            train("--out", "run")
    assert Path("run/training.json").exists()
    train("--out", "run")
    tables = [LabelTable.read(f"{folder}/labels.parquet").soft_label for folder in ("run", "whole")]
    np.testing.assert_array_equal(*tables)
    with pytest.raises(OutputError, match="not empty"):
        train("--out", "run")


@pytest.mark.parametrize(("split", "rate"), [("weak_train", 5e-4), ("strong_train", 8e-5)])
def test_the_learning_rate_is_that_of_the_split(
    split: str, rate: float, place: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done = CliRunner().invoke(
        root,
        [
            *("train", "--model", str(place / "model"), "--task", str(place / "task.csv")),
            *("--sizes", "16,12,8,12", "--epochs", "1", "--split", split, "--out", str(out)),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    assert json.loads((out / "training.json").read_text())["settings"]["learning_rate"] == rate
