"""Which votes a method reads: a fixed point, one that labels choose, an average."""

from pathlib import Path

import numpy as np
import pytest

from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.votes.picking import Pick, Point
from w2sprobe.votes.stacking import stack_weights
from w2sprobe.votes.table import (
    LEAVE_ONE_OUT,
    TRAIN,
    FittedProbe,
    LayerVotes,
    Votes,
    layer_file,
    write_layer,
    write_note,
)

IDS = np.array([f"r{number}" for number in range(8)])
TEST = np.array(["t0", "t1"])
WEAK = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.4, 0.6])
KS, L2S = (1.0, 5.0), (0.1, 10.0)


def p_of(probe: str, layer: int, value: float | None, labels: str, split: str) -> np.ndarray:
    """Predictions that tell from which point they are; good ones at layer 2, k=5 and l2=10."""
    n = {TRAIN: 8, LEAVE_ONE_OUT: 8, "test": 2}[split]
    base = 0.01 * layer + 0.001 * (value or 0) + 0.2 * (labels == "other")
    if split != TRAIN:
        return np.full(n, base) + np.arange(n) / 1000
    good = {"knn": (2, 5.0), "logistic": (3, 10.0)}.get(probe) == (layer, value)
    return WEAK if good else np.clip(1 - WEAK + base / 10, 0.01, 0.99)


