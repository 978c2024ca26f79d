"""What a planned study can show: families of tests, detectable effects, warnings."""

import math
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.cases import planned, save_other_task, save_study, study, two_tasks
from w2sprobe.comparison.family import is_competitor, role_of
from w2sprobe.declaration import Spread
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.design import design_of, family_of, warnings_of_design
from w2sprobe.experiments.methods import METHODS
from w2sprobe.experiments.pilots import DEFAULTS
from w2sprobe.experiments.plan import StudyPlan, make_plan
from w2sprobe.experiments.preregistration import declare
from w2sprobe.metrics import detectable_effect
from w2sprobe.reporting.declarations import declaration_tables


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("declared")
    save_study(folder)
    save_other_task(folder)
    return folder


def test_controls_and_methods_that_saw_truth_are_outside_the_family(place: Path) -> None:
    config = StudyConfig.model_validate(study(place, methods=list(METHODS)))
    family, outside = family_of(config)
    assert outside == {
        name: outside[name]
        for name in METHODS
        if "random_" in name
        or name.endswith(("_on_truth", "_on_noise", "_on_soft_noise"))
        or name.startswith("weak_to_weak")
        or name == "zero_shot"
    }
    assert {*family} | {*outside} == {*METHODS} - {"weak", "ceiling", "student"}
    assert all(is_competitor(name) for name in family)
    assert not any(is_competitor(name) for name in outside)
    define = {name: METHODS[name].model_dump(mode="json") for name in (*family, *outside)}
    assert all(role_of(name, define) == "competitor" for name in family)
    assert all(role_of(name, define) == "control" for name in outside)


def test_a_family_that_is_named_is_the_family(place: Path) -> None:
    analysis = {"family": ["random_filter"], "against": "knn_probe"}
    methods = ["student", "knn_probe", "topofilter", "random_filter"]
    config = StudyConfig.model_validate(study(place, methods=methods, analysis=analysis))
    left_out = "left out by analysis.family"
    assert family_of(config) == (
        ("random_filter",),
        {"student": left_out, "topofilter": left_out},
    )


def test_without_its_baseline_a_study_has_no_family(place: Path) -> None:
    config = StudyConfig.model_validate(study(place, methods=["knn_probe"]))
    family, outside = family_of(config)
    assert family == ()
    assert outside == {"knn_probe": "student, the baseline, is not run"}


def test_effects_follow_from_variances_tasks_and_seeds(place: Path) -> None:
    spread = DEFAULTS.model_copy(
        update={"gain_task_sd": 0.03, "gain_seed_sd": 0.02, "gain_row_sd": 0.4}
    )
    design = design_of(planned(place, **two_tasks(place), seeds=[0, 1, 2]), spread)
    sd = math.sqrt(0.03**2 + 0.02**2 / 3 + 0.4**2 / 12)
    assert design.detectable_gain == pytest.approx(detectable_effect(sd, 2))
    assert design.detectable_differences == pytest.approx(
        [detectable_effect(one, 2) for one in spread.method_sds]
    )
    assert (design.runs, design.cuts, design.supervisor_seeds) == (3, 1, 3)
    assert (design.least_pvalue, design.least_after_holm) == (0.5, 0.5)


def test_the_gain_of_the_baseline_is_tested_two_sided(place: Path) -> None:
    values = {**two_tasks(place), "methods": ["student", "knn_probe"]}
    both = planned(place, **values)
    one_sided = planned(place, **values, analysis={"alternative": "greater"})
    found, other = (design_of(plan, DEFAULTS) for plan in (both, one_sided))
    assert found.detectable_gain == other.detectable_gain
    assert found.tasks == other.tasks
    assert found.detectable_differences is not None
    assert other.detectable_differences is not None
    assert other.detectable_differences < found.detectable_differences
    declared, _ = declaration_tables(declare(one_sided))
    questions = {row.cells[0].text: row.cells[1].text for row in declared.rows}
    assert "differ from its supervisor" in questions["primary question"]
    assert "two-sided" in questions["primary question"]
    assert "exceed student" in questions["family of 1"]
    assert "one-sided" in questions["family of 1"]


def test_a_gain_that_can_be_found_is_found_four_times_of_five(place: Path) -> None:
    """On one task with one run: the test is that of `Estimate`, with rows for its only noise."""
    design = design_of(planned(place), DEFAULTS)
    (task,) = design.tasks
    se = DEFAULTS.gain_row_sd / math.sqrt(task.test_rows)
    drawn = np.random.default_rng(0).normal(task.detectable, se, 20_000)
    assert np.mean(np.abs(drawn) > 1.959964 * se) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("vary", [["weak", "strong"], ["split", "weak", "strong"]])
def test_more_seeds_find_smaller_gains(place: Path, vary: list[str]) -> None:
    found = []
    for n in (2, 3, 5):
        values = study(place, methods=["student"], seeds=list(range(n)), vary=vary)
        config = StudyConfig.model_validate(values)
        plan = make_plan(config, cache=place / "cache", out=place / "out")
        found.append(design_of(plan, DEFAULTS).tasks[0].detectable)
    assert found == sorted(found, reverse=True)


def warned(plan: StudyPlan, spread: Spread = DEFAULTS) -> str:
    return "\n".join(warnings_of_design(plan.config, design_of(plan, spread)))


def test_a_design_that_cannot_answer_is_warned_of(place: Path) -> None:
    methods = ["student", "knn_probe", "logistic_probe", "mass_mean_probe"]
    said = warned(planned(place, **two_tasks(place), methods=methods))
    for part in (
        "One run per task",
        "cannot reject in this family: their smallest possible p value after Holm is 1",
        "A student that recovers the whole gap",
        "A typical method that adds as much as the whole gap",
        "On 2 of 2 tasks a gap of the expected size, 0.097, would not be resolved",
        "Equivalence within 0.01 will probably not be shown",
    ):
        assert part in said
    assert "One task" in warned(planned(place))
    assert "student is not among the methods" in warned(planned(place, methods=["knn_probe"]))


def test_a_design_that_can_answer_is_not(place: Path) -> None:
    quiet = dict.fromkeys(("gain_task_sd", "gain_seed_sd", "gain_row_sd"), 1e-4)
    quiet |= {"gap": 0.2, "gap_seed_sd": 1e-4, "gap_row_sd": 1e-4}
    spread = Spread(source="nowhere", method_sds=(1e-4, 1e-4, 1e-4), **quiet)
    analysis = {"alpha": 0.4, "alternative": "greater"}  # of two tasks, at best 1/4
    plan = planned(place, **two_tasks(place), seeds=[0, 1, 2], analysis=analysis)
    assert warned(plan, spread) == ""
