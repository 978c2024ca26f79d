import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from tests.metrics.cases import models
from w2sprobe import metrics
from w2sprobe.errors import InputError
from w2sprobe.metrics import (
    ScoredRun,
    bootstrap_pgr,
    gap_recovered,
    mean_scores,
    pgr,
    recover,
    roc_auc,
)

INTERVALS = ("weak_auc", "student_auc", "ceiling_auc", "gap", "delta_auc", "pgr")


def test_pgr_by_hand():
    assert pgr(0.6, 0.7, 0.8) == pytest.approx(0.5)
    assert pgr(0.6, 0.5, 0.8) == pytest.approx(-0.5)
    assert pgr(0.6, 0.9, 0.8) == pytest.approx(1.5)
    assert pgr(0.8, 0.7, 0.6) == pytest.approx(0.5)  # a ceiling below the weak model: still a ratio
    assert math.isnan(pgr(0.6, 0.7, 0.6))


def test_points_are_the_full_sample_values():
    truth, weak, student, ceiling = models(300)
    result = bootstrap_pgr(truth, weak, student, ceiling)
    aucs = [roc_auc(truth, scores) for scores in (weak, student, ceiling)]
    assert [result.weak_auc, result.student_auc, result.ceiling_auc] == pytest.approx(aucs)
    assert result.pgr == pytest.approx(pgr(*aucs))
    assert result.gap == pytest.approx(aucs[2] - aucs[0])
    assert result.delta_auc == pytest.approx(aucs[1] - aucs[0])
    assert result.resolved
    assert (result.n_cuts, result.n_supervisors, result.n_learners) == (1, 1, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.pgr = 0.0


def test_standard_errors_are_those_of_resampling_rows_once_for_all_models():
    truth, *scores = models(300, seed=2)
    scores[0] = np.round(scores[0])  # ties
    result = bootstrap_pgr(truth, *scores)
    rows = np.random.default_rng(5).integers(300, size=(3000, 300))
    weak, student, ceiling = (
        np.array([roc_auc(truth[r], model[r]) for r in rows]) for model in scores
    )
    # the standard deviation of 3,000 replicates is right to 1.3 %
    assert result.gap_se == pytest.approx(np.std(ceiling - weak), rel=0.05)
    assert result.delta_estimate.se == pytest.approx(np.std(student - weak), rel=0.05)
    assert result.student.se == pytest.approx(np.std(student), rel=0.05)
    low, high = np.quantile((student - weak) / (ceiling - weak), [0.025, 0.975])
    assert result.pgr_interval == pytest.approx((low, high), abs=0.12 * (high - low))


def test_fieller_is_the_closed_form_where_rows_are_the_only_noise():
    truth, weak, student, ceiling = models(400)
    result = bootstrap_pgr(truth, weak, student, ceiling)
    gap, delta = result.gap_estimate, result.delta_estimate
    less = bootstrap_pgr(truth, student, ceiling, ceiling).gap_estimate  # ceiling - student
    covariance = (gap.variance + delta.variance - less.variance) / 2
    t = stats.t.ppf(0.975, gap.df)
    a = gap.value**2 - t**2 * gap.variance
    b = gap.value * delta.value - t**2 * covariance
    c = delta.value**2 - t**2 * delta.variance
    root = math.sqrt(b**2 - a * c)
    assert result.pgr_interval == pytest.approx(((b - root) / a, (b + root) / a))


def test_students_together_are_what_they_are_alone():
    truth, weak, student, ceiling = models(80)
    scores = {"weak": weak, "a": student, "c": -student, "ceiling": ceiling}
    found = recover([ScoredRun(truth, scores)])
    assert list(found) == list(scores)
    for name, of_model in scores.items():
        alone, together = bootstrap_pgr(truth, weak, of_model, ceiling), found[name]
        assert together.pgr == pytest.approx(alone.pgr)
        assert together.delta_estimate.variance == pytest.approx(alone.delta_estimate.variance)
    with pytest.raises(InputError, match="c has shape"):
        recover([ScoredRun(truth, {**scores, "c": student[1:]})])


def test_only_the_order_of_scores_counts():
    truth, weak, student, ceiling = models(60)
    plain = bootstrap_pgr(truth, weak, student, ceiling)
    assert plain == bootstrap_pgr(truth, np.exp(weak), student * 3, ceiling - 8)


def test_arguments_of_earlier_versions_are_accepted():
    rows = models(60)
    assert bootstrap_pgr(*rows, n_resamples=2000, seed=3) == bootstrap_pgr(*rows)


def test_identical_models_differ_by_exactly_0():
    truth, weak, _, ceiling = models(80)
    result = bootstrap_pgr(truth, weak, weak, ceiling)
    assert (result.delta_auc, result.delta_auc_interval) == (0, (0, 0))
    assert (result.pgr, result.pgr_interval) == (0, (0, 0))
    assert result.delta_estimate.pvalue == 1
    same = bootstrap_pgr(truth, weak, ceiling, ceiling)
    assert (same.pgr, *same.pgr_interval) == pytest.approx((1, 1, 1))


def test_without_a_gap_there_is_no_pgr():
    truth, weak, student, _ = models(80)
    result = bootstrap_pgr(truth, weak, student, weak)
    assert (result.gap, result.gap_interval, result.gap_se) == (0, (0, 0), 0)
    assert np.isnan([result.pgr, *result.pgr_interval]).all()
    assert not result.resolved


def test_pgr_of_a_gap_that_may_be_zero_is_unbounded():
    result = bootstrap_pgr(*models(80, noise=(3.0, 2.0, 2.5)))
    assert result.gap > 0 > result.gap_interval[0]
    assert math.isfinite(result.pgr)
    assert result.pgr_interval == (-math.inf, math.inf)
    assert not result.resolved


@pytest.mark.parametrize(
    ("n", "noise", "resolved"),
    [
        (2000, (3.0, 1.5, 0.8), True),
        (100, (3.0, 2.0, 1.5), False),  # large, but uncertain
        (50_000, (3.0, 2.9, 2.7), False),  # certain, but small
    ],
)
def test_resolved_needs_a_gap_both_large_and_certain(n, noise, resolved):
    result = bootstrap_pgr(*models(n, noise=noise))
    large, certain = result.gap >= metrics.MIN_GAP, result.gap / result.gap_se >= metrics.MIN_GAP_SE
    assert result.resolved == resolved == (large and certain)
    assert large or certain


def test_the_thresholds_of_resolved_can_be_moved():
    rows = models(100, noise=(3.0, 2.0, 1.5))
    ratio = (plain := bootstrap_pgr(*rows)).gap / plain.gap_se
    assert ratio < metrics.MIN_GAP_SE
    assert not plain.resolved
    assert bootstrap_pgr(*rows, min_gap_se=ratio).resolved
    assert not bootstrap_pgr(*rows, min_gap_se=ratio, min_gap=0.9).resolved


def test_groups_of_copies_count_as_one_row():
    rows = models(50)
    alone = bootstrap_pgr(*rows)
    copies = [np.tile(column, 9) for column in rows]
    passages = np.tile([f"passage {row:02}" for row in range(50)], 9)
    grouped = bootstrap_pgr(*copies, groups=passages)
    rowwise = bootstrap_pgr(*copies)
    for name in INTERVALS:
        field = f"{name}_interval"
        assert getattr(grouped, field) == pytest.approx(getattr(alone, field))
    assert rowwise.gap_se == pytest.approx(grouped.gap_se / 3, rel=0.05)  # nine copies: root 9


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # AUC of normal scores: Phi(shift / sqrt 2); weak and ceiling independent
    generator = np.random.default_rng(0)
    n_trials, n, shifts = 400, 200, (0.3, 0.7, 1.2)
    true_auc = stats.norm.cdf(np.array(shifts) / math.sqrt(2))
    true = {
        "delta_auc": true_auc[1] - true_auc[0],
        "gap": true_auc[2] - true_auc[0],
        "pgr": pgr(*true_auc),
        "student_auc": true_auc[1],
    }
    hits = dict.fromkeys(true, 0)
    for _ in range(n_trials):
        truth = np.arange(n) % 2
        scores = [shift * truth + generator.normal(size=n) for shift in shifts]
        result = bootstrap_pgr(truth, *scores)
        for name, value in true.items():
            low, high = getattr(result, f"{name}_interval")
            hits[name] += low <= value <= high
    standard_error = math.sqrt(0.95 * 0.05 / n_trials)
    for name, count in hits.items():
        assert abs(count / n_trials - 0.95) < 4 * standard_error, name


def test_intervals_of_perfect_and_of_reversed_scores_have_no_width():
    truth = np.arange(20) % 2
    result = bootstrap_pgr(truth, -truth, truth, truth)
    assert result.weak_auc_interval == (0, 0)
    assert result.student_auc_interval == (1, 1)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"student": [1, 2, 3]}, ["student has shape (3,)", "n = 4"]),
        ({"ceiling": [1, 2, math.nan, 4]}, ["ceiling is nan, row 2"]),
        ({"truth": [1, 1, 1, 1]}, ["truth has one class"]),
        ({"truth": [1, 1, 1, 0]}, ["class 0 is in one row alone"]),
        ({"groups": [1, 2]}, ["groups has shape (2,)"]),
        ({"groups": ["a"] * 4}, ["groups has 1 value", "groups=None"]),
        ({"student": np.ones((2, 4)), "ceiling": np.ones((3, 4))}, ["have 1, 2, 3 seeds"]),
        (
            {"student": np.ones((2, 3, 4)), "ceiling": np.ones((3, 1, 4))},
            ["weak, student and ceiling have 1, 2 x 3, 3 seeds"],
        ),
        ({"student": np.ones((2, 3))}, ["student has shape (2, 3)"]),
        ({"student": np.ones((0, 4))}, ["student has shape (0, 4)"]),
        ({"student": [[1, 2, 3, 4], [1, 2, math.inf, 4]]}, ["student is inf, row 2"]),
    ],
)
def test_refused(change, parts):
    arguments = {name: [1, 2, 3, 4] for name in ("weak", "student", "ceiling")}
    with pytest.raises(InputError) as error:
        bootstrap_pgr(**{"truth": [0, 1, 0, 1], **arguments, **change})
    for part in parts:
        assert part in str(error.value)


