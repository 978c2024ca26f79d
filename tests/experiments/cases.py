"""A study that takes seconds: two tiny models and a task of a few rows."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny import save_tiny_model, sentences
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.engines import run_local
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.plan import StudyPlan, make_plan
from w2sprobe.experiments.runner import run_study
from w2sprobe.experiments.scoring import predictions_of
from w2sprobe.results import Results

MODEL = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-2, "precision": "float32"}
DEFINED: dict[str, dict[str, Any]] = {  # methods for the section `define`
    "my_filter": {"predicts": "student", "probe": "logistic", "curation": "filter"}
    | {"loss": "logconf", "l2": 0.1, "layer": 1, "contamination": 0.25},
    "as_large": {"predicts": "student", "curation": "random_filter", "same_size_as": "my_filter"},
    "ceiling_logconf": {"predicts": "student", "labels": "truth", "loss": "logconf"},
    "other_layer": {"predicts": "probe", "probe": "knn", "layer": 1, "n_neighbors": 2},
}


def save_study(folder: Path) -> None:
    """Write task.csv and the models weak and strong."""
    with (folder / "task.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        texts = sorted(set(sentences(100, longest=6)))
        rows.writerows((text, index % 2) for index, text in enumerate(texts))
    save_tiny_model("llama", folder / "strong")
    save_tiny_model("bert", folder / "weak")


def save_other_task(folder: Path) -> None:
    """Write other.csv: the rows of task.csv, in other words."""
    header, *rows = (folder / "task.csv").read_text().splitlines()
    (folder / "other.csv").write_text("\n".join([header, *(f"so {row}" for row in rows)]))


def study(folder: Path, **sections: Any) -> dict[str, Any]:
    """A config of these files, as a YAML file would hold it."""
    return {
        "name": "tiny",
        "task": {
            "name": str(folder / "task.csv"),
            "sizes": {"weak_train": 16, "strong_train": 16, "val": 8, "test": 12},
        },
        "weak": {"model": str(folder / "weak"), **MODEL},
        "strong": {"model": str(folder / "strong"), **MODEL},
        "probes": {"n_neighbors": 3},
        "zero_shot": {"answers": ["bad", "good"]},
        **sections,
    }


def plan_one(values: dict[str, Any], cache: Path) -> Experiment:
    """The only experiment of a study."""
    plan = make_plan(StudyConfig.model_validate(values), cache=cache, out=cache)
    (experiment,) = plan.experiments
    assert plan.stages == experiment.stages
    return experiment


def run_one(experiment: Experiment, out: Path) -> Results:
    """Run an experiment that must not fail."""
    config = StudyConfig.model_validate(experiment.config.model_dump(exclude={"seed"}))
    study = run_study(StudyPlan(config, [experiment], experiment.stages), out)
    assert not study.failures, study.failures
    return Results.read(out / "results.json")


def said(experiment: Experiment) -> dict[str, np.ndarray]:
    """What each method says of the test rows; stages that are done are read, others run."""
    predictions, missing = predictions_of(experiment, run_local(experiment.stages))
    assert not missing, missing
    return predictions


def planned(place: Path, **sections: Any) -> StudyPlan:
    """Plan of a study with a student and a probe."""
    values = study(place, **{"methods": ["student", "knn_probe"], **sections})
    return make_plan(StudyConfig.model_validate(values), cache=place / "cache", out=place / "out")


def two_tasks(place: Path) -> dict[str, Any]:
    """Sections of a study of both tasks."""
    sizes = {"weak_train": 16, "strong_train": 16, "val": 8, "test": 12}
    names = [str(place / "task.csv"), str(place / "other.csv")]
    return {"task": {"sizes": sizes}, "tasks": names}
