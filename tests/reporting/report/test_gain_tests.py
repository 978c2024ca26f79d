"""Tests of single gains: equivalence, and the smallest difference that they find."""

import math

import numpy as np
import pytest
from scipy import stats

from tests.reporting.report.cases import DF, EARLIER, estimate, row
from w2sprobe.comparison import Analysis
from w2sprobe.metrics import Estimate, detectable_effect
from w2sprobe.reporting.report.gain_tests import (
    detectable,
    equivalence,
    gain_of,
    judged,
    judged_together,
)


def test_equivalence_is_that_of_two_one_sided_tests() -> None:
    for value in (-0.004, 0.0, 0.007, 0.03):
        gain = estimate(value, 0.003)
        expected = max(
            stats.t.sf((value + 0.01) / 0.003, DF), stats.t.cdf((value - 0.01) / 0.003, DF)
        )
        assert equivalence(gain, 0.01) == pytest.approx(expected)
        inner = gain.value + gain.critical(0.05) * gain.se * np.array([-1, 1])
        assert (equivalence(gain, 0.01) < 0.05) == bool((np.abs(inner) < 0.01).all())
    assert math.isnan(equivalence(estimate(0.0, 0.0), 0.01))
    assert judged(estimate(0.0, 0.0), Analysis()) == "undecided"  # nothing varies: no test


def test_the_smallest_detectable_difference_is_nearly_exact() -> None:
    # a t test of n differences has standard error sd / sqrt(n)
    exact = detectable_effect(0.05, 20)
    gain = Estimate(0.0, ((0.05**2 / 20, 19),))
    assert detectable(gain, 0.05) == pytest.approx(exact, rel=0.01)


def test_several_tests_are_corrected_together() -> None:
    border = estimate(0.01 * stats.t.isf(0.02, DF))  # p = .04 by itself
    assert judged_together({"a": border}, Analysis())["a"][1] == "better"
    found = judged_together({"a": border, "b": estimate(-0.04)}, Analysis())
    assert found["b"][1] == "worse"
    assert found["a"] == (pytest.approx(border.pvalue), "better")  # the last step of Holm
    found = judged_together({"a": border, "b": estimate(0.0)}, Analysis())
    assert found["a"] == (pytest.approx(2 * border.pvalue), "undecided")


def test_earlier_versions_have_no_estimate() -> None:
    assert gain_of(row("x", 0.9, **EARLIER)) is None
    gain = gain_of(row("x", 0.9))
    assert gain is not None
    assert gain.interval == pytest.approx(estimate(0.1).interval)