class TestAUCIntervals:
    def test_same_as_those_of_the_gap_recovered(self) -> None:
        random = np.random.default_rng(0)
        truth = np.arange(200) % 2
        scores = [truth + random.normal(size=200) for _ in range(3)]
        groups = np.arange(200) // 4
        whole = metrics.bootstrap_pgr(truth, *scores, groups=groups)
        found = metrics.auc_intervals(truth, scores, groups=groups)
        assert found is not None
        assert found[0] == pytest.approx(whole.weak_auc_interval)
        assert found[2] == pytest.approx(whole.ceiling_auc_interval)

    def test_too_few_groups_have_no_interval(self) -> None:
        truth, scores = np.arange(40) % 2, np.arange(40.0)
        assert metrics.auc_intervals(truth, [scores], groups=np.zeros(40)) is None
        assert metrics.auc_intervals(truth, [scores], groups=truth) is None
        assert metrics.auc_intervals(truth, [scores]) is not None

    def test_stay_within_zero_and_one(self) -> None:
        truth = np.arange(20) % 2
        scores = truth + np.where(np.arange(20) == 3, -2.0, 0.0)
        ((low, high),) = metrics.auc_intervals(truth, [scores])
        assert 0 < low < roc_auc(truth, scores) < high < 1


# --- groups, seeds and cuts


