"""What is declared before a run, and how a run that differs from it is told."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiments.cases import save_other_task, save_study, study
from w2sprobe.comparison.family import is_competitor, role_of
from w2sprobe.declaration import PREREGISTRATION, Declaration, Spread
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.design import design_of, family_of, warnings_of_design
from w2sprobe.experiments.join import join_studies
from w2sprobe.experiments.methods import METHODS
from w2sprobe.experiments.pilots import DEFAULTS, measure
from w2sprobe.experiments.plan import StudyPlan, make_plan
from w2sprobe.experiments.preregistration import declare, preregistered, write_declaration
from w2sprobe.experiments.runner import run_study
from w2sprobe.metrics import detectable_effect
from w2sprobe.reporting.declarations import declared_rows
from w2sprobe.results import Results, StudyResults

REPRODUCTION = Path(__file__).parents[2] / "docs/reproduction/version0/results"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("declared")
    save_study(folder)
    save_other_task(folder)
    return folder


def planned(place: Path, **sections: Any) -> StudyPlan:
    values = study(place, **{"methods": ["student", "knn_probe"], **sections})
    return make_plan(StudyConfig.model_validate(values), cache=place / "cache", out=place / "out")


def two_tasks(place: Path) -> dict[str, Any]:
    sizes = {"weak_train": 16, "strong_train": 16, "val": 8, "test": 12}
    names = [str(place / "task.csv"), str(place / "other.csv")]
    return {"task": {"sizes": sizes}, "tasks": names}


# --- the family -----------------------------------------------------------------------------------


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


# --- what a study can show ------------------------------------------------------------------------


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
    questions = dict(declared_rows(declare(one_sided)))
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
        "One run a task",
        "cannot reject in this family: their least p value after Holm is 1",
        "A student that recovers the whole gap",
        "A typical method that adds as much as the whole gap",
        "On 2 of 2 tasks a gap of the expected size, 0.097, would not be resolved",
        "Equivalence within 0.01 cannot be expected",
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


# --- pilots ---------------------------------------------------------------------------------------


def test_defaults_are_what_the_reproduction_measures() -> None:
    methods = StudyConfig.model_validate(
        {"name": "x", "task": {"name": "x"}, "weak": {"model": "x"}, "strong": {"model": "x"}}
        | {"methods": list(METHODS)}
    )
    family, _ = family_of(methods)
    found = measure([REPRODUCTION], family, "student")
    assert found.source == f"pilot {REPRODUCTION}: 8 tasks, 24 runs"
    assert found.assumed == ()
    for name, value in DEFAULTS.model_dump(exclude={"source", "assumed"}).items():
        assert getattr(found, name) == pytest.approx(value, rel=0.05), name


def written(folder: Path, task: str, seed: str, gain: float, method: float) -> Path:
    """Results of one run, those of the reproduction but for two methods' scores."""
    path = REPRODUCTION / "bigbench-winowhy/minilm-l6--smollm2-135m--seed0"
    one = Results.read(path / "results.json")
    weak, ceiling, student, *_ = one.rows
    near = (gain - 0.0196, gain + 0.0196)  # SE .01
    rows = (
        weak,
        ceiling,
        student.model_copy(
            update={"auc": 0.7 + gain, "delta_auc": gain, "delta_auc_interval": near}
        ),
        student.model_copy(update={"method": "knn_probe", "auc": 0.7 + method}),
    )
    own = one.model_copy(update={"task": task, "seed": seed, "rows": rows})
    own.write(folder / f"{task}{seed}" / "results.json")
    return folder / f"{task}{seed}"


def test_variances_of_drawn_results_are_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folders = []
    for task in range(40):
        level, difference = rng.normal(0, 0.05), rng.normal(0, 0.03)
        for seed in range(4):
            gain = level + rng.normal(0, 0.02)
            folders.append(written(tmp_path, f"t{task}", str(seed), gain, gain + difference))
    found = measure(folders, ["knn_probe", "not_there"], "student")
    assert found.gain_seed_sd == pytest.approx(0.02, rel=0.15)
    assert found.gain_row_sd == pytest.approx(0.01 * math.sqrt(1000), rel=1e-3)
    assert found.gain_task_sd == pytest.approx(0.05, rel=0.25)
    assert found.method_sds == pytest.approx([0.03] * 3, rel=0.25)


def test_what_a_small_pilot_cannot_tell_is_assumed(tmp_path: Path) -> None:
    found = measure([written(tmp_path, "t", "0", 0.1, 0.1)], ["knn_probe"], "student")
    names = ("gain_task_sd", "gain_seed_sd", "gap_seed_sd", "method_sds")
    assert found.assumed == names
    assert all(getattr(found, name) == getattr(DEFAULTS, name) for name in names)
    with pytest.raises(InputError, match="no results of 'topofilter'"):
        measure([tmp_path / "t0"], [], "topofilter")


# --- the file -------------------------------------------------------------------------------------


