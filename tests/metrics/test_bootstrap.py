import dataclasses
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.metrics.cases import models
from w2sprobe import metrics
from w2sprobe.errors import InputError
from w2sprobe.metrics import bootstrap_pgr, bootstrap_pgrs, pgr, roc_auc


def test_pgr_by_hand():
    assert pgr(0.6, 0.7, 0.8) == pytest.approx(0.5)
    assert pgr(0.6, 0.5, 0.8) == pytest.approx(-0.5)
    assert pgr(0.6, 0.9, 0.8) == pytest.approx(1.5)
    assert pgr(0.8, 0.7, 0.6) == pytest.approx(0.5)  # a ceiling below the weak model: still a ratio
    assert math.isnan(pgr(0.6, 0.7, 0.6))


def test_bootstrap_points_are_the_full_sample_values():
    truth, weak, student, ceiling = models(300)
    result = bootstrap_pgr(truth, weak, student, ceiling, n_resamples=50)
    aucs = [roc_auc(truth, scores) for scores in (weak, student, ceiling)]
    assert [result.weak_auc, result.student_auc, result.ceiling_auc] == aucs
    assert result.pgr == pgr(*aucs)
    assert result.gap == aucs[2] - aucs[0]
    assert result.delta_auc == aucs[1] - aucs[0]
    assert result.resolved
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.pgr = 0.0


def test_bootstrap_is_the_plain_one_with_rows_drawn_once_for_all_models():
    truth, *scores = models(40)
    scores[0] = np.round(scores[0])  # ties
    result = bootstrap_pgr(truth, *scores, n_resamples=200, seed=5)
    rows = np.random.default_rng(5).integers(40, size=(200, 40))
    weak, student, ceiling = (
        np.array([roc_auc_score(truth[r], model[r]) for r in rows]) for model in scores
    )
    ratio = ((student - weak) / (ceiling - weak))[ceiling > weak]

    def percentiles(values):
        return pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))

    assert result.weak_auc_interval == percentiles(weak)
    assert result.student_auc_interval == percentiles(student)
    assert result.ceiling_auc_interval == percentiles(ceiling)
    assert result.delta_auc_interval == percentiles(student - weak)
    assert result.gap_interval == percentiles(ceiling - weak)
    assert result.gap_se == pytest.approx(np.std(ceiling - weak, ddof=1))
    assert result.no_gap_share == pytest.approx(np.mean(ceiling <= weak))
    assert result.pgr_interval == percentiles(ratio)


def test_students_together_are_what_they_are_alone():
    truth, weak, student, ceiling = models(80)
    students = {"a": student, "weak": weak, "b": np.array([student, ceiling]), "c": -student}
    found = bootstrap_pgrs(truth, weak, students, ceiling, n_resamples=50)
    for name, one in students.items():
        alone = bootstrap_pgr(truth, weak, one, ceiling, n_resamples=50)
        assert dataclasses.replace(found[name], n_seeds=1) == dataclasses.replace(alone, n_seeds=1)
    with pytest.raises(InputError, match="student b"):
        bootstrap_pgrs(truth, weak, {"a": student, "b": student[1:]}, ceiling)


def test_bootstrap_depends_on_seed_and_not_on_block_size(monkeypatch):
    rows = models(60)
    first = bootstrap_pgr(*rows, n_resamples=100, seed=1)
    assert first == bootstrap_pgr(*rows, n_resamples=100, seed=1)
    assert first != bootstrap_pgr(*rows, n_resamples=100, seed=2)
    monkeypatch.setattr(metrics.bootstrap, "BLOCK_CELLS", 7 * 60)
    assert first == bootstrap_pgr(*rows, n_resamples=100, seed=1)


def test_bootstrap_sees_only_the_order_of_scores():
    truth, weak, student, ceiling = models(60)
    plain = bootstrap_pgr(truth, weak, student, ceiling, n_resamples=50)
    assert plain == bootstrap_pgr(truth, np.exp(weak), student * 3, ceiling - 8, n_resamples=50)


def test_identical_models_differ_by_exactly_nothing_in_every_replicate():
    truth, weak, _, ceiling = models(80)
    result = bootstrap_pgr(truth, weak, weak, ceiling, n_resamples=100)
    assert (result.delta_auc, result.delta_auc_interval) == (0, (0, 0))
    assert (result.pgr, result.pgr_interval) == (0, (0, 0))
    same = bootstrap_pgr(truth, weak, ceiling, ceiling, n_resamples=100)
    assert (same.pgr, same.pgr_interval) == (1, (1, 1))


def test_without_a_gap_there_is_no_pgr():
    truth, weak, student, _ = models(80)
    result = bootstrap_pgr(truth, weak, student, weak, n_resamples=100)
    assert (result.gap, result.gap_interval, result.gap_se) == (0, (0, 0), 0)
    assert np.isnan([result.pgr, *result.pgr_interval]).all()
    assert result.no_gap_share == 1
    assert not result.resolved


