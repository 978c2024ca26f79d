import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metrics.cases import laws
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import roc_auc, soft_auc
from w2sprobe.training.settings import STOPPING_RULES
from w2sprobe.training.stopping import selection_score, undefined, validation_scores

P = np.array([0.1, 0.9, 0.4, 0.6])


def labels(*soft: float) -> LabelTable:
    return LabelTable([f"v{row}" for row in range(len(soft))], soft)


def test_scores_are_those_of_their_definitions() -> None:
    q = np.array([0.2, 0.7, 0.6, 0.4])
    scores = validation_scores(labels(*q), P)
    assert tuple(scores) == STOPPING_RULES
    assert scores["auc"] == roc_auc([0, 1, 1, 0], P) == 0.75
    assert scores["soft_auc"] == soft_auc(q, P)
    assert scores["log_loss"] == pytest.approx(-(q * np.log(P) + (1 - q) * np.log(1 - P)).mean())


@pytest.mark.parametrize(
    ("soft", "defined"),
    [
        ((0.1, 0.3, 0.2, 0.5), {"soft_auc", "log_loss"}),  # one half is not above one half
        ((0.6, 0.8, 0.7, 0.9), {"soft_auc", "log_loss"}),
        ((0.3, 0.3, 0.3, 0.3), {"soft_auc", "log_loss"}),
        ((0.0, 0.0, 0.0, 0.0), {"log_loss"}),
        ((1.0, 1.0, 1.0, 1.0), {"log_loss"}),
        ((0.3,), {"log_loss"}),
        ((0.2, 0.8), {"auc", "soft_auc", "log_loss"}),
    ],
)
def test_undefined_scores_are_none(soft: tuple[float, ...], defined: set[str]) -> None:
    scores = validation_scores(labels(*soft), P[: len(soft)])
    assert {rule for rule in STOPPING_RULES if scores[rule] is not None} == defined
    for rule in STOPPING_RULES:
        message = undefined(rule, scores)
        assert (message is None) == (rule in defined)
        if message:
            assert message.startswith(f"early stopping by {rule} is undefined: ")
            assert "The last evaluation was kept." in message


def test_equal_labels_prefer_no_ranking() -> None:
    for p in (P, P[::-1], np.full(4, 0.5)):
        assert validation_scores(labels(0.3, 0.3, 0.3, 0.3), p)["soft_auc"] == 0.5


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_certain_predictions_have_a_finite_log_loss(p: float) -> None:
    wrong, right = (
        validation_scores(labels(soft, soft), np.full(2, p))["log_loss"] for soft in (1 - p, p)
    )
    assert wrong == pytest.approx(53 * np.log(2))
    assert right == pytest.approx(0, abs=1e-15)


def kept(rule: str, scores: list[dict[str, float | None]]) -> int:
    wanted = [selection_score(rule, one, step) for step, one in enumerate(scores)]  # type: ignore[arg-type]
    return int(np.argmax(wanted))


def test_the_best_checkpoint_is_the_earliest_of_ties_and_the_last_without_a_score() -> None:
    values = [0.6, 0.8, 0.8, 0.4]
    for rule, best in (("auc", 1), ("soft_auc", 1), ("log_loss", 3)):
        assert kept(rule, [{rule: value} for value in values]) == best
        assert kept(rule, [{rule: 0.5}, {rule: 0.5}]) == 0
    assert kept("auc", [{"auc": None}] * 3) == 2


@laws
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.5))
def test_shifted_labels_keep_the_same_evaluation_by_soft_auc(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    q, predictions = rng.random(12) / 2, rng.random((6, 12))
    choices = [
        kept("soft_auc", [dict(validation_scores(labels(*soft), p)) for p in predictions])
        for soft in (q, q + shift)
    ]
    assert choices[0] == choices[1]
