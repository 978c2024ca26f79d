"""What results keep of the stages: labels of the training rows, curves, sweeps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from tests.experiments.cases import plan_one, run_one, save_study, study
from w2sprobe.cli._overview import print_study
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.plan import make_plan
from w2sprobe.experiments.result_tables import CURVES, LABELS
from w2sprobe.experiments.runner import run_study
from w2sprobe.experiments.stage_kinds import labels_of
from w2sprobe.labels import LabelTable
from w2sprobe.results import Results, StudyResults
from w2sprobe.votes.selection import SWEEP, SWEEP_NOTE

METHODS = [
    "student",
    "knn_relabel",
    "random_like_logistic_filter",
    "logistic_filter",
    "strong_to_strong_1",
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Path]:
    place = tmp_path_factory.mktemp("records")
    save_study(place)
    values = study(place, methods=METHODS, sweep={"layers": "1,2", "ks": [1, 3, 99]})
    values["strong"]["eval_every"] = 3
    experiment = plan_one(values, place / "cache")
    run_one(experiment, place / "out")
    return experiment, place / "out"


def test_labels_are_those_that_students_saw(done: tuple[Experiment, Path]) -> None:
    experiment, out = done
    table = pq.read_table(out / LABELS).to_pandas()
    assert list(table["method"].unique()) == ["weak", *METHODS[1:]]
    train = experiment.splits.strong_train
    for method in METHODS[1:]:
        own = table[(table["method"] == method) & (table["split"] == "strong_train")]
        assert own["id"].tolist() == train.ids.tolist()
        assert own["label"].tolist() == train.labels.tolist()
        source = experiment.methods[method].stages[-1].inputs["labels"]
        given = labels_of(source).align(train.ids)
        np.testing.assert_array_equal(own["soft_label"], given.soft_label)
        np.testing.assert_array_equal(own["keep"], given.keep)
    weak = table[(table["method"] == "weak") & (table["split"] == "val")]
    assert weak["id"].tolist() == experiment.splits.val.ids.tolist()


def test_removed_rows_name_the_step_that_took_them(done: tuple[Experiment, Path]) -> None:
    table = pq.read_table(done[1] / LABELS).to_pandas()
    assert (table["step"].isna() == table["keep"]).all()
    steps = {
        method: set(own["step"].dropna()) for method, own in table.groupby("method", observed=True)
    }
    assert steps == {
        "weak": set(),
        "knn_relabel": set(),
        "random_like_logistic_filter": {"random"},
        "logistic_filter": {"disagreement"},
        "strong_to_strong_1": set(),
    }


def test_curves_have_every_evaluation(done: tuple[Experiment, Path]) -> None:
    table = pq.read_table(done[1] / CURVES).to_pandas()
    student = table[table["method"] == "student"]
    # 16 rows in batches of 4: steps 3 and 4 of one epoch
    assert student["epoch"].tolist() == [0.75, 1.0]
    assert student["chosen"].sum() == 1
    assert student["train_loss"].nunique() == 1
    assert student["early_stopping"].unique().tolist() == ["soft_auc"]
    assert student["val_log_loss"].between(0.1, 2).all()
    assert set(table["method"]) == {"weak", "ceiling", *METHODS}
    twice = table[table["method"] == "strong_to_strong_1"]["stage"].unique()
    assert twice.tolist() == ["strong student", "strong student, iteration 1"]


def test_the_true_auc_is_that_of_each_evaluation(
    done: tuple[Experiment, Path],
) -> None:
    experiment, out = done
    curves = pq.read_table(out / CURVES).to_pandas()
    val = experiment.splits.val
    for method in ("weak", "student", "logistic_filter"):
        folder = experiment.methods[method].stages[-1].folder
        p = pq.read_table(folder / "validation.parquet").to_pandas()
        expected = [
            roc_auc_score(val.labels, own.set_index("id")["p"].loc[val.ids.tolist()])
            for _, own in p.groupby("step")
        ]
        own = curves[curves["method"] == method]
        assert own["val_true_auc"].tolist() == pytest.approx(expected)
    given_truth = curves[curves["method"] == "ceiling"]
    assert given_truth["val_true_auc"].tolist() == given_truth["val_auc"].tolist()
    student = curves[curves["method"] == "student"]
    assert student["val_true_auc"].tolist() != student["val_soft_auc"].tolist()


def test_the_truth_of_validation_rows_moves_only_what_is_shown(
    done: tuple[Experiment, Path], tmp_path: Path
) -> None:
    splits = done[0].splits
    save_study(tmp_path)
    rng = np.random.default_rng(0)
    LabelTable(splits.stored.ids, rng.random(len(splits.stored))).write(tmp_path / "weak.parquet")
    turned = replace(splits, val=replace(splits.val, labels=1 - splits.val.labels))
    curves, runs = [], []
    for name, cut in (("as_is", splits), ("turned", turned)):
        cut.write(tmp_path / f"{name}.parquet")
        values = study(
            tmp_path,
            task={"name": str(tmp_path / f"{name}.parquet")},
            weak={"kind": "labels", "file": str(tmp_path / "weak.parquet")},
            methods=["student"],
        )
        values["strong"]["eval_every"] = 1
        experiment = plan_one(values, tmp_path / name)
        run_one(experiment, tmp_path / name / "out")
        student = experiment.methods["student"].stages[-1]
        runs.append(
            [
                student.address,
                *(
                    (student.folder / file).read_bytes()
                    for file in ("validation.parquet", "labels.parquet", "training.json")
                ),
            ]
        )
        table = pq.read_table(tmp_path / name / "out" / CURVES).to_pandas()
        curves.append(table[table["method"] == "student"].reset_index(drop=True))
    assert runs[0] == runs[1]
    shown = [own.pop("val_true_auc") for own in curves]
    assert len(shown[0]) == 4
    np.testing.assert_allclose(shown[0], 1 - shown[1])
    assert curves[0].equals(curves[1])


def test_runs_without_predictions_have_no_auc_against_the_truth(
    done: tuple[Experiment, Path], tmp_path: Path
) -> None:
    experiment, _ = done
    folder = experiment.methods["student"].stages[-1].folder
    (folder / "validation.parquet").rename(tmp_path / "aside")
    try:
        run_one(experiment, tmp_path / "out")
    finally:
        (tmp_path / "aside").rename(folder / "validation.parquet")
    curves = pq.read_table(tmp_path / "out" / CURVES).to_pandas()
    unknown = curves["val_true_auc"].isna()
    assert set(curves[unknown]["stage"]) == {"strong student"}
    assert not unknown.all()


@pytest.mark.filterwarnings("ignore:early stopping by auc is undefined")
def test_what_a_training_warns_of_is_in_results_and_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_study(tmp_path)
    values = study(tmp_path, methods=["student"], seeds=[0, 1])
    # a weak model that learns nothing: its labels lie on one side of one half
    values["weak"]["learning_rate"] = 1e-9
    values["strong"]["early_stopping"] = "auc"
    plan = make_plan(StudyConfig.model_validate(values), cache=tmp_path, out=tmp_path)
    done = run_study(plan, tmp_path / "out")
    for experiment, folder in zip(plan.experiments, done.experiments, strict=True):
        weak = labels_of(experiment.methods["weak"].stages[-1])
        assert len(set(weak.align(experiment.splits.val.ids).hard_label)) == 1
        (message,) = Results.read(tmp_path / "out" / folder / "results.json").warnings
        assert message.startswith("strong student: early stopping by auc is undefined")
        assert f"{folder}: {message}" in done.warnings
        curves = pq.read_table(tmp_path / "out" / folder / CURVES).to_pandas()
        (student,) = curves[curves["method"] == "student"].to_dict("records")
        assert np.isnan(student["val_auc"])
        assert student["chosen"]
    assert StudyResults.read(tmp_path / "out/study.json") == done
    print_study(done, tmp_path / "out")
    assert capsys.readouterr().out.count("Warning: ") == len(done.warnings) == 2


def test_the_sweep_is_beside_the_results(done: tuple[Experiment, Path]) -> None:
    table = pq.read_table(done[1] / SWEEP).to_pandas()
    assert set(table["layer"]) == {1, 2}
    knn = table[table["probe"] == "knn"]
    assert set(knn["value"]) == {1, 3}, "16 rows have no 99 neighbours"
    assert set(table["evaluation"]) == {"cross_fit", "val", "test"}
    assert (done[1] / SWEEP_NOTE).is_file()


def test_a_run_without_a_sweep_leaves_none_of_an_earlier_one(
    done: tuple[Experiment, Path], tmp_path: Path
) -> None:
    experiment, _ = done
    save_study(tmp_path)
    for name in (SWEEP, SWEEP_NOTE):
        (tmp_path / name).write_text("of an earlier run")
    values = study(tmp_path, methods=["student"])
    run_one(plan_one(values, experiment.stages[0].home.parent), tmp_path)
    assert not (tmp_path / SWEEP).exists()
    assert not (tmp_path / SWEEP_NOTE).exists()
