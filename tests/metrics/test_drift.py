"""Verdicts on a saved probe: what is called a loss, a stale threshold, and chance."""

from collections import Counter

import numpy as np
import pytest

from w2sprobe.errors import InputError
from w2sprobe.metrics import (
    MIN_ROWS,
    Estimate,
    auc_change,
    auc_estimate,
    auc_inside_folds,
    bootstrap_pgr,
    judge,
    rate_change,
    rates_at,
    roc_auc,
)

RANDOM = np.random.default_rng(0)
TRUTH = np.arange(400) % 2
SCORES = RANDOM.normal(size=400) + 1.5 * TRUTH
INF = float("inf")


def test_the_variance_of_an_auc_is_delongs() -> None:
    found = auc_estimate(TRUTH, SCORES)
    assert found.value == roc_auc(TRUTH, SCORES)
    ones, zeros = SCORES[TRUTH == 1], SCORES[TRUTH == 0]
    beats = ones[:, None] > zeros
    expected = beats.mean(1).var(ddof=1) / len(ones) + beats.mean(0).var(ddof=1) / len(zeros)
    assert found.variance == pytest.approx(expected)


def test_groups_count_as_one_row() -> None:
    doubled = np.repeat(TRUTH, 2), np.repeat(SCORES, 2)
    grouped = auc_estimate(*doubled, np.repeat(np.arange(400), 2))
    assert grouped.se == pytest.approx(auc_estimate(TRUTH, SCORES).se)
    assert auc_estimate(*doubled).se == pytest.approx(grouped.se / np.sqrt(2), rel=0.01)


def test_folds_are_averaged_and_their_variances_added() -> None:
    folds = np.arange(400) // 100
    found = auc_estimate(TRUTH, SCORES + 3 * folds, folds=folds)
    assert found.value == auc_inside_folds(TRUTH, SCORES, folds).auc
    alone = [auc_estimate(TRUTH[folds == f], SCORES[folds == f]).variance for f in range(4)]
    assert found.variance == pytest.approx(sum(alone) / 16)
    lacking = auc_estimate(np.where(folds == 0, 1, TRUTH), SCORES, folds=folds)
    assert len(lacking.parts) == 3


def test_without_two_rows_of_a_class_there_is_no_variance() -> None:
    assert auc_estimate([0, 0, 1], [0.1, 0.2, 0.3]) == Estimate(1.0, ())
    with pytest.raises(InputError, match="one class in every fold"):
        auc_estimate([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], folds=[0, 0, 1, 1])


def test_a_change_on_the_same_rows_is_that_of_the_paired_bootstrap() -> None:
    new = SCORES + 0.7 * RANDOM.normal(size=400)
    change = auc_change(TRUTH, new, SCORES)
    assert change.value == pytest.approx(roc_auc(TRUTH, new) - roc_auc(TRUTH, SCORES))
    drawn = bootstrap_pgr(TRUTH, SCORES, new, SCORES + TRUTH, n_resamples=4000)
    assert change.interval == pytest.approx(drawn.delta_auc_interval, abs=4e-3)
    unpaired = auc_estimate(TRUTH, new).variance + auc_estimate(TRUTH, SCORES).variance
    assert change.variance < 0.6 * unpaired


def rates(saved: np.ndarray, new: np.ndarray, threshold: float) -> dict:
    both = [rates_at(TRUTH, scores, threshold) for scores in (saved, new)]
    masks = {"recall": TRUTH == 1, "false-positive rate": TRUTH == 0}
    return {
        name: rate_change(old, now, (saved[mask] > threshold, new[mask] > threshold))
        for (name, mask), old, now in zip(masks.items(), *both, strict=True)
    }


def verdict(new: np.ndarray, **options: float) -> str:
    change = auc_change(TRUTH, new, SCORES)
    return judge(change, rates(SCORES, new, 1.6), (200, 200), **options)[0]


def test_each_verdict() -> None:
    noise = RANDOM.normal(size=400)
    assert verdict(SCORES) == "holds"
    assert verdict(SCORES + 1e-3 * noise) == "holds"
    assert verdict(SCORES + 0.5) == verdict(SCORES - 0.7) == "threshold stale"
    assert verdict(noise) == "degraded"
    assert verdict(SCORES + 1.5 * TRUTH) != "degraded"  # better is not worse
    assert verdict(SCORES + 0.45 * noise) == "unsure"
    assert verdict(SCORES + 0.45 * noise, tolerance=0.2) == "holds"


def test_a_stale_threshold_is_named_whatever_the_auc_does() -> None:
    stale = rates(SCORES, SCORES + 1, 1.6)
    for value in (0.0, -0.03, -0.2):
        _, reasons = judge(Estimate(value, ((0.02**2, INF),)), stale, (200, 200))
        assert "false-positive rate" in reasons[-1]


@pytest.mark.parametrize(
    ("value", "se", "expected"),
    [
        (0, 0.005, "holds"),
        (0.1, 0.05, "holds"),
        (0, 0.02, "unsure"),
        (-0.03, 0.02, "unsure"),
        (-0.03, 0.004, "degraded"),
        (-0.015, 0.001, "holds"),
    ],
)
def test_the_interval_decides(value: float, se: float, expected: str) -> None:
    found, reasons = judge(Estimate(value, ((se**2, INF),)), {}, (100, 100))
    assert found == expected
    assert f"{value:+.3f}" in reasons[0]


def test_few_rows_are_never_enough() -> None:
    perfect = Estimate(0.0, ((0.0, INF),))
    assert judge(perfect, {}, (MIN_ROWS, MIN_ROWS))[0] == "holds"
    for counts in ((MIN_ROWS - 1, 500), (500, MIN_ROWS - 1)):
        found, (reason,) = judge(perfect, {}, counts)
        assert (found, str(MIN_ROWS) in reason) == ("unsure", True)
    assert judge(Estimate(0.0, ()), {}, (100, 100))[0] == "unsure"


def test_a_rate_that_might_have_moved_by_chance_is_unsure() -> None:
    few = rate_change(
        rates_at([1] * 20 + [0], [*(np.arange(20) < 2), 0], 0.5)[0],
        rates_at([1] * 20 + [0], [*(np.arange(20) < 7), 0], 0.5)[0],
    )
    found, reasons = judge(Estimate(0.0, ((1e-6, INF),)), {"recall": few}, (20, 20))
    assert found == "unsure"
    assert "recall 0.350 left" in reasons[1]
    assert "chance" in reasons[1]


def test_without_drift_few_probes_are_blamed() -> None:
    """Fresh noise of the size of a cast to bfloat16; a shift of half a deviation is the twin."""
    random, counts, shifted = np.random.default_rng(2), Counter(), Counter()
    for _ in range(150):
        saved = random.normal(size=400) + 1.5 * TRUTH
        threshold = float(np.sort(saved[TRUTH == 0])[-11])  # ten of 200 zeros are above
        for count, new in (
            (counts, saved + 0.02 * random.normal(size=400)),
            (shifted, saved + 0.5),
        ):
            change = auc_change(TRUTH, new, saved)
            count[judge(change, rates(saved, new, threshold), (200, 200))[0]] += 1
    assert counts["holds"] >= 148
    assert shifted["threshold stale"] >= 148
