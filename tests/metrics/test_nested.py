"""Variances of rows, cuts and seeds against simulations and against resampling."""

from dataclasses import replace

import numpy as np
import pytest

from tests.metrics.cases import models
from w2sprobe.errors import InputError
from w2sprobe.metrics import ScoredRun, roc_auc
from w2sprobe.metrics.nested import mean_scores

GAP = {"ceiling": 1, "weak": -1}


def run(n=200, seed=0, **labels):
    truth, weak, student, ceiling = models(n, seed)
    return ScoredRun(truth, {"weak": weak, "student": student, "ceiling": ceiling}, **labels)


def shifted(one, model, by, **labels):
    """The same run with one model better on the truth."""
    scores = {**one.scores, model: one.scores[model] + by * one.truth}
    return replace(one, scores=scores, **labels)


def auc(one, model):
    return roc_auc(one.truth, one.scores[model])


def test_means_are_of_learners_then_supervisors_then_cuts():
    one = run()
    runs = [
        shifted(one, "student", by, cut=cut, supervisor=supervisor, learner=learner)
        for cut, supervisor, learner, by in (
            ("a", 0, 0, 0.0),
            ("a", 0, 1, 0.4),
            ("a", 1, 0, 0.8),
            ("b", 0, 0, 1.2),
        )
    ]
    at = [auc(of_run, "student") for of_run in runs]
    expected = (((at[0] + at[1]) / 2 + at[2]) / 2 + at[3]) / 2
    means = mean_scores(runs)
    assert means.contrast({"student": 1}).value == pytest.approx(expected)
    assert means.n_levels == (2, 2, 2)


def test_the_outermost_factor_with_several_levels_gives_the_variance():
    one = run()
    seeds = [shifted(one, "student", by) for by in (0.0, 0.5, 0.2)]
    aucs = np.array([auc(of_seed, "student") for of_seed in seeds])
    for factor in ("cut", "supervisor", "learner"):
        runs = [replace(of, rows=np.arange(200), **{factor: i}) for i, of in enumerate(seeds)]
        found = mean_scores(runs).contrast({"student": 1})
        (_, between) = found.parts
        assert between == pytest.approx((aucs.var(ddof=1) / 3, 2.0))


def test_noise_of_shared_rows_stays_and_of_others_averages_out():
    # the same scores in every run: only rows vary, and all runs share them
    one = run(rows=np.arange(200))
    alone = mean_scores([one]).contrast(GAP)
    copies = [replace(one, supervisor=seed) for seed in range(4)]
    assert mean_scores(copies).contrast(GAP).parts[0][0] == pytest.approx(alone.variance)
    assert mean_scores(copies).contrast(GAP).parts[1][0] == pytest.approx(0)
    # four cuts of other rows: their noise is in the variance between cuts, none is shared
    others = [run(seed=seed, cut=seed, rows=1000 * seed + np.arange(200)) for seed in range(4)]
    shared, between = mean_scores(others).contrast(GAP).parts
    gaps = [auc(of_cut, "ceiling") - auc(of_cut, "weak") for of_cut in others]
    assert shared[0] == pytest.approx(0, abs=1e-9)
    assert between == pytest.approx((np.var(gaps, ddof=1) / 4, 3.0))


def test_rows_of_several_cuts_are_matched_by_name():
    whole = run(400)

    def cut(number, rows):
        scores = {name: values[rows] for name, values in whole.scores.items()}
        return ScoredRun(whole.truth[rows], scores, rows=rows, cut=number)

    half = [cut(0, np.arange(300)), cut(1, np.arange(100, 400))]
    apart = [cut(0, np.arange(200)), cut(1, np.arange(200, 400))]
    order = np.random.default_rng(0).permutation(300)
    moved = [half[0], cut(1, np.arange(100, 400)[order])]
    shared = mean_scores(half).contrast(GAP).parts[0][0]
    assert shared > 0
    assert mean_scores(moved).contrast(GAP).parts[0][0] == pytest.approx(shared)
    assert mean_scores(apart).contrast(GAP).parts[0][0] == pytest.approx(0, abs=1e-9)


def test_shared_variance_is_that_of_resampling_all_cuts_together():
    whole = run(300, seed=5)
    cuts = [np.arange(200), np.arange(100, 300)]
    runs = [
        ScoredRun(
            whole.truth[rows], {n: v[rows] for n, v in whole.scores.items()}, rows=rows, cut=i
        )
        for i, rows in enumerate(cuts)
    ]
    random = np.random.default_rng(0)
    replicates = []
    for _ in range(3000):
        counts = np.bincount(random.integers(300, size=300), minlength=300)
        gaps = []
        for rows in cuts:
            drawn = np.repeat(rows, counts[rows])
            gaps.append(
                roc_auc(whole.truth[drawn], whole.scores["ceiling"][drawn])
                - roc_auc(whole.truth[drawn], whole.scores["weak"][drawn])
            )
        replicates.append(gaps)
    covariance = np.cov(np.array(replicates).T)[0, 1]
    assert mean_scores(runs).contrast(GAP).parts[0][0] == pytest.approx(covariance, rel=0.12)


def test_a_ceiling_beside_several_supervisors_keeps_its_seed_noise():
    one = run()
    runs = [
        shifted(
            shifted(one, "ceiling", ceiling), "weak", weak, supervisor=supervisor, learner=learner
        )
        for supervisor, weak in enumerate((0.0, 0.3, 0.5))
        for learner, ceiling in enumerate((0.0, 0.6))
    ]
    found = mean_scores(runs).contrast(GAP)
    weak = np.var([auc(runs[i], "weak") for i in (0, 2, 4)], ddof=1) / 3
    ceiling = np.var([auc(runs[i], "ceiling") for i in (0, 1)], ddof=1) / 2
    assert np.array(found.parts[1:]) == pytest.approx(np.array([(weak, 2.0), (ceiling, 1.0)]))


def test_groups_vary_together():
    truth, *scores = models(50)
    names = ("weak", "student", "ceiling")
    alone = ScoredRun(truth, dict(zip(names, scores, strict=True)))
    copies = ScoredRun(
        np.tile(truth, 9),
        {name: np.tile(of_model, 9) for name, of_model in alone.scores.items()},
        groups=np.tile([f"passage {row}" for row in range(50)], 9),
    )
    by_group = mean_scores([copies]).contrast(GAP).se
    assert by_group == pytest.approx(mean_scores([alone]).contrast(GAP).se)
    assert mean_scores([replace(copies, groups=None)]).contrast(GAP).se < by_group / 2.5


@pytest.mark.parametrize(
    ("runs", "part"),
    [
        ([run(), run()], "two runs of cut 0, supervisor 0, learner 0"),
        ([run(), run(cut=1, rows=np.arange(200))], "some runs name their rows"),
        ([run(groups=np.zeros(200))], "groups has 1 value"),
        ([run(groups=models(200)[0])], "is in one group alone"),
        ([run(groups=np.zeros(3))], "groups has shape (3,)"),
    ],
)
def test_refused(runs, part):
    with pytest.raises(InputError, match=part.replace("(", r"\(").replace(")", r"\)")):
        mean_scores(runs)
