"""Table and sentences of `w2sprobe probe check`."""

from collections.abc import Iterator, Mapping
from typing import Any

from w2sprobe.reporting.table import Cell, Column, Table, numeric
from w2sprobe.reporting.wording import counted

OLD_NEW = ("saved", "new")


def check_table(check: Mapping[str, Any]) -> Table:
    """AUC and rates at the threshold, when saved and now.

    Parameters
    ----------
    check : mapping
        `ProbeCheck.to_dict`.
    """
    paired = check["rows"] is not None
    rows = [
        {
            "measure": "AUC",
            **{
                name: (check[f"auc_{name}"], check[f"auc_{name}_interval"])
                for name in ("saved", "new", "change")
            },
        }
    ]
    for measure, name in (("recall", "recall"), ("false-positive rate", "fpr")):
        rate = check[name]
        if rate is not None:
            rows.append(
                {
                    "measure": f"{measure} at p > {check['threshold']:.4g}",
                    **{when: (rate[when]["value"], rate[when]["interval"]) for when in OLD_NEW},
                    "change": (rate["change"], rate["interval"]),
                }
            )
    note = "95 % intervals over rows. " + (
        "Saved: predictions for the same rows, from the probe's folder."
        if paired
        else "Saved: the card's numbers, of other rows, so that the intervals are wide."
    )
    return Table.of(
        "",
        (
            Column("", lambda row: row["measure"]),
            numeric("saved", lambda row: Cell.estimate(*row["saved"], signed=False)),
            numeric("now", lambda row: Cell.estimate(*row["new"], signed=False)),
            numeric("change", lambda row: Cell.estimate(*row["change"])),
        ),
        rows,
        note,
    )


def check_lines(check: Mapping[str, Any]) -> Iterator[str]:
    """Sentences below the table: rows, differences of the states, reasons of the verdict."""
    left_out = ", ".join(f"{count} {reason}" for reason, count in check["left_out"].items())
    yield (
        f"{counted(check['n_rows'], 'row')}, {check['n_ones']} of class 1"
        + (f"; left out: {left_out}" if left_out else "")
    )
    changes = check["rows"]
    if changes is not None:
        crossed = changes["crossed"]
        sides = "" if crossed is None else f"; {counted(crossed, 'row')} crossed the threshold"
        yield (
            f"P(label = 1) moved by {changes['mean']:.2g} on average, at most by "
            f"{changes['largest']:.2g} (row {changes['largest_id']}){sides}"
        )
    for name, (saved, new) in check["differences"].items():
        yield f"differs: {name} {_known(saved)} -> {_known(new)}"
    if not check["differences"]:
        yield "the states are those that the probe was fitted on, as far as the stores record"
    yield f"{check['verdict']}: {'; '.join(check['reasons'])}"


def _known(value: Any) -> str:
    return "unknown" if value is None else str(value)
