import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from w2sprobe import metrics
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.metrics import bootstrap_pgr, paired_tests, pgr, roc_auc

# PGR of the published students over 21 tasks, read off the figures of EleutherAI, "Experiments in
# Weak-to-Strong Generalization" (2024), to about .003.
PUBLISHED_LOGCONF = [
    0.420, 0.839, 0.408, 0.696, 0.648, 0.228, 0.450, 0.234, 0.109, 0.444, 0.052,
    0.252, 1.061, 0.411, 0.492, 0.603, 0.810, 0.297, 0.450, 0.525, 0.678,
]  # fmt: skip
PUBLISHED_XENT = [
    0.285, 0.792, 0.378, 0.606, 0.504, 0.198, 0.408, 0.264, 0.219, 0.399, 0.186,
    0.225, 1.055, 0.393, 0.549, 0.564, 0.786, 0.007, 0.420, 0.474, 0.869,
]  # fmt: skip


def models(n, seed=0, noise=(3.0, 1.5, 0.8)):
    """Truth, and scores of a weak model, a student and a ceiling that share part of their noise."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, n)
    shared = generator.normal(size=n)
    return truth, *(truth + s * (shared + generator.normal(size=n)) / 2 for s in noise)


@st.composite
def scored_rows(draw):
    """Few distinct scores, so that ties are common; both classes."""
    truth = draw(
        st.lists(st.integers(0, 1), min_size=2, max_size=30).filter(lambda t: len({*t}) == 2)
    )
    scores = draw(st.lists(st.integers(-4, 4), min_size=len(truth), max_size=len(truth)))
    return np.array(truth), np.array(scores, dtype=np.float64)


laws = settings(deadline=None, max_examples=60, derandomize=True)


# --- AUC


@pytest.mark.parametrize(
    ("truth", "scores", "expected"),
    [
        ([0, 1], [0.1, 0.2], 1.0),
        ([0, 1], [0.2, 0.1], 0.0),
        ([0, 1, 0, 1], [7, 7, 7, 7], 0.5),
        ([0, 0, 1, 1], [1, 3, 2, 4], 0.75),
        ([1, 0, 0], [2, 2, 1], 0.75),  # beats one, ties one
        ([True, False, True], [0.5, 0.5, 0.9], 0.75),
    ],
)
def test_auc_by_hand(truth, scores, expected):
    assert roc_auc(truth, scores) == expected
    assert roc_auc(truth[::-1], scores[::-1]) == expected  # row order does not decide ties


@laws
@given(scored_rows())
def test_auc_agrees_with_scipy_and_sklearn(rows):
    truth, scores = rows
    u = stats.mannwhitneyu(scores[truth == 1], scores[truth == 0]).statistic
    assert roc_auc(truth, scores) == pytest.approx(u / (truth.sum() * (1 - truth).sum()))
    assert roc_auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores))


@laws
@given(scored_rows())
def test_auc_laws(rows):
    truth, scores = rows
    auc = roc_auc(truth, scores)
    assert roc_auc(truth, np.exp(scores)) == auc  # monotone transform
    assert roc_auc(truth, scores.astype(np.float32) / 3) == auc
    assert roc_auc(truth, -scores) == pytest.approx(1 - auc)
    assert roc_auc(1 - truth, scores) == pytest.approx(1 - auc)
    assert roc_auc(np.tile(truth, 3), np.tile(scores, 3)) == pytest.approx(auc)


def test_auc_sees_a_transform_that_is_not_monotone():
    assert roc_auc([0, 1], np.square([-2, 1])) != roc_auc([0, 1], [-2, 1])


@pytest.mark.parametrize(
    ("truth", "scores", "parts"),
    [
        ([1, 1], [0.1, 0.2], ["truth has one class", "both classes"]),
        ([], [], ["truth has one class in 0 rows"]),
        ([0, 0.3, 1, 2], [1, 2, 3, 4], ["truth is 0.3, row 1", "1 more", "0 and 1"]),
        ([0, math.nan], [1, 2], ["truth is nan"]),
        ([[0, 1]], [1, 2], ["truth has shape (1, 2)"]),
        ([0, 1], [1.0, math.nan], ["scores is nan, row 1", "finite"]),
        ([0, 1], [math.inf, 1.0], ["scores is inf, row 0", "finite"]),
        ([0, 1], [1, 2, 3], ["scores has shape (3,)", "(2,)"]),
        ([0, 1], [[1], [2]], ["scores has shape (2, 1)"]),
        ([0, 1], ["a", "b"], ["scores has dtype", "numbers"]),
    ],
)
def test_auc_refuses(truth, scores, parts):
    with pytest.raises(InputError) as error:
        roc_auc(truth, scores)
    for part in parts:
        assert part in str(error.value)


# --- PGR


def test_pgr_by_hand():
    assert pgr(0.6, 0.7, 0.8) == pytest.approx(0.5)
    assert pgr(0.6, 0.5, 0.8) == pytest.approx(-0.5)
    assert pgr(0.6, 0.9, 0.8) == pytest.approx(1.5)
    assert pgr(0.8, 0.7, 0.6) == pytest.approx(0.5)  # a ceiling below the weak model: still a ratio
    assert math.isnan(pgr(0.6, 0.7, 0.6))


# --- bootstrap


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


def test_bootstrap_depends_on_seed_and_not_on_block_size(monkeypatch):
    rows = models(60)
    first = bootstrap_pgr(*rows, n_resamples=100, seed=1)
    assert first == bootstrap_pgr(*rows, n_resamples=100, seed=1)
    assert first != bootstrap_pgr(*rows, n_resamples=100, seed=2)
    monkeypatch.setattr(metrics, "BLOCK_CELLS", 7 * 60)
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
    large, certain = result.gap >= metrics.MIN_GAP, result.gap / result.gap_se >= metrics.MIN_GAP_Z
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


# --- paired tests


def test_published_students_give_the_published_tests():
    result = paired_tests(PUBLISHED_LOGCONF, PUBLISHED_XENT)
    assert (result.n, result.wins) == (21, 16)
    assert result.t_pvalue == pytest.approx(0.134, abs=5e-4)
    assert result.wilcoxon_pvalue == pytest.approx(0.072, abs=5e-4)
    assert result.sign_pvalue == pytest.approx(stats.binom.sf(15, 21, 0.5))


@pytest.mark.parametrize("alternative", metrics.ALTERNATIVES)
def test_paired_tests_agree_with_scipy(alternative):
    generator = np.random.default_rng(0)
    a, b = generator.normal(0.2, 1, 15), generator.normal(0, 1, 15)
    result = paired_tests(a, b, alternative=alternative)
    assert result.t_pvalue == pytest.approx(stats.ttest_rel(a, b, alternative=alternative).pvalue)
    assert result.wilcoxon_pvalue == pytest.approx(
        stats.wilcoxon(a, b, alternative=alternative).pvalue
    )
    assert result.sign_pvalue == pytest.approx(
        stats.binomtest(result.wins, 15, alternative=alternative).pvalue
    )


def test_exchanging_the_methods_exchanges_the_alternatives():
    greater = paired_tests(PUBLISHED_LOGCONF, PUBLISHED_XENT)
    less = paired_tests(PUBLISHED_XENT, PUBLISHED_LOGCONF, alternative="less")
    assert less.wins == 5
    for name in ("t_pvalue", "wilcoxon_pvalue", "sign_pvalue"):
        assert getattr(less, name) == pytest.approx(getattr(greater, name))


def test_rounding_noise_decides_neither_ties_nor_ranks():
    a, b = [0.3, 0.2, 0.4, 0.1 + 0.2, 0.5], [0.2, 0.1, 0.3, 0.3, 0.7]
    assert len(set(np.subtract(a, b)[:3])) == 3  # 0.1 three times, but for the last bits
    assert a[3] != b[3]
    noisy, exact = paired_tests(a, b), paired_tests([1, 1, 1, 0, -2], [0, 0, 0, 0, 0])
    assert noisy.wins == exact.wins == 3
    assert noisy.wilcoxon_pvalue == exact.wilcoxon_pvalue
    assert noisy.sign_pvalue == exact.sign_pvalue


def test_without_differences_nothing_is_shown():
    result = paired_tests([0.1, 0.5], [0.1, 0.5])
    assert (result.n, result.wins) == (2, 0)
    assert math.isnan(result.t_pvalue)
    assert (result.wilcoxon_pvalue, result.sign_pvalue) == (1, 1)


def test_equal_differences_have_no_t_test():
    result = paired_tests([1, 2, 3], [0, 1, 2])
    assert math.isnan(result.t_pvalue)
    assert (result.wilcoxon_pvalue, result.sign_pvalue) == (1 / 8, 1 / 8)


@pytest.mark.parametrize(
    ("a", "b", "part"),
    [
        ([0.1, math.nan], [0.1, 0.2], "a is nan, row 1"),
        ([0.1, 0.2], [math.nan, 0.2], "b is nan, row 0"),
        ([0.1, 0.2], [0.1], "b has shape (1,)"),
        ([0.1], [0.1], "a has shape (1,)"),
        (0.1, 0.1, "a has shape ()"),
    ],
)
def test_paired_tests_refuse(a, b, part):
    with pytest.raises(InputError) as error:
        paired_tests(a, b)
    assert part in str(error.value)


def test_unknown_alternative():
    with pytest.raises(UnknownName, match="'greater'"):
        paired_tests([1, 2], [3, 4], alternative="greatr")


# --- imports


@pytest.mark.parametrize(("module", "loaded"), [("w2sprobe.metrics", False), ("torch", True)])
def test_metrics_do_not_load_torch(module, loaded):
    code = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(loaded)


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