@pytest.fixture
def votes(tmp_path: Path) -> Votes:
    """Three probes on three layers, fitted on two label vectors; topofilter has masks."""
    rows = {TRAIN: IDS, LEAVE_ONE_OUT: IDS, "test": TEST}
    points = [("knn", "k", k) for k in KS] + [("logistic", "l2", one) for one in L2S]
    points.append(("mass-mean", None, None))
    for layer in (1, 2, 3):
        p = {
            (FittedProbe(probe, setting, value, labels), split): p_of(
                probe, layer, value, labels, split
            )
            for probe, setting, value in points
            for labels in ("weak", "other")
            for split in (TRAIN, LEAVE_ONE_OUT, "test")
        }
        p[FittedProbe("topofilter", "k", 5.0, "weak"), LEAVE_ONE_OUT] = np.full(
            8, layer == 2, dtype=float
        )
        write_layer(LayerVotes(layer, rows, np.arange(8) // 4, p), layer_file(tmp_path, layer))
    write_note(tmp_path, {}, (1, 2, 3))
    return Votes.open(tmp_path)


GIVEN = LabelTable(IDS, WEAK)


def pick(probe: str = "knn", **fields: object) -> Pick:
    setting, values = {"knn": ("k", (5.0,)), "logistic": ("l2", (10.0,))}.get(
        probe, (None, (None,))
    )
    known = {"setting": setting, "values": values, "layers": (2,), "labels": "weak"}
    known |= {"chosen_by": "weak", "rule": "weak_log_loss"}
    return Pick(probe, **{**known, **fields})  # type: ignore[arg-type]


def test_a_fixed_point_needs_no_labels(votes: Votes) -> None:
    one = pick(labels="other", layers=(3,), values=(1.0,))
    assert not one.chooses
    assert one.choices(votes, GIVEN) == []
    assert one.points() == [Point(3, "k", 1.0)]
    table = one.predict(votes, one.points(), "test")
    assert table.ids.tolist() == TEST.tolist()
    np.testing.assert_array_equal(table.soft_label, p_of("knn", 3, 1.0, "other", "test"))


@pytest.mark.parametrize("rule", ["weak_log_loss", "weak_auc"])
def test_labels_choose_layer_and_value_by_cross_fitted_predictions(votes: Votes, rule: str) -> None:
    for probe, setting, values, layer in (("knn", "k", KS, 2), ("logistic", "l2", L2S, 3)):
        one = pick(probe, values=values, layers=(1, 2, 3), rule=rule)
        assert one.chooses
        (choice,) = one.choices(votes, GIVEN)
        assert (choice.layer, choice.setting, choice.value) == (layer, setting, values[1])
        assert choice.at_edge
        assert one.points([choice]) == [Point(layer, setting, values[1])]


def test_other_labels_choose_other_points(votes: Votes) -> None:
    one = pick(values=KS, layers=(1, 2))
    (turned,) = one.choices(votes, LabelTable(IDS, 1 - WEAK))
    assert (turned.layer, turned.value) != (2, 5.0)


def test_a_ceiling_is_read_at_the_point_that_the_weak_labels_choose(votes: Votes) -> None:
    """A ceiling: what is read is of one vector, what chooses of another."""
    one = pick(values=KS, layers=(1, 2, 3), labels="other")
    points = one.points(one.choices(votes, GIVEN))
    assert points == [Point(2, "k", 5.0)]
    table = one.predict(votes, points, "test")
    np.testing.assert_array_equal(table.soft_label, p_of("knn", 2, 5.0, "other", "test"))


def test_some_probes_take_the_choice_of_another_probe(
    votes: Votes,
) -> None:
    filtered = pick("topofilter", setting="k", values=KS, layers=(1, 2, 3))
    assert filtered.points(filtered.choices(votes, GIVEN)) == [Point(2, "k", 5.0)]
    mean = pick("mass-mean", layers=(1, 2, 3), chooser_values=L2S)
    points = mean.points(mean.choices(votes, GIVEN))
    assert points == [Point(3, None, None)], "the layer of the logistic probe, without its l2"
    p = mean.predict(votes, points, "test").soft_label
    np.testing.assert_array_equal(p, p_of("mass-mean", 3, None, "weak", "test"))


def test_layers_are_averaged_and_each_may_choose_its_own_value(votes: Votes) -> None:
    fixed = pick(layers=(1, 3), average=True)
    assert not fixed.chooses
    assert fixed.points() == [Point(1, "k", 5.0), Point(3, "k", 5.0)]
    mean = (p_of("knn", 1, 5.0, "weak", "test") + p_of("knn", 3, 5.0, "weak", "test")) / 2
    np.testing.assert_allclose(fixed.predict(votes, fixed.points(), "test").soft_label, mean)
    chosen = pick(layers=(1, 2), values=KS, average=True)
    choices = chosen.choices(votes, GIVEN)
    assert [(one.layer, one.value) for one in choices] == [(1, 1.0), (2, 5.0)]
    points = chosen.points(choices)
    mean = (p_of("knn", 1, 1.0, "weak", "test") + p_of("knn", 2, 5.0, "weak", "test")) / 2
    np.testing.assert_allclose(chosen.predict(votes, points, "test").soft_label, mean)


def test_masks_are_read_like_predictions(votes: Votes) -> None:
    one = pick("topofilter", setting="k", values=(5.0,))
    assert one.predict(votes, one.points(), LEAVE_ONE_OUT).ids.tolist() == IDS.tolist()


def test_missing_predictions_are_named(votes: Votes) -> None:
    one = pick(labels="third")
    with pytest.raises(InputError, match=r"no predictions of knn, k=5 on 'third' for test"):
        one.predict(votes, one.points(), "test")
    with pytest.raises(InputError):
        pick(values=KS, labels="third", chosen_by="third").choices(votes, GIVEN)


def test_a_stack_weights_each_layer_by_its_held_out_predictions(votes: Votes) -> None:
    one = pick("logistic", layers=(1, 2, 3), average=True, stack=True)
    choices = one.choices(votes, GIVEN)
    held_out = np.array([p_of("logistic", layer, 10.0, "weak", TRAIN) for layer in (1, 2, 3)])
    weights = stack_weights(held_out, WEAK)
    np.testing.assert_allclose([choice.weight for choice in choices], weights, atol=1e-5)
    assert weights[2] > 0.5  # it repeats the labels
    parts = [p_of("logistic", layer, 10.0, "weak", "test") for layer in (1, 2, 3)]
    table = one.predict(votes, one.points(choices), "test")
    np.testing.assert_allclose(table.soft_label, weights @ np.array(parts), atol=1e-5)


def test_rows_that_the_labels_drop_do_not_weigh(votes: Votes) -> None:
    keep = np.arange(8) < 6
    given = LabelTable(IDS, np.where(keep, WEAK, 1 - WEAK), keep)
    one = pick("logistic", layers=(1, 3), average=True, stack=True)
    held_out = np.array([p_of("logistic", layer, 10.0, "weak", TRAIN) for layer in (1, 3)])
    expected = stack_weights(held_out[:, keep], WEAK[keep])
    weights = [choice.weight for choice in one.choices(votes, given)]
    np.testing.assert_allclose(weights, expected, atol=1e-5)


def test_only_a_stack_changes_the_address_of_a_pick() -> None:
    assert "stack" not in pick(average=True).identity
    assert pick(average=True, stack=True).identity["stack"] is True


def test_values_of_other_methods_in_the_same_votes_are_no_candidates(votes: Votes) -> None:
    """Layer 2 with k = 5 repeats the labels, but this method has k = 1."""
    one = pick(values=(1.0,), layers=(1, 2, 3))
    (choice,) = one.choices(votes, GIVEN)
    assert choice.value == 1.0
    as_logistic = pick("mass-mean", layers=(1, 2, 3), chooser_values=(0.1,))
    (choice,) = as_logistic.choices(votes, GIVEN)
    assert (choice.setting, choice.value) == ("l2", 0.1)
