"""Report section on the declaration: what was declared, deviations, and what is exploration."""

from pathlib import Path

from tests.reporting.cases import declaration, save_run
from w2sprobe.declaration import PREREGISTRATION
from w2sprobe.reporting.report.declared import declared_in_report
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.table import Table
from w2sprobe.results import RESULTS, Preregistration


def declared_run(folder: Path, **changes: object) -> ResultsFolder:
    """A run that refers to the declaration in its folder."""
    declared = declaration(tasks=["reviews"])
    declared.write(folder)
    record = {"sha256": declared.sha256, "written": declared.written, "stages_done": 0, **changes}
    results = save_run(folder, records=False)
    preregistration = Preregistration.model_validate(record)
    results.model_copy(update={"preregistration": preregistration}).write(folder / RESULTS)
    return ResultsFolder.read(folder)


def facts(table: Table) -> list[tuple[str, str]]:
    return [(row.cells[0].text, row.cells[1].text) for row in table.rows]


def test_without_a_declaration_p_values_are_exploratory(tmp_path: Path) -> None:
    save_run(tmp_path, records=False)
    intro, tables = declared_in_report(ResultsFolder.read(tmp_path))
    assert "all p values are exploratory" in intro
    assert tables == ()


def test_what_was_declared_stands_beside_what_was_not(tmp_path: Path) -> None:
    intro, (table, tasks) = declared_in_report(declared_run(tmp_path))
    assert "No stage of the study had been run before." in intro
    found = dict(facts(table))
    assert found["differs from the declaration"] == "nothing"
    assert found["not declared: exploration"].endswith("The methods knn_relabel, random_filter.")
    assert [row.cells[0].text for row in tasks.rows] == ["reviews"]


def test_deviations_and_stages_that_were_run_before_are_listed(tmp_path: Path) -> None:
    deviations = ("seeds: 0 run, not declared", "alpha: 0.05 declared, 0.1 run")
    intro, (table, _) = declared_in_report(
        declared_run(tmp_path, deviations=deviations, stages_done=3)
    )
    assert "3 stages of the study had been run before." in intro
    named = [text for name, text in facts(table) if name == "differs from the declaration"]
    assert named == list(deviations)


def test_a_declaration_that_is_missing_or_another_is_not_shown(tmp_path: Path) -> None:
    source = declared_run(tmp_path)
    declaration(tasks=["reviews"], alpha=0.1).write(tmp_path)
    intro, (table,) = declared_in_report(source)
    assert "is another file, with the SHA-256" in intro
    assert facts(table) == [("differs from the declaration", "nothing")]
    (tmp_path / PREREGISTRATION).write_text("{}")
    assert "cannot read the pre-registration" in declared_in_report(source)[0]
    (tmp_path / PREREGISTRATION).unlink()
    assert "is not in the folder of the results" in declared_in_report(source)[0]
