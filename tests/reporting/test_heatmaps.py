from pathlib import Path

import matplotlib.figure
import pyarrow as pa
import pytest

from w2sprobe.reporting.heatmaps import sweep_figure

POINTS = [(layer, "knn", "k", float(k)) for layer in (3, 15) for k in (1, 50)]
POINTS += [(layer, "logistic", "l2", 0.01) for layer in (3, 15)]
CHOSEN = {"rule": "weak_auc", "among": "knn", "probe": "knn", "layer": 3, "value": 50.0}


def table(evaluations: tuple[str, ...], *, truth: bool = True) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "layer": layer, "probe": probe, "setting": setting, "value": value,
                "fitted_on": "weak", "evaluation": evaluation, "auc_weak": 0.7 + layer / 100,
                "delta_auc_truth": value / 100 - 0.01 if truth else None,
            }
            for layer, probe, setting, value in POINTS
            for evaluation in evaluations
        ]
    )  # fmt: skip


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[matplotlib.figure.Figure]:
    figures: list[matplotlib.figure.Figure] = []
    save = matplotlib.figure.Figure.savefig

    def keep(figure: matplotlib.figure.Figure, *arguments: object, **options: object) -> None:
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
    return figures


def test_a_panel_a_probe_and_set_of_rows(
    drawn: list[matplotlib.figure.Figure], tmp_path: Path
) -> None:
    sweep_figure(table(("cross_fit", "test", "in_sample")), [CHOSEN], tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1
    (figure,) = drawn
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert [title.split(", ")[0] for title in titles] == ["knn", "logistic"] * 3
    assert sum("IN-SAMPLE" in title for title in titles) == 2
    knn = figure.axes[0]
    assert [label.get_text() for label in knn.get_xticklabels()] == ["1", "50"]
    assert [label.get_text() for label in knn.get_yticklabels()] == ["3", "15"]
    marks = {line.get_label(): line.get_xydata().tolist() for line in knn.lines}
    best = "best here, at the edge of what was tried"
    assert marks == {best: [[1, 0]], "chosen by weak auc": [[1, 0]]}
    (mesh,) = knn.collections
    assert mesh.get_array().tolist() == [[0.0, 0.49], [0.0, 0.49]]


def test_a_choice_at_the_edge_is_marked(
    drawn: list[matplotlib.figure.Figure], tmp_path: Path
) -> None:
    chosen = {**CHOSEN, "at_edge": True}
    rows = table(("test",)).to_pylist()
    rows.append({**rows[0], "probe": "mass-mean", "setting": None, "value": None})
    sweep_figure(pa.Table.from_pylist(rows), [chosen], tmp_path / "f.png")
    knn, logistic, *_ = drawn[0].axes
    edge = "at the edge of what was tried"
    assert {line.get_label() for line in knn.lines} == {
        f"best here, {edge}",
        f"chosen by weak auc, {edge}",
    }
    assert {line.get_label() for line in logistic.lines} == {"best here"}  # one value was tried
    assert "mass-mean" not in " ".join(axis.get_title() for axis in drawn[0].axes)


def test_a_probe_without_defined_scores_has_no_panel(
    drawn: list[matplotlib.figure.Figure], tmp_path: Path
) -> None:
    rows = table(("cross_fit", "test")).to_pylist()
    for row in rows:
        if row["probe"] == "knn" and row["evaluation"] == "test":
            row["delta_auc_truth"] = None
    sweep_figure(pa.Table.from_pylist(rows), [CHOSEN], tmp_path / "f.png")
    (figure,) = drawn
    assert [axis.get_visible() for axis in figure.axes[:4]] == [
        False,
        True,
        True,
        True,
    ]  # test rows first


def test_without_truth_the_weak_labels_are_the_measure(
    drawn: list[matplotlib.figure.Figure], tmp_path: Path
) -> None:
    sweep_figure(table(("cross_fit",), truth=False), [], tmp_path / "f.png")
    (figure,) = drawn
    assert "against the weak labels" in figure.get_suptitle()
    (mesh,) = figure.axes[1].collections
    assert mesh.get_array().ravel().tolist() == pytest.approx([0.73, 0.85])
