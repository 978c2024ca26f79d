"""What is declared before a run, and how a run that differs from it is told."""

from pathlib import Path

import pytest

from tests.experiments.cases import planned, save_other_task, save_study, two_tasks
from w2sprobe.declaration import PREREGISTRATION, Declaration
from w2sprobe.errors import InputError
from w2sprobe.experiments.join import join_studies
from w2sprobe.experiments.preregistration import declare, preregistered, write_declaration
from w2sprobe.experiments.runner import run_study
from w2sprobe.results import Results, StudyResults


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("declared")
    save_study(folder)
    save_other_task(folder)
    return folder


def test_the_same_declared_again_keeps_its_date(place: Path, tmp_path: Path) -> None:
    first = declare(planned(place)).model_copy(update={"written": "2026-01-01T00:00:00+00:00"})
    assert write_declaration(first, tmp_path) is first
    assert write_declaration(declare(planned(place)), tmp_path) == first
    other = declare(planned(place, analysis={"margin": 0.02}))
    with pytest.raises(InputError, match=r"margin is 0\.01 there, 0\.02 now"):
        write_declaration(other, tmp_path)
    assert Declaration.read(tmp_path) == first


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
    assert found.deviations == (f"the rows of task {task} are not those that were declared",)


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
