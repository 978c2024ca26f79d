"""Drawings of the splits, and of what filters and relabelling did to the labels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from w2sprobe.labels import THRESHOLD
from w2sprobe.metrics import overlap, scorecard
from w2sprobe.reporting.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PAPER,
    PINK,
    Drawing,
    legend_above,
    named_lines,
    new_figure,
    spread,
)
from w2sprobe.reporting.report.sources import Labels
from w2sprobe.reporting.wording import plain

WEAK = "weak"
Columns = Mapping[str, np.ndarray]  # entry of `Labels` for one method


def splits_drawing(splits: Mapping[str, int], weak: str, strong: str, name: str) -> Drawing:
    """Draw which rows train which model, and which model labels which rows.

    Parameters
    ----------
    splits : mapping of str to int
        Number of rows of weak_train, strong_train, val and test.
    weak, strong : str
        Names of the models.
    """
    figure, axes = new_figure(9.2, 3.7)
    rows = {name: f"{count:,} rows" for name, count in splits.items()}
    _flow(axes[0, 0], rows, weak, strong)
    total = sum(splits.values())
    return Drawing(
        name,
        "Which rows train which model",
        f"{total:,} rows in four disjoint splits. Students learn from the strong-train texts with "
        "the weak model's labels, as they are, relabelled or filtered. The true labels of these "
        "rows are used only by the ceiling, by controls with noise, and by methods named 'on "
        "truth'.",
        f"Weak model {weak}: trained on {rows['weak_train']} with true labels; labels "
        f"{rows['strong_train']} for the students of {strong}; the ceiling is {strong} trained on "
        f"the same {rows['strong_train']} with true labels; all are scored on {rows['test']} of "
        f"the test split; {rows['val']} of the validation split choose the epoch.",
        figure,
        [{"split": split, "rows": count} for split, count in splits.items()],
    )


def _flow(axis: Axes, rows: Mapping[str, str], weak: str, strong: str) -> None:
    """Draw boxes for splits and models, and arrows for what flows between them."""
    axis.set_axis_off()
    axis.set_xlim(0, 100)
    axis.set_ylim(0, 40)
    _box(axis, 0, 27, 22, 10, f"weak train\n{rows['weak_train']}, true labels", GREY)
    _box(axis, 0, 3, 22, 14, f"strong train\n{rows['strong_train']}", GREY)
    _box(axis, 38, 27, 22, 10, f"weak model\n{weak}", BLUE)
    _box(axis, 38, 14, 22, 8, f"student\n{strong}", ORANGE)
    _box(axis, 38, 2, 22, 8, f"ceiling\n{strong}", GREEN)
    _box(axis, 78, 12, 22, 16, f"test\n{rows['test']}\ntrue labels,\nonly for scoring", GREY)
    _arrow(axis, (22, 32), (38, 32), "trains")
    _arrow(axis, (49, 27), (49, 22.3), "labels the strong-train rows", PINK, side=1)
    _arrow(axis, (22, 13.5), (38, 17), "only texts")
    _arrow(axis, (22, 6), (38, 6), "with true labels")
    for height in (31, 18, 6):
        _arrow(axis, (60, height), (78, 20 + (height - 18) * 0.3), "predicts" * (height == 18))
    _box(
        axis,
        66,
        31.5,
        34,
        7,
        f"validation, {rows['val']}: chooses the\nepoch, with the labels of each run",
        GREY,
    )


def _box(
    axis: Axes, x: float, y: float, width: float, height: float, text: str, colour: str
) -> None:
    axis.add_patch(
        FancyBboxPatch(
            (x + 0.5, y),
            width - 1,
            height,
            boxstyle="round,pad=0,rounding_size=1",
            linewidth=1.6,
            edgecolor=colour,
            facecolor=PAPER,
        )
    )
    axis.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8.8)


def _arrow(
    axis: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str,
    colour: str = INK,
    side: int = 0,
) -> None:
    axis.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, color=colour, linewidth=1.2
        )
    )
    middle = ((start[0] + end[0]) / 2 + side, (start[1] + end[1]) / 2 + (0 if side else 0.8))
    axis.text(
        *middle,
        text,
        ha="left" if side else "center",
        va="center" if side else "bottom",
        fontsize=8,
        color=colour,
    )


def cards_of(labels: Labels, run: str) -> list[dict[str, Any]]:
    """Count what each method did to the weak labels of the strong-train rows.

    Parameters
    ----------
    labels : dict
        `RunFolder.strong_train_labels`.
    run : str
        Name of the run.

    Returns
    -------
    list of dict
        One per method, with step "", and one per step of a filter with several: `removed` rows,
        `precision` (share of removed rows whose weak label was wrong), `recall`; `noise_*` and
        `ones_*` (shares of hard labels that are wrong, and that are 1, before and after);
        `flipped` rows, and `flips_right`, the share of these that is right after the flip.
    """
    if WEAK not in labels:
        return []
    weak, cards = labels[WEAK], []
    for method, curated in labels.items():
        if method != WEAK:
            whole = {"run": run, "method": method, "step": "", **_card(weak, curated)}
            cards += [whole, *_steps(whole, weak, curated["step"])]
    return cards


def _card(weak: Columns, curated: Columns) -> dict[str, Any]:
    before, after = (columns["soft_label"] > THRESHOLD for columns in (weak, curated))
    truth, keep = weak["label"], curated["keep"]
    flipped, right = after != before, after == truth
    card = scorecard(keep, weak["soft_label"], truth)
    return {
        "offered": card.n,
        "removed": card.removed,
        "precision": card.precision if card.removed else None,
        "recall": card.recall,
        "ones_before": card.share_of_ones_before,
        "ones_after": _share(after[keep]),
        "noise_before": card.noise_before,
        "noise_after": _share(~right[keep]),
        "flipped": int(flipped.sum()),
        "flips_right": _share(right[flipped]),
    }


def _share(rows: np.ndarray) -> float | None:
    return float(rows.mean()) if rows.size else None


def _steps(whole: dict[str, Any], weak: Columns, step: np.ndarray) -> Iterator[dict[str, Any]]:
    """Rows that each step of a filter removed, and the share of them that was wrong."""
    steps = [name for name in dict.fromkeys(step.tolist()) if name]
    wrong = (weak["soft_label"] > THRESHOLD) != weak["label"]
    for name in steps if len(steps) > 1 else []:
        removed = step == name
        card = {"step": name, "removed": int(removed.sum()), "precision": _share(wrong[removed])}
        same = {key: whole[key] for key in ("run", "method", "offered")}
        yield dict.fromkeys(whole) | same | card


def filters_drawing(cards: Sequence[Mapping[str, Any]], name: str) -> Drawing:
    """Draw the share of removed rows that were wrong, against the share of a random filter.

    Parameters
    ----------
    cards : sequence of mapping
        From `cards_of`, for all runs; only filters that removed rows are drawn.
    """
    filters = [card for card in cards if card["removed"] and not card["step"]]
    methods = list(dict.fromkeys(card["method"] for card in filters))[::-1]
    figure, axes = new_figure(8.2, 1.2 + 0.4 * len(methods))
    axis = axes[0, 0]
    for y, method in enumerate(methods):
        own = [card for card in filters if card["method"] == method]
        heights = spread(y, len(own), 0.2)
        ends = [[card[key] for card in own] for key in ("noise_before", "precision")]
        for height, *pair in zip(heights, *ends, strict=True):
            axis.plot(pair, (height, height), color=GREY, linewidth=0.9)
        colour = GREY if method.startswith("random") else BLUE
        axis.plot(ends[0], heights, "|", color=INK, markersize=8)
        axis.plot(ends[1], heights, "o", color=colour, markersize=5)
    named_lines(axis, [plain(method) for method in methods], "share whose weak label is wrong")
    legend_above(axis, [("of the removed rows", "o", BLUE), ("of all rows", "|", INK)], columns=2)
    return Drawing(
        name,
        "What filters removed",
        "Dots: share of the removed rows whose weak label was wrong (precision), one dot per run. "
        "Ticks: the same share among all rows, which a random filter (grey) reaches on average. If "
        "a dot is left of its tick, the filter removed correct labels more often than a random one "
        "would.",
        "; ".join(
            f"{plain(card['method'])}: {card['removed']} rows, precision {card['precision']:.2f} "
            f"against {card['noise_before']:.2f}"
            for card in filters
        ),
        figure,
        [dict(card) for card in cards],
    )


def overlap_drawing(labels: Sequence[Labels], name: str) -> Drawing | None:
    """Draw how far filters remove the same rows; None if there are fewer than two filters.

    Parameters
    ----------
    labels : sequence of dict
        `RunFolder.strong_train_labels` of all runs.
    """
    runs = [
        {name: columns["keep"] for name, columns in table.items() if not columns["keep"].all()}
        for table in labels
    ]
    methods = list(dict.fromkeys(method for keeps in runs for method in keeps))
    shares: dict[tuple[str, str], list[float]] = {}
    for keeps in runs:  # runs may list their methods in different orders
        in_order = {method: keeps[method] for method in methods if method in keeps}
        for pair, share in overlap(in_order).items():
            shares.setdefault(pair, []).append(share)
    if not shares:
        return None
    means = {pair: float(np.mean(values)) for pair, values in shares.items()}
    named = {pair: " and ".join(map(plain, pair)) for pair in shares}
    same = [named[pair] for pair, values in shares.items() if min(values) == 1]
    size = 2.4 + 0.52 * len(methods)
    figure, axes = new_figure(size + 1.2, size)
    _matrix(axes[0, 0], methods, means)
    return Drawing(
        name,
        "Overlap of filters",
        "Rows that both filters remove, as a share of the rows that either of them removes "
        "(Jaccard index), mean over runs."
        + (f" The same rows in every run: {'; '.join(same)}." if same else ""),
        ", ".join(f"{named[pair]} {mean:.2f}" for pair, mean in means.items()),
        figure,
        [{"filter": one, "other": other, "jaccard": mean} for (one, other), mean in means.items()],
    )


def _matrix(axis: Axes, methods: Sequence[str], means: Mapping[tuple[str, str], float]) -> None:
    """Draw a symmetric matrix of shares, as colours with numbers."""
    cells = np.full((len(methods), len(methods)), np.nan)
    for (one, other), mean in means.items():
        at = methods.index(one), methods.index(other)
        cells[at] = cells[at[::-1]] = mean
    axis.imshow(cells, cmap="Blues", vmin=0, vmax=1)
    text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8}
    for (down, across), value in np.ndenumerate(cells):
        if not np.isnan(value):
            # not INK or PAPER, which the page swaps in its dark theme: cells keep their colours
            colour = "#fefefe" if value > 0.55 else "#010101"
            axis.text(across, down, f"{value:.2f}", color=colour, **text)
    names = [plain(method) for method in methods]
    axis.set_xticks(range(len(methods)), names, rotation=40, ha="right")
    axis.set_yticks(range(len(methods)), names)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
