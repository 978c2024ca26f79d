import numpy as np
import pytest

from w2sprobe.curation import curate, filter_at_random, filter_by_disagreement, relabel
from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.probes import KNNProbe, LogisticProbe, TopoFilter

RANDOM = np.random.default_rng(0)
TRUTH = np.arange(120) % 2
X = RANDOM.normal(size=(120, 6)) + 2 * TRUTH[:, None]
FLIPPED = np.concatenate([np.arange(0, 120, 20), np.arange(1, 120, 20)])  # of both classes
Y = TRUTH.astype(float)
Y[FLIPPED] = 1 - Y[FLIPPED]


@pytest.mark.parametrize(("probe", "cv"), [(KNNProbe(9), None), (LogisticProbe(), 5)])
def test_relabelling_repairs_flipped_labels(probe, cv: int | None) -> None:
    soft = relabel(probe, X, Y, cv=cv)
    assert (soft > 0.5).astype(int)[FLIPPED].tolist() == TRUTH[FLIPPED].tolist()


@pytest.mark.parametrize(("probe", "cv"), [(KNNProbe(9), None), (LogisticProbe(), 5)])
def test_a_rows_own_label_has_no_say(probe, cv: int | None) -> None:
    changed = Y.copy()
    changed[7] = 1 - changed[7]
    before, after = relabel(probe, X, Y, cv=cv)[7], relabel(probe, X, changed, cv=cv)[7]
    assert after == pytest.approx(before, abs=1e-12)
    inside = [relabel(LogisticProbe(), X, y)[7] for y in (Y, changed)]
    assert abs(inside[0] - inside[1]) > 1e-3  # in-sample it has


def test_filtering_finds_the_flipped_rows() -> None:
    keep = filter_by_disagreement(KNNProbe(9), X, Y, contamination=0.1)
    assert (~keep).sum() == 12
    assert (~keep[FLIPPED]).mean() >= 0.9


def test_the_probe_given_stays_unfitted() -> None:
    probe = KNNProbe(9)
    relabel(probe, X, Y)
    assert not hasattr(probe, "n_features_in_")


def test_curating_a_table_changes_labels_or_keep() -> None:
    given = LabelTable([f"r{row}" for row in range(120)], Y)
    for probe, cv in ((KNNProbe(9), None), (LogisticProbe(), 5)):
        relabelled = curate(probe, "relabel", X, given)
        np.testing.assert_array_equal(relabelled.soft_label, relabel(probe, X, Y, cv=cv))
        assert relabelled.keep.all()
    for probe in (KNNProbe(9), LogisticProbe(), TopoFilter(k_cc=9, k_zeta=9, contamination=0.2)):
        filtered = curate(probe, "filter", X, given, contamination=0.2)
        np.testing.assert_array_equal(filtered.soft_label, Y)
        assert (~filtered.keep).sum() == 24
    with pytest.raises(InputError, match="cannot relabel"):
        curate(TopoFilter(), "relabel", X, given)


def test_a_random_filter_removes_as_many_as_asked() -> None:
    keep = filter_at_random(100, 17, seed=3)
    assert (~keep).sum() == 17
    np.testing.assert_array_equal(keep, filter_at_random(100, 17, seed=3))
    assert (keep != filter_at_random(100, 17, seed=4)).any()
    assert filter_at_random(5, 0).all()


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: relabel(LogisticProbe(), X, Y, cv=1), "cv is 1"),
        (lambda: filter_by_disagreement(KNNProbe(9), X, Y, contamination=0), "contamination is 0"),
        (lambda: filter_at_random(5, 6), "n_removed is 6"),
    ],
)
def test_bad_input(call, part: str) -> None:
    with pytest.raises(InputError, match=part):
        call()