def test_on_clustered_rows_groups_give_wider_intervals():
    # rows of a passage share the noise of their scores, so that there is less to learn from them
    generator = np.random.default_rng(0)
    passage = np.repeat(np.arange(60), 10)
    truth = np.arange(60)[passage] % 2
    scores = [
        truth + noise * (generator.normal(size=60)[passage] + 0.3 * generator.normal(size=600))
        for noise in (2.0, 1.3, 0.8)
    ]
    rowwise = bootstrap_pgr(truth, *scores)
    grouped = bootstrap_pgr(truth, *scores, groups=passage)
    for name in ("weak_auc", "student_auc", "ceiling_auc", "gap", "delta_auc"):
        narrow, wide = (np.ptp(getattr(r, f"{name}_interval")) for r in (rowwise, grouped))
        assert wide > 1.5 * narrow, name
    # where rows are independent groups change little: the law above can fail
    truth, *scores = models(600)
    rowwise = bootstrap_pgr(truth, *scores)
    grouped = bootstrap_pgr(truth, *scores, groups=passage)
    assert grouped.gap_se == pytest.approx(rowwise.gap_se, rel=0.25)


def runs(n, n_seeds, spread, seed=0):
    """Truth, one weak model, and students and ceilings whose quality hangs on their seed."""
    generator = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    weak, student, ceiling = (
        truth * (level + spread * generator.normal(size=(k, 1))) + generator.normal(size=(k, n))
        for level, k in ((0.5, 1), (1.0, n_seeds), (1.6, n_seeds))
    )
    return truth, weak[0], student, ceiling