def test_a_file_is_read_back_and_any_change_of_it_is_noticed(place: Path, tmp_path: Path) -> None:
    own = declare(planned(place))
    assert write_declaration(own, tmp_path) is own
    assert Declaration.read(tmp_path) == own
    file = tmp_path / PREREGISTRATION
    text = file.read_text()
    changes = {
        "hypothesis": text.replace('"hypotheses": []', '"hypotheses": ["I knew it"]'),
        "number": text.replace('"alpha": 0.05', '"alpha": 0.1'),
        "hash": text.replace(own.sha256[:8], "00000000"),
    }
    for changed in changes.values():
        assert changed != text
        file.write_text(changed)
        with pytest.raises(InputError, match="was changed after it was written"):
            Declaration.read(tmp_path)
    for broken in ("", "[]", "{}", '{"sha256": 1}'):
        file.write_text(broken)
        with pytest.raises(InputError, match="cannot read the pre-registration"):
            Declaration.read(tmp_path)
    file.write_text(json.dumps(json.loads(text)))  # spaces are not content
    assert Declaration.read(tmp_path) == own


def test_the_same_declared_again_keeps_its_date(place: Path, tmp_path: Path) -> None:
    first = declare(planned(place)).model_copy(update={"written": "2026-01-01T00:00:00+00:00"})
    write_declaration(first, tmp_path)
    assert write_declaration(declare(planned(place)), tmp_path) == first
    other = declare(planned(place, analysis={"margin": 0.02}))
    with pytest.raises(InputError, match=r"margin is 0\.01 there, 0\.02 now"):
        write_declaration(other, tmp_path)
    assert Declaration.read(tmp_path) == first


# --- runs -----------------------------------------------------------------------------------------


def test_a_run_as_declared_refers_to_the_declaration(place: Path, tmp_path: Path) -> None:
    plan = planned(place)
    own = write_declaration(declare(plan), tmp_path)
    run_study(plan, tmp_path)
    record = Results.read(tmp_path / "results.json").preregistration
    assert record is not None
    assert (record.sha256, record.written) == (own.sha256, own.written)
    assert (record.deviations, record.stages_done) == ((), own.stages_done)
    assert preregistered(plan, tmp_path) == record
    assert declare(planned(place)).stages_done == len(plan.stages)


def test_a_run_that_differs_says_where(place: Path, tmp_path: Path) -> None:
    write_declaration(declare(planned(place)), tmp_path)
    own = {**two_tasks(place), "methods": ["student"], "seeds": [0], "analysis": {"alpha": 0.1}}
    found = preregistered(planned(place, **own), tmp_path)
    assert found is not None
    assert set(found.deviations) == {
        "methods: knn_probe declared, not run",
        "seeds: 0 run, not declared",
        "analysis.alpha: 0.05 declared, 0.1 run",
        f"tasks.{place / 'other.csv'}: a section with name, positive, negative, "
        "formatting, rows, sizes, keep_prior, seed run, not declared",
    }


def test_rows_that_changed_after_the_declaration_are_told(place: Path, tmp_path: Path) -> None:
    task = tmp_path / "task.csv"
    task.write_text((place / "task.csv").read_text())
    sizes = {"weak_train": 16, "strong_train": 16, "val": 8, "test": 12}
    section = {"task": {"name": str(task), "sizes": sizes}}
    write_declaration(declare(planned(place, **section)), tmp_path)
    header, *rows = task.read_text().splitlines()
    task.write_text("\n".join([header, *rows[:-1], "other words,1"]))
    found = preregistered(planned(place, **section), tmp_path)
    assert found is not None
    assert found.deviations == (
        f"the rows of task {task} are others than those that were declared",
    )


def test_a_damaged_declaration_stops_a_run_before_it_starts(place: Path, tmp_path: Path) -> None:
    plan = planned(place)
    write_declaration(declare(plan), tmp_path)
    file = tmp_path / PREREGISTRATION
    file.write_text(file.read_text().replace('"margin": 0.01', '"margin": 0.02'))
    with pytest.raises(InputError, match="was changed"):
        run_study(plan, tmp_path, engine=lambda *_: pytest.fail("a stage was run"))


def test_without_a_declaration_results_refer_to_none(place: Path, tmp_path: Path) -> None:
    assert preregistered(planned(place), tmp_path) is None


def test_parts_of_a_declared_study_are_joined_as_it_was_declared(
    place: Path, tmp_path: Path
) -> None:
    whole = declare(planned(place, seeds=[0, 1]))
    parts = []
    for seed in (0, 1):
        part = tmp_path / f"seed{seed}"
        write_declaration(whole, part)
        study = run_study(planned(place, seeds=[seed]), part)
        assert study.preregistration is not None
        assert study.preregistration.deviations == (f"seeds: 0, 1 declared, {seed} run",)
        parts.append(part)
    joined = join_studies(parts, tmp_path / "joined")
    assert joined.preregistration is not None
    assert joined.preregistration.sha256 == whole.sha256
    assert [one for one in joined.preregistration.deviations if one.startswith("seeds")] == []
    assert Declaration.read(tmp_path / "joined") == whole
    assert StudyResults.read(tmp_path / "joined/study.json") == joined
    (parts[1] / PREREGISTRATION).unlink()
    run_study(planned(place, seeds=[1]), parts[1])
    assert join_studies(parts, tmp_path / "mixed").preregistration is None
    assert not (tmp_path / "mixed" / PREREGISTRATION).exists()