def test_pgr_of_a_gap_that_may_be_zero_is_unbounded():
    result = bootstrap_pgr(*models(80, noise=(3.0, 2.0, 2.5)), n_resamples=400)
    assert result.gap > 0
    assert result.no_gap_share > 0.025
    assert math.isfinite(result.pgr)
    assert result.pgr_interval == (-math.inf, math.inf)
    assert not result.resolved


def test_the_odd_replicate_without_a_gap_is_left_out_of_the_interval():
    truth = np.arange(60) % 2
    weak = truth.copy()
    weak[1:13:2] = -1  # six rows wrong: about exp(-6) of the replicates have none of them
    result = bootstrap_pgr(truth, weak, truth, truth)
    assert 0 < result.no_gap_share < 0.025
    assert (result.pgr, result.pgr_interval) == (1, (1, 1))


@pytest.mark.parametrize(
    ("n", "noise", "resolved"),
    [
        (2000, (3.0, 1.5, 0.8), True),
        (100, (3.0, 2.0, 1.5), False),  # large, but uncertain
        (50_000, (3.0, 2.9, 2.7), False),  # certain, but small
    ],
)
def test_resolved_needs_a_gap_both_large_and_certain(n, noise, resolved):
    result = bootstrap_pgr(*models(n, noise=noise), n_resamples=200)
    large, certain = result.gap >= metrics.MIN_GAP, result.gap / result.gap_se >= metrics.MIN_GAP_SE
    assert result.resolved == resolved == (large and certain)
    assert large or certain


def test_groups_of_copies_count_as_one_row():
    rows = models(50)
    alone = bootstrap_pgr(*rows, n_resamples=200)
    copies = [np.tile(column, 9) for column in rows]
    passages = np.tile([f"passage {row:02}" for row in range(50)], 9)
    grouped = bootstrap_pgr(*copies, n_resamples=200, groups=passages)
    rowwise = bootstrap_pgr(*copies, n_resamples=200)
    for field in ("gap_interval", "delta_auc_interval", "pgr_interval", "gap_se"):
        assert getattr(grouped, field) == pytest.approx(getattr(alone, field))
    assert rowwise.gap_se == pytest.approx(grouped.gap_se / 3, rel=0.3)  # nine copies: root 9


def test_replicates_of_one_class_are_drawn_again_and_counted():
    truth = [0, 0, 1]
    result = bootstrap_pgr(truth, [1, 3, 2], [1, 2, 2], [1, 2, 3], n_resamples=300)
    # (8 + 1) of 27 draws have one class, and 300 good ones are wanted
    expected, deviation = 300 * 9 / 18, math.sqrt(300 * (1 / 3) / (2 / 3) ** 2)
    assert abs(result.n_redrawn - expected) < 4 * deviation
    assert bootstrap_pgr(*models(500), n_resamples=300).n_redrawn == 0


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    # AUC of normal scores: Phi(shift / sqrt 2); weak and ceiling independent
    generator = np.random.default_rng(0)
    n_trials, n, shifts = 300, 200, (0.3, 0.7, 1.2)
    true_auc = stats.norm.cdf(np.array(shifts) / math.sqrt(2))
    true = {
        "delta_auc": true_auc[1] - true_auc[0],
        "gap": true_auc[2] - true_auc[0],
        "pgr": pgr(*true_auc),
        "student_auc": true_auc[1],
    }
    hits = dict.fromkeys(true, 0)
    for trial in range(n_trials):
        truth = np.arange(n) % 2
        scores = [shift * truth + generator.normal(size=n) for shift in shifts]
        result = bootstrap_pgr(truth, *scores, n_resamples=200, seed=trial)
        for name, value in true.items():
            low, high = getattr(result, f"{name}_interval")
            hits[name] += low <= value <= high
    standard_error = math.sqrt(0.95 * 0.05 / n_trials)
    for name, count in hits.items():
        # 2 % of slack: percentile intervals from 200 replicates are a little too narrow
        assert abs(count / n_trials - 0.95) < 4 * standard_error + 0.02, name


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"student": [1, 2, 3]}, ["student has shape (3,)", "(4,)"]),
        ({"ceiling": [1, 2, math.nan, 4]}, ["ceiling is nan, row 2"]),
        ({"truth": [1, 1, 1, 1]}, ["truth has one class"]),
        ({"groups": [1, 2]}, ["groups has shape (2,)"]),
        ({"groups": ["a"] * 4}, ["groups has 1 value", "groups=None"]),
        ({"n_resamples": 1}, ["n_resamples too small: 1"]),
        ({"seed": -1}, ["seed negative: -1"]),
    ],
)
def test_bootstrap_refuses(change, parts):
    arguments = {name: [1, 2, 3, 4] for name in ("weak", "student", "ceiling")}
    with pytest.raises(InputError) as error:
        bootstrap_pgr(**{"truth": [0, 1, 0, 1], **arguments, **change})
    for part in parts:
        assert part in str(error.value)


class TestAUCIntervals:
    def test_same_as_those_of_the_paired_bootstrap(self) -> None:
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


# --- thresholds


