from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from w2sprobe.errors import InputError, UnknownName
from w2sprobe.votes.table import (
    COLUMNS,
    FittedProbe,
    LayerVotes,
    Votes,
    describe,
    layer_file,
    read_layer,
    write_layer,
    write_note,
)

names = st.text(min_size=1, max_size=5)
probabilities = st.floats(0, 1)
asked = st.builds(
    FittedProbe,
    names,
    st.none() | names,
    st.none() | st.floats(1e-6, 1e6),
    st.sampled_from(["a", "b"]),
)


@st.composite
def layer_votes(draw: st.DrawFn) -> LayerVotes:
    """Votes on one to three splits; not every vote on every split."""
    splits = draw(st.lists(st.sampled_from(["train", "test", "other"]), min_size=1, unique=True))
    rows = {
        split: np.array(draw(st.lists(names, min_size=1, max_size=4, unique=True)), dtype=np.str_)
        for split in splits
    }
    p = {}
    for number, split in enumerate(splits):
        votes = draw(st.lists(asked, min_size=1, max_size=3, unique=True))
        for vote in votes:
            n = len(rows[split])
            p[vote._replace(probe=f"{number}{vote.probe}"), split] = np.array(
                draw(st.lists(probabilities, min_size=n, max_size=n))
            )
    fold = np.arange(len(rows["train"])) % 2 if "train" in rows else np.empty(0, dtype=np.int64)
    return LayerVotes(draw(st.integers(0, 99)), rows, fold, p)


def same(one: LayerVotes, two: LayerVotes) -> bool:
    return (
        one.layer == two.layer
        and list(one.p) == list(two.p)
        and one.rows.keys() == two.rows.keys()
        and all(np.array_equal(one.rows[split], two.rows[split]) for split in one.rows)
        and all(np.array_equal(one.p[key], two.p[key]) for key in one.p)
        and np.array_equal(one.fold, two.fold)
    )


@given(layer_votes())
def test_round_trip_through_a_table(votes: LayerVotes) -> None:
    table = votes.table()
    assert table.schema == COLUMNS
    assert len(table) == sum(map(len, votes.p.values()))
    assert same(LayerVotes.of_table(table), votes)


VOTES = LayerVotes(
    7,
    {"train": np.array(["x", "y", "z"]), "test": np.array(["u"])},
    np.array([1, 0, 1]),
    {
        (FittedProbe("knn", "k", 5.0, "weak"), "train"): np.array([0.25, 0.5, 1.0]),
        (FittedProbe("knn", "k", 9.0, "weak"), "train"): np.array([0.25, 0.5, 0.0]),
        (FittedProbe("knn", "k", 5.0, "weak"), "test"): np.array([0.1]),
        (FittedProbe("mass-mean", None, None, "weak"), "test"): np.array([0.2]),
    },
)


def test_the_comparison_can_fail() -> None:
    assert same(VOTES, VOTES)
    assert not same(VOTES, LayerVotes(7, VOTES.rows, 1 - VOTES.fold, VOTES.p))
    assert not same(VOTES, LayerVotes(7, VOTES.rows, VOTES.fold, dict(list(VOTES.p.items())[::-1])))


def test_golden() -> None:
    rows = VOTES.table().to_pylist()
    assert rows[1] == {
        "id": "y", "split": "train", "layer": 7, "probe": "knn", "setting": "k", "value": 5.0,
        "labels": "weak", "p": 0.5, "fold": 0,
    }  # fmt: skip
    assert rows[-1] == {
        "id": "u", "split": "test", "layer": 7, "probe": "mass-mean", "setting": None,
        "value": None, "labels": "weak", "p": 0.2, "fold": None,
    }  # fmt: skip


def test_round_trip_through_files(tmp_path: Path) -> None:
    write_layer(VOTES, layer_file(tmp_path, 7))
    assert same(read_layer(tmp_path / "layers/007.parquet"), VOTES)
    write_note(tmp_path, {"store": "s"}, (7,))
    votes = Votes.open(tmp_path)
    assert (votes.layers, votes.identity) == ((7,), {"store": "s"})
    assert [same(layer, VOTES) for layer in votes] == [True]
    with pytest.raises(UnknownName, match="unknown layer '8'"):
        votes.layer(8)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read votes"):
        Votes.open(tmp_path)
    write_note(tmp_path, {}, ())
    with pytest.raises(InputError, match="unfinished predictions"):
        Votes.open(tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"x")
    with pytest.raises(InputError, match="Delete it, and run the same again"):
        read_layer(tmp_path / "x.parquet")


def test_predictions_by_probe() -> None:
    k5, k9, _ = VOTES.probes
    assert VOTES.of(k9, "train").tolist() == [0.25, 0.5, 0.0]
    with pytest.raises(
        InputError, match="no predictions of knn, k=9 on 'weak' for test in layer 7"
    ):
        VOTES.of(k9, "test")
    assert (describe(k5), describe(FittedProbe("mass-mean", None, None, "a"))) == (
        "knn, k=5",
        "mass-mean",
    )
