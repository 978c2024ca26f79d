from pathlib import Path

import numpy as np
import pytest

from w2sprobe.probes import CardRows, ProbeCard
from w2sprobe.probes.card import card_text

CARD = ProbeCard.model_validate(
    {
        "w2sprobe": "1.2",
        "parameters": {"l2": 0.1, "preprocess": "standardize"},
        "states": {"store": "ab12", "computed_in": "bfloat16"},
        "training": {"name": "reviews", "rows": "r0", "labels": "l0", "n_rows": 50, "n_ones": 20},
        "evaluation": {
            "on": "test",
            "against": "truth",
            "n_rows": 40,
            "n_ones": 15,
            "auc": 0.9,
            "auc_interval": (0.85, 0.94),
            "auc_se": 0.02,
            "recalls": [{"fpr": 0.05, "recall": 0.5, "interval": (0.3, 0.7), "threshold": 0.8}],
            "threshold": {
                "p": 0.625,
                "chosen_at": 0.1,
                "fpr": 0.08,
                "fpr_interval": (0.02, 0.2),
                "recall": 0.6,
                "recall_interval": (0.4, 0.8),
            },
        },
    }
)
CARD_ROWS = CardRows(
    np.array(["a", "b", "é"]),
    np.array(["train", "test", "test"]),
    np.array([np.nan, 0.25, 0.75]),
    np.array([np.nan, 0.0, 1.0]),
    np.array(["", "g1", "g2"]),
)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    CARD_ROWS.write(tmp_path / "rows.parquet")
    again = CardRows.read(tmp_path / "rows.parquet")
    for name in ("ids", "split", "p", "truth", "groups"):
        np.testing.assert_array_equal(getattr(again, name), getattr(CARD_ROWS, name))
    test = again.of("test")
    assert (test.ids.tolist(), test.p.tolist(), test.groups.tolist()) == (
        ["b", "é"],
        [0.25, 0.75],
        ["g1", "g2"],
    )


def test_groups_may_be_missing(tmp_path: Path) -> None:
    alone = CardRows(*(getattr(CARD_ROWS, name) for name in ("ids", "split", "p", "truth")))
    alone.write(tmp_path / "rows.parquet")
    assert CardRows.read(tmp_path / "rows.parquet").groups is None
    assert alone.of("train").groups is None


def test_the_text_says_where_the_probe_may_be_used_and_how_good_it_is() -> None:
    origin = {
        "model": {"weights": "abc", "config": "def"},
        "name": "tiny",
        "position": "last",
        "layer": 7,
        "chat_template": "c7",
    }
    text = card_text("LogisticProbe", origin, CARD)
    for part in (
        "# LogisticProbe: layer 7 of tiny",
        "tiny (weights abc, config def)",
        "| Layer, position | 7, last |",
        "| Chat template | c7 |",
        "l2 0.1, preprocess standardize",
        "computed_in bfloat16",
        "50 rows of reviews, 20 of class 1",
        "rows r0, labels l0",
        "## Evaluation: test",
        "40 rows, 15 of class 1, compared with truth",
        "| AUC | 0.900 | 0.850 to 0.940 |",
        "| recall at a false-positive rate of 0.05 | 0.500 | 0.300 to 0.700 |",
        "| false-positive rate at the threshold | 0.080 | 0.020 to 0.200 |",
        "P(label = 1) > 0.625, chosen at a false-positive rate of at most 0.1",
    ):
        assert part in text


@pytest.mark.parametrize("origin", [None, {"layer": 3, "name": ""}])
def test_what_is_unknown_is_said(origin: dict | None) -> None:
    bare = CARD.evaluation.model_copy(
        update={"auc_interval": None, "recalls": (), "threshold": None}
    )
    text = card_text("KNNProbe", origin, CARD.model_copy(update={"evaluation": bare}))
    assert "| AUC | 0.900 | unknown |" in text
    assert "Threshold" not in text
    assert ("| Model | unknown |" in text) == (origin is None)
