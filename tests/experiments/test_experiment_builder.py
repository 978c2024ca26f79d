"""Stages of one experiment: which methods there are, what they read and what they share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.cases import DEFINED, plan_one, save_study, study
from w2sprobe.errors import MissingDependency
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.methods import DEFAULT_METHODS, METHODS
from w2sprobe.experiments.stages import Stage

Make = Callable[..., Experiment]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    save_study(folder)
    return folder


@pytest.fixture(scope="module")
def make(place: Path) -> Make:
    def plan(**sections: Any) -> Experiment:
        return plan_one(study(place, **sections), place / "cache")

    return plan


def own(plan: Experiment, name: str) -> list[Stage]:
    """Stages of a method's own."""
    return plan.methods[name].stages


def test_methods_that_read_the_same_votes_share_a_stage(make: Make) -> None:
    names = ["knn_probe", "logistic_probe", "knn_probe_on_truth", "knn_relabel", "logistic_filter"]
    plan = make(methods=names)
    assert [stage.kind for stage in plan.stages].count("votes") == 1
    reading = {name: plan.methods[name].reading or plan.methods[name].curator for name in names}
    for name in names[3:]:
        (curated, student) = own(plan, name)
        assert curated.inputs == {"votes": reading[name].stage, "labels": own(plan, "weak")[0]}
        assert student.inputs == {"labels": curated}


def test_students_read_labels_and_nothing_else(make: Make) -> None:
    plan = make()
    assert own(plan, "ceiling")[-1].inputs == {}
    for name in ("student", "student_logconf", "topofilter", "random_filter"):
        student = own(plan, name)[-1]
        assert student.params["settings"]["loss"] == METHODS[name].loss
        assert set(student.inputs) == {"labels"}


def test_an_entry_like_a_known_one_has_its_stages(make: Make) -> None:
    entry = METHODS["logistic_filter"].model_dump(exclude_defaults=True)
    settings = {"l2": 0.01, "layer": 1, "contamination": 0.1}  # the config's own
    plan = make(methods=["logistic_filter", "mine"], define={"mine": {**entry, **settings}})
    assert [*map(id, own(plan, "mine"))] == [*map(id, own(plan, "logistic_filter"))]


def test_what_is_defined_is_run_unless_methods_are_named(make: Make) -> None:
    ceilings = ["knn_probe_on_truth", "logistic_probe_on_truth"]
    plan = make(define=DEFINED)
    assert [*plan.methods] == [
        *DEFAULT_METHODS, *DEFINED, *ceilings, "other_layer_on_truth",
    ]  # fmt: skip
    assert [*make(define=DEFINED, methods=["as_large"]).methods] == ["weak", "ceiling", "as_large"]


def test_a_missing_package_is_named_before_anything_runs(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cleanlab.filter", None)
    with pytest.raises(MissingDependency, match=r"pip install w2sprobe\[cleanlab\]"):
        make(methods=["confident_learning_filter"])
    make(methods=["logistic_filter"])


def test_a_ceiling_takes_no_name_that_a_study_defines(make: Make) -> None:
    define = {"mine": {"learner": "logistic", "l2": 0.5}, "mine_on_truth": {"learner": "knn"}}
    plan = make(methods=["mine", "mine_on_truth"], define=define)
    assert plan.ceilings["mine"] == "mine_own_ceiling"
    assert plan.methods["mine_own_ceiling"].method.labels == "truth"
    assert plan.methods["mine_on_truth"].method.labels == "weak"


def test_a_method_without_weak_activations_is_left_out(make: Make, place: Path) -> None:
    weak = {"kind": "ngrams"}
    plan = make(methods=["weak_to_weak_logistic", "logistic_probe"], weak=weak)
    assert "weak_to_weak_logistic" not in plan.methods
    assert plan.left_out == {
        "weak_to_weak_logistic": "character n-grams has no activations to learn from."
    }


def test_iterations_alternate_labels_and_students(make: Make) -> None:
    plan = make(methods=["strong_to_strong_2"])
    stages = own(plan, "strong_to_strong_2")
    assert [stage.kind for stage in stages] == ["train", "relabel", "train", "relabel", "train"]
    for student, labels in zip(stages[::2], stages[1::2], strict=False):
        assert labels.inputs["student"] is student
    assert [stage.inputs["labels"] for stage in stages[2::2]] == stages[1::2]


def test_a_random_filter_follows_its_filter_even_if_that_is_not_run(make: Make) -> None:
    plan = make(methods=["random_filter"])
    assert "topofilter" not in plan.methods
    curated, _ = own(plan, "random_filter")
    assert curated.inputs["same_size_as"] in plan.stages
    assert plan.stages.index(curated.inputs["same_size_as"]) < plan.stages.index(curated)
