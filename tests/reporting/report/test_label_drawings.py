"""What methods did to labels, as numbers and drawings."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.reporting.cases import save_run
from w2sprobe.reporting.report.label_drawings import cards_of, overlap_drawing
from w2sprobe.reporting.report.sources import labels_by_method


def test_filters_are_compared_with_the_truth(tmp_path: Path) -> None:
    save_run(tmp_path)
    table = pq.read_table(tmp_path / "training_labels.parquet")
    labels = labels_by_method(table)
    cards = {(card["method"], card["step"]): card for card in cards_of(labels, "run")}
    frame = table.to_pandas()
    weak = frame[frame["method"] == "weak"].set_index("id")
    own = frame[frame["method"] == "topofilter"].set_index("id").loc[weak.index]
    wrong = (weak["soft_label"] > 0.5) != (weak["label"] == 1)
    gone = ~own["keep"]
    whole = cards["topofilter", ""]
    assert (whole["offered"], whole["removed"], whole["flipped"]) == (60, 6, 0)
    assert whole["precision"] == pytest.approx(wrong[gone].mean())
    assert whole["noise_before"] == pytest.approx(wrong.mean())
    assert whole["noise_after"] == pytest.approx(wrong[~gone].mean())
    for step in {"outside_component", "topofilter"} & set(own["step"].dropna()):
        taken = own["step"] == step
        assert cards["topofilter", step]["removed"] == taken.sum()
        assert cards["topofilter", step]["precision"] == pytest.approx(wrong[taken].mean())
    flips = cards["knn_relabel", ""]  # the made-up relabelling turns every label
    assert (flips["flipped"], flips["removed"]) == (60, 0)
    assert flips["flips_right"] == pytest.approx(wrong.mean())
    assert flips["noise_after"] == pytest.approx(1 - wrong.mean())
    ones = (weak["soft_label"] > 0.5).mean()
    assert (whole["ones_before"], flips["ones_after"]) == pytest.approx((ones, 1 - ones))


def test_overlap_is_a_mean_over_runs_whatever_their_order() -> None:
    def keep(*removed: int) -> dict[str, np.ndarray]:
        return {"keep": ~np.isin(np.arange(4), removed)}

    same = {"one": keep(0, 1), "two": keep(0, 1), "three": keep(2)}
    other = {"weak": keep(), "two": keep(0), "one": keep(0, 3), "three": keep(0, 3)}
    drawing = overlap_drawing([same, other], "overlap")
    assert drawing is not None
    shares = {(row["filter"], row["other"]): row["jaccard"] for row in drawing.data}
    assert shares == {("one", "two"): 0.75, ("one", "three"): 0.5, ("two", "three"): 0.25}
    assert "The same rows" not in drawing.caption
    told = overlap_drawing([same, dict(reversed(same.items()))], "overlap")
    assert told is not None
    assert "The same rows in every run: one and two." in told.caption
