"""The reference numbers, and what the source and its readers computed from them."""

import math

import pytest

from w2sprobe.comparison import Analysis, MethodRow, compare, published
from w2sprobe.comparison.published import AXIS_END
from w2sprobe.metrics import pgr


def difference(
    unit: str, method: str = "logconf", against: str | None = None, **settings: object
) -> MethodRow:
    """One-sided, as the source tests, unless told otherwise."""
    analysis = Analysis(**{"alternative": "greater", **settings})
    (row,) = compare(
        published().scores, methods=[method], against=against, units=[unit], analysis=analysis
    ).methods
    return row


def test_all_tasks_as_published() -> None:
    row = difference("pgr", saturated_only=True)
    assert (row.n, row.wins, row.losses) == (21, 16, 5)
    assert row.t_pvalue == pytest.approx(0.134, abs=5e-4)
    assert row.wilcoxon_pvalue == pytest.approx(0.072, abs=5e-4)


def test_two_sided_p_values_are_twice_as_large() -> None:
    row = difference("pgr", saturated_only=True, alternative="two-sided")
    assert row.t_pvalue == pytest.approx(0.268, abs=5e-4)
    assert row.wilcoxon_pvalue == pytest.approx(0.144, abs=5e-4)
    assert row.verdict == "undecided"


def test_tasks_whose_gap_is_resolved() -> None:
    row = difference("pgr")
    assert (row.n, row.n_shown, row.wins) == (16, 21, 13)
    assert row.t_pvalue == pytest.approx(0.086, abs=5e-4)
    assert row.wilcoxon_pvalue == pytest.approx(0.065, abs=5e-4)


@pytest.mark.parametrize("saturated_only", [True, False])
def test_in_auc_the_gap_does_not_matter(saturated_only: bool) -> None:
    row = difference("auc", saturated_only=saturated_only)
    assert (row.n, row.wins) == (21, 16)
    assert row.t_pvalue == pytest.approx(0.250, abs=5e-4)
    assert row.wilcoxon_pvalue == pytest.approx(0.016, abs=5e-4)
    # the mean differs by less than the margin, surely so
    assert row.verdict == "no difference"


def test_students_gain_over_their_supervisor() -> None:
    found = compare(published().scores, methods=["logconf"])
    student, other = found.supervisor_gains
    assert (student.method, student.n, student.wins) == ("xent", 21, 21)
    assert student.mean == pytest.approx(0.041, abs=5e-4)
    assert student.verdict == other.verdict == "better"
    assert student.pgr == pytest.approx(0.36, abs=0.005)


@pytest.mark.parametrize(
    ("method", "all_sd", "sd"), [("entropy", 0.111, 0.077), ("logconf", 0.101, 0.074)]
)
def test_two_runs_of_cross_entropy_differ_as_much_as_losses_do(
    method: str, all_sd: float, sd: float
) -> None:
    assert difference("pgr", method, saturated_only=True).sd == pytest.approx(all_sd, abs=5e-4)
    assert difference("pgr", method).sd == pytest.approx(sd, abs=5e-4)


def test_filters_did_harm() -> None:
    for method, mean in (("knn_filter", -0.127), ("logistic_filter", -0.117), ("topofilter", -0.2)):
        row = difference(
            "pgr", method, against="logconf", saturated_only=True, alternative="two-sided"
        )
        assert row.mean == pytest.approx(mean, abs=0.005)  # logconf was read off another plot
        assert row.t_pvalue < 0.02
        assert row.verdict == "worse"


def test_what_is_in_the_file() -> None:
    source = published()
    assert all(url.startswith("https://") for url in source.about["urls"])
    assert len({score.task for score in source.scores}) == 25
    assert len(source.scores) == 21 * 13 + 4
    by_method = {(score.task, score.method): score for score in source.scores}
    saturated = {score.task for score in source.scores if math.isnan(score.pgr)}
    assert saturated == {"ethics-deontology", "ethics-justice", "ethics-virtue", "openbookqa"}
    # the students' AUCs of one plot against the PGRs of another
    for task, auc in {"anli-r2": 0.689, "hellaswag": 0.739, "sciq": 0.932, "boolq": 0.892}.items():
        assert by_method[task, "logconf"].auc == pytest.approx(auc, abs=0.003)
    assert by_method["paws", "knn_probe"].pgr == pytest.approx(AXIS_END)
    for score in source.scores:
        expected = pgr(score.weak_auc, score.auc, score.ceiling_auc)
        assert score.pgr == pytest.approx(expected, nan_ok=True)