def test_an_axis_of_one_seed_changes_nothing():
    truth, *scores = models(60)
    plain = bootstrap_pgr(truth, *scores)
    assert bootstrap_pgr(truth, *(s[np.newaxis] for s in scores)) == plain


def test_points_of_several_seeds_are_means_over_seeds():
    truth, weak, student, ceiling = runs(200, 3, 0.1)
    result = bootstrap_pgr(truth, weak, student, ceiling)
    means = [np.mean([roc_auc(truth, run) for run in model]) for model in (student, ceiling)]
    assert (result.student_auc, result.ceiling_auc) == pytest.approx(means)
    assert result.pgr == pytest.approx(pgr(roc_auc(truth, weak), *means))
    assert result.n_supervisors == 3


def test_equal_runs_add_nothing_and_unequal_ones_widen_intervals():
    truth, weak, student, ceiling = runs(300, 1, 0)
    alone = bootstrap_pgr(truth, weak, student, ceiling)
    copies = [np.repeat(model, 4, axis=0) for model in (student, ceiling)]
    same = bootstrap_pgr(truth, weak, *copies)
    assert same.pgr_interval == pytest.approx(alone.pgr_interval)
    # the first runs are the same; the others are better or worse
    other = truth * np.array([[-0.6], [0.0], [0.6], [1.2]]) + student
    spread = bootstrap_pgr(truth, weak, other, copies[1])
    assert np.ptp(spread.student_auc_interval) > 1.5 * np.ptp(alone.student_auc_interval)


def test_axes_of_supervisors_and_learners():
    truth, weak, student, ceiling = runs(200, 6, 0.3)
    weak = np.stack([weak, weak + 0.4 * truth, weak + 0.1 * truth])
    result = bootstrap_pgr(truth, weak, student.reshape(3, 2, 200), ceiling[np.newaxis, :2])
    assert (result.n_cuts, result.n_supervisors, result.n_learners) == (1, 3, 2)
    aucs = np.array([roc_auc(truth, run) for run in student]).reshape(3, 2).mean(axis=1)
    assert result.student.value == pytest.approx(aucs.mean())
    assert result.student.parts[1] == pytest.approx((aucs.var(ddof=1) / 3, 2.0))
    assert result.ceiling.parts[2][1] == 1  # two learners serve all supervisors


def test_cuts_with_rows_of_their_own_have_intervals():
    generator = np.random.default_rng(1)
    truth = np.stack([generator.permutation(np.arange(100) % 2) for _ in range(4)])
    scores = [level * truth + generator.normal(size=truth.shape) for level in (0.5, 1.0, 1.6)]
    result = bootstrap_pgr(truth, *scores)
    gaps = [
        roc_auc(t, c) - roc_auc(t, w) for t, w, c in zip(truth, scores[0], scores[2], strict=True)
    ]
    assert result.n_cuts == 4
    assert result.gap_interval == pytest.approx(
        tuple(stats.ttest_1samp(gaps, 0).confidence_interval(0.95))
    )
    names = np.tile(np.arange(100), (4, 1))
    same_rows = bootstrap_pgr(truth[:1].repeat(4, axis=0), *scores, rows=names)
    assert same_rows.n_cuts == 4


def test_any_model_can_be_the_ceiling():
    truth, weak, student, ceiling = runs(200, 4, 0.1)
    own = (student + ceiling) / 2
    scores = {"weak": np.stack([weak] * 4), "ceiling": ceiling, "probe": student, "own": own}
    means = mean_scores(
        [
            ScoredRun(truth, {name: of[seed] for name, of in scores.items()}, supervisor=seed)
            for seed in range(4)
        ]
    )
    found = gap_recovered(means, "probe", "own")
    expected = bootstrap_pgr(truth, weak, student, own)
    for name in INTERVALS:
        interval = f"{name}_interval"
        assert getattr(found, interval) == pytest.approx(getattr(expected, interval))
    assert (found.pgr, found.gap_se) == pytest.approx((expected.pgr, expected.gap_se))
    published = gap_recovered(means, "probe")
    assert published.pgr == pytest.approx(bootstrap_pgr(truth, weak, student, ceiling).pgr)
    assert published.pgr > found.pgr + 0.05
    assert gap_recovered(means, "own", "own").pgr == 1