def test_the_thresholds_of_resolved_can_be_moved():
    rows = models(100, noise=(3.0, 2.0, 1.5))
    ratio = (plain := bootstrap_pgr(*rows, n_resamples=200)).gap / plain.gap_se
    assert ratio < metrics.MIN_GAP_SE
    assert not plain.resolved
    assert bootstrap_pgr(*rows, n_resamples=200, min_gap_se=ratio).resolved
    assert not bootstrap_pgr(*rows, n_resamples=200, min_gap_se=ratio, min_gap=0.9).resolved


# --- groups and seeds


def test_on_clustered_rows_groups_give_wider_intervals():
    # rows of a passage share the noise of their scores, so that there is less to learn from them
    generator = np.random.default_rng(0)
    passage = np.repeat(np.arange(60), 10)
    truth = np.arange(60)[passage] % 2
    scores = [
        truth + noise * (generator.normal(size=60)[passage] + 0.3 * generator.normal(size=600))
        for noise in (2.0, 1.3, 0.8)
    ]
    rowwise = bootstrap_pgr(truth, *scores, n_resamples=400)
    grouped = bootstrap_pgr(truth, *scores, n_resamples=400, groups=passage)
    for name in ("weak_auc", "student_auc", "ceiling_auc", "gap", "delta_auc"):
        narrow, wide = (np.ptp(getattr(r, f"{name}_interval")) for r in (rowwise, grouped))
        assert wide > 1.5 * narrow, name
    # where rows are independent groups change little: the law above can fail
    truth, *scores = models(600)
    rowwise = bootstrap_pgr(truth, *scores, n_resamples=400)
    grouped = bootstrap_pgr(truth, *scores, n_resamples=400, groups=passage)
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


def test_one_seed_is_no_seed():
    truth, *scores = models(60)
    plain = bootstrap_pgr(truth, *scores, n_resamples=50)
    assert bootstrap_pgr(truth, *(s[np.newaxis] for s in scores), n_resamples=50) == plain
    assert plain.n_seeds == 1


def test_points_of_several_seeds_are_means_over_seeds():
    truth, weak, student, ceiling = runs(200, 3, 0.1)
    result = bootstrap_pgr(truth, weak, student, ceiling, n_resamples=20)
    means = [np.mean([roc_auc(truth, run) for run in model]) for model in (student, ceiling)]
    assert (result.student_auc, result.ceiling_auc) == pytest.approx(means)
    assert result.pgr == pytest.approx(pgr(roc_auc(truth, weak), *means))
    assert result.n_seeds == 3


def test_seeds_are_drawn_once_for_all_models_and_apart_from_rows():
    truth, weak, student, ceiling = runs(40, 3, 0.3)
    result = bootstrap_pgr(truth, weak, student, ceiling, n_resamples=100, seed=4)
    rows = np.random.default_rng(4).integers(40, size=(100, 40))
    seeds = np.random.default_rng([4, 1]).integers(3, size=(100, 3))

    def replicates(model):
        return np.array(
            [
                np.mean([roc_auc_score(truth[r], model[i][r]) for i in s])
                for r, s in zip(rows, seeds, strict=True)
            ]
        )

    low = np.array([roc_auc_score(truth[r], weak[r]) for r in rows])
    delta, gap = replicates(student) - low, replicates(ceiling) - low
    assert result.delta_auc_interval == pytest.approx(np.quantile(delta, [0.025, 0.975]))
    assert result.gap_se == pytest.approx(np.std(gap, ddof=1))


def test_equal_runs_add_nothing_and_unequal_ones_widen_intervals():
    truth, weak, student, ceiling = runs(300, 1, 0)
    alone = bootstrap_pgr(truth, weak, student, ceiling, n_resamples=200)
    copies = [np.repeat(model, 4, axis=0) for model in (student, ceiling)]
    same = bootstrap_pgr(truth, weak, *copies, n_resamples=200)
    assert same.pgr_interval == pytest.approx(alone.pgr_interval)
    # the first runs are the same; the others are better or worse
    other = truth * np.array([[-0.6], [0.0], [0.6], [1.2]]) + student
    spread = bootstrap_pgr(truth, weak, other, copies[1], n_resamples=200)
    assert np.ptp(spread.student_auc_interval) > 1.5 * np.ptp(alone.student_auc_interval)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"student": np.ones((2, 4)), "ceiling": np.ones((3, 4))}, "have 1, 2, 3 seeds"),
        ({"student": np.ones((2, 3))}, "student, seed 0 has shape (3,)"),
        ({"student": np.ones((0, 4))}, "student has shape (0, 4)"),
        ({"student": [[1, 2, 3, 4], [1, 2, math.inf, 4]]}, "student, seed 1 is inf, row 2"),
    ],
)
def test_seeds_that_do_not_fit(change, part):
    arguments = {name: [1, 2, 3, 4] for name in ("weak", "student", "ceiling")}
    with pytest.raises(InputError) as error:
        bootstrap_pgr(**{"truth": [0, 1, 0, 1], **arguments, **change})
    assert part in str(error.value)
