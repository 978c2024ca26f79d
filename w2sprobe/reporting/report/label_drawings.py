"""Where rows come from, and what filters and relabelling did to them."""

from collections.abc import Mapping, Sequence
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
    light_axes,
    new_figure,
)
from w2sprobe.reporting.report.sources import Labels
from w2sprobe.reporting.wording import plain

WEAK = "weak"


def splits_drawing(splits: Mapping[str, int], weak: str, strong: str, name: str) -> Drawing:
    """Which rows train which model, and who labels whom.

    Parameters
    ----------
    splits : mapping of str to int
        Rows of weak_train, strong_train, val and test.
    weak, strong : str
        Names of the models.
    name : str

    Returns
    -------
    Drawing
    """
    figure, axes = new_figure(9.2, 3.7)
    axis = axes[0, 0]
    axis.set_axis_off()
    axis.set_xlim(0, 100)
    axis.set_ylim(0, 40)
    rows = {name: f"{count:,} rows" for name, count in splits.items()}
    _box(axis, 0, 27, 22, 10, f"weak train\n{rows['weak_train']}, true labels", GREY)
    _box(axis, 0, 3, 22, 14, f"strong train\n{rows['strong_train']}", GREY)
    _box(axis, 38, 27, 22, 10, f"weak model\n{weak}", BLUE)
    _box(axis, 38, 14, 22, 8, f"student\n{strong}", ORANGE)
    _box(axis, 38, 2, 22, 8, f"ceiling\n{strong}", GREEN)
    _box(axis, 78, 12, 22, 16, f"test\n{rows['test']}\ntrue labels,\nfor scoring alone", GREY)
    _arrow(axis, (22, 32), (38, 32), "trains")
    _arrow(axis, (49, 27), (49, 22.3), "labels the strong-train rows", PINK, side=1)
    _arrow(axis, (22, 13.5), (38, 17), "texts alone")
    _arrow(axis, (22, 6), (38, 6), "with true labels")
    for height in (31, 18, 6):
        _arrow(axis, (60, height), (78, 20 + (height - 18) * 0.3), "predicts" * (height == 18))
    _box(
        axis,
        66,
        31.5,
        34,
        7,
        f"validation, {rows['val']}: chooses the\nepoch, by each run's own labels",
        GREY,
    )
    total = sum(splits.values())
    return Drawing(
        name,
        "Which rows train which model",
        f"{total:,} rows in four parts that share none. Students see the strong-train texts with "
        "the weak model's labels, relabelled or filtered by a method; their true labels go to the "
        "ceiling, and to methods that are named on truth, alone.",
        f"Weak model {weak}: trained on {rows['weak_train']} with true labels; labels "
        f"{rows['strong_train']} for the students of {strong}; the ceiling is {strong} trained on "
        f"the same {rows['strong_train']} with true labels; all are scored on {rows['test']} of "
        f"test; {rows['val']} of validation choose the epoch.",
        figure,
        [{"split": split, "rows": count} for split, count in splits.items()],
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
    """What each method did to the weak labels of the strong-train rows.

    Parameters
    ----------
    labels : dict
        `Run.strong_train_labels`.
    run : str
        Its name, for the rows.

    Returns
    -------
    list of dict
        A row a method and step of its filter, "" for the whole; `removed`, `precision` (share of
        the removed rows whose weak label was wrong), `recall`, `noise_before`, `noise_after`,
        `ones_before`, `ones_after` (shares of hard labels that are wrong, and that are 1),
        `flipped` and, of flipped rows, `flips_right`, the share that is right now.
    """
    if WEAK not in labels:
        return []
    weak = labels[WEAK]
    hard, truth = weak["soft_label"] > THRESHOLD, weak["label"]
    found = []
    for method, own in labels.items():
        if method == WEAK:
            continue
        now = own["soft_label"] > THRESHOLD
        flipped = now != hard
        card = scorecard(own["keep"], weak["soft_label"], truth)
        kept_wrong = (now != truth)[own["keep"]]
        whole = {
            "run": run,
            "method": method,
            "step": "",
            "offered": card.n,
            "removed": card.removed,
            "precision": card.precision if card.removed else None,
            "recall": card.recall,
            "ones_before": card.share_of_ones_before,
            "ones_after": float(now[own["keep"]].mean()) if own["keep"].any() else None,
            "noise_before": card.noise_before,
            "noise_after": float(kept_wrong.mean()) if kept_wrong.size else None,
            "flipped": int(flipped.sum()),
            "flips_right": float((now == truth)[flipped].mean()) if flipped.any() else None,
        }
        found.append(whole)
        steps = [step for step in dict.fromkeys(own["step"].tolist()) if step]
        for step in steps if len(steps) > 1 else []:
            taken = own["step"] == step
            wrong = (hard != truth)[taken]
            found.append(
                {
                    **dict.fromkeys(whole),
                    "run": run,
                    "method": method,
                    "step": step,
                    "offered": card.n,
                    "removed": int(taken.sum()),
                    "precision": float(wrong.mean()),
                }
            )
    return found


def filters_drawing(cards: Sequence[Mapping[str, Any]], name: str) -> Drawing:
    """Share of removed rows that were wrong, against the share that chance would hit.

    Parameters
    ----------
    cards : sequence of mapping
        Of `cards_of`, of all runs; those that removed something.
    name : str

    Returns
    -------
    Drawing
    """
    filters = [card for card in cards if card["removed"] and not card["step"]]
    methods = list(dict.fromkeys(card["method"] for card in filters))
    figure, axes = new_figure(8.2, 1.2 + 0.4 * len(methods))
    axis = axes[0, 0]
    for place, method in enumerate(reversed(methods)):
        own = [card for card in filters if card["method"] == method]
        spread = np.linspace(-0.2, 0.2, len(own)) if len(own) > 1 else [0.0]
        for card, off in zip(own, spread, strict=True):
            axis.plot(
                (card["noise_before"], card["precision"]),
                (place + off,) * 2,
                color=GREY,
                linewidth=0.9,
            )
        axis.plot(
            [card["noise_before"] for card in own],
            place + np.array(spread),
            "|",
            color=INK,
            markersize=8,
        )
        axis.plot(
            [card["precision"] for card in own],
            place + np.array(spread),
            "o",
            color=GREY if method.startswith("random") else BLUE,
            markersize=5,
        )
    axis.plot([], [], "o", color=BLUE, label="of the removed rows")
    axis.plot([], [], "|", color=INK, label="of all rows")
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    axis.set_yticks(range(len(methods)), [plain(method) for method in reversed(methods)])
    axis.set_ylim(-0.6, len(methods) - 0.4)
    axis.set_xlabel("share whose weak label is wrong")
    light_axes(axis)
    return Drawing(
        name,
        "What filters removed",
        "Dots: share of the removed rows that were mislabelled (precision), a run each; ticks: "
        "share among all rows, which is what a random filter (grey) hits on average. A dot left of "
        "its tick: the filter removes good labels first.",
        "; ".join(
            f"{plain(card['method'])}: {card['removed']} rows, precision {card['precision']:.2f} "
            f"against {card['noise_before']:.2f}"
            for card in filters
        ),
        figure,
        [dict(card) for card in cards],
    )


def overlap_drawing(labels: Sequence[Labels], name: str) -> Drawing | None:
    """How far filters remove the same rows.

    Parameters
    ----------
    labels : sequence of dict
        `Run.strong_train_labels` of all runs.
    name : str

    Returns
    -------
    Drawing or None
        None where there are not two filters.
    """
    runs = [
        {method: own["keep"] for method, own in table.items() if not own["keep"].all()}
        for table in labels
    ]
    methods = list(dict.fromkeys(method for keeps in runs for method in keeps))
    shares: dict[tuple[str, str], list[float]] = {}
    for keeps in runs:  # which may list their methods in different orders
        in_order = {method: keeps[method] for method in methods if method in keeps}
        for pair, share in overlap(in_order).items():
            shares.setdefault(pair, []).append(share)
    if not shares:
        return None
    cells = np.full((len(methods), len(methods)), np.nan)
    for (one, other), values in shares.items():
        at = methods.index(one), methods.index(other)
        cells[at] = cells[at[::-1]] = float(np.mean(values))
    same = [
        f"{plain(one)} and {plain(other)}"
        for (one, other), values in shares.items()
        if min(values) == 1
    ]
    size = 2.4 + 0.52 * len(methods)
    figure, axes = new_figure(size + 1.2, size)
    axis = axes[0, 0]
    axis.imshow(cells, cmap="Blues", vmin=0, vmax=1)
    for (down, across), value in np.ndenumerate(cells):
        if not np.isnan(value):
            # cells have the same colour in either theme, and so has what stands on them
            colour = "#fefefe" if value > 0.55 else "#010101"
            axis.text(
                across, down, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8
            )
    names = [plain(method) for method in methods]
    axis.set_xticks(range(len(methods)), names, rotation=40, ha="right")
    axis.set_yticks(range(len(methods)), names)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return Drawing(
        name,
        "Overlap of filters",
        "Rows that two filters both remove, as a share of those that either does (Jaccard), mean "
        "over runs. "
        + (f"The same rows in every run: {'; '.join(same)}." if same else "1: the same rows."),
        ", ".join(
            f"{plain(one)} and {plain(other)} {np.mean(values):.2f}"
            for (one, other), values in shares.items()
        ),
        figure,
        [
            {"filter": one, "other": other, "jaccard": float(np.mean(values))}
            for (one, other), values in shares.items()
        ],
    )
