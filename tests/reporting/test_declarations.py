"""Tables of a declared study: its questions, its size, and what it can detect."""

from typing import Any

import pytest

from tests.reporting.cases import declaration
from w2sprobe.declaration import Declaration
from w2sprobe.reporting.declarations import declaration_tables


def facts(declared: Declaration) -> dict[str, str]:
    first, *_ = declaration_tables(declared)
    return {row.cells[0].text: row.cells[1].text for row in first.rows}


def test_questions_name_tests_levels_and_corrections() -> None:
    found = facts(declaration())
    assert found["hypothesis"] == "Students gain."
    question = found["primary question"]
    assert "Student's t over 3 tasks, two-sided, level 0.05" in question
    assert "corrected for 3 tasks (Holm)" in question
    family = found["family of 2"]
    assert "Does a method differ from student in test AUC?" in family
    assert "two-sided, level 0.05, corrected for 2 methods (Holm): knn_probe, topofilter" in family
    assert "less than 0.01 in AUC" in found["equivalence"]
    assert found["outside the family"] == "random_filter (control: rows go at random)"


@pytest.mark.parametrize(
    ("alternative", "words"), [("greater", "exceed student"), ("less", "fall below student")]
)
def test_only_the_family_is_tested_one_sided(alternative: str, words: str) -> None:
    found = facts(declaration(alternative=alternative))
    assert words in found["family of 2"]
    assert "one-sided" in found["family of 2"]
    assert "two-sided" in found["primary question"]


def test_size_and_detectable_effects_are_given() -> None:
    found = facts(declaration())
    assert found["size"] == (
        "3 tasks; 1 pair of models; 6 runs per task (3 cuts of the rows x 1 supervisor seed x 2 "
        "learner seeds); 1,000 to 3,000 test rows per task."
    )
    gain = found["smallest gain detected"]
    assert "0.040 in AUC, 40 % of the expected gap of 0.100" in gain
    assert "0.017 to 0.050" in gain
    differences = found["smallest difference detected"]
    assert "0.020 for the method that varies least" in differences
    assert "They cannot reject" in found["smallest possible p"]
    _, tasks = declaration_tables(declaration())
    assert [cell.text for cell in tasks.rows[0].cells] == ["a", "1,000", "0.050", "0.060"]


def test_a_single_task_has_no_tests_over_tasks() -> None:
    found = facts(declaration(["a"]))
    assert "no test over tasks" in found["family of 2"]
    assert found["smallest gain detected"] == "With 80 % power: 0.050 in AUC."
    assert not {"equivalence", "smallest possible p", "smallest difference detected"} & set(found)


@pytest.mark.parametrize(
    "changes", [{"family": ()}, {"config": {"methods": ["knn_probe"]}, "family": ()}]
)
def test_what_is_not_tested_is_not_mentioned(changes: dict[str, Any]) -> None:
    found = facts(declaration(**changes))
    assert ("primary question" in found) == ("config" not in changes)
    assert not [name for name in found if name.startswith("family")]


def test_assumed_variances_are_named() -> None:
    design = declaration().design
    spread = design.spread.model_copy(update={"source": "pilot x", "assumed": ("gain_seed_sd",)})
    text = facts(declaration(design=design.model_copy(update={"spread": spread})))["variances from"]
    assert text.startswith("pilot x.")
    assert text.endswith("Defaults, as not measured there: gain_seed_sd.")
