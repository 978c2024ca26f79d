"""Tables of what there is: tasks, splits, stores."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from w2sprobe.cache import StoreInfo
from w2sprobe.layers import layers_text
from w2sprobe.reporting.table import Cell, Column, Table, numeric


def tasks_table(tasks: Sequence[Mapping[str, Any]]) -> Table:
    """Tasks, from `w2sprobe.data.listing.known_tasks`."""
    columns = (
        numeric(name, itemgetter(name))
        if name == "rows"
        else Column(name, itemgetter(name), wrap=name == "positive class")
        for name in tasks[0]
    )
    return Table.of("", columns, tasks)


def splits_table(summary: Mapping[str, Any]) -> Table:
    """Numbers of rows per label and of groups in every split, from `Splits.summary`."""
    splits, groups = summary["splits"], summary["groups"]
    return Table.of(
        "",
        (
            Column("split", str),
            numeric("label 0", lambda name: splits[name]["label_0"]),
            numeric("label 1", lambda name: splits[name]["label_1"]),
            numeric("groups", lambda name: Cell.count(groups.get(name))),
        ),
        splits,
    )


def stores_table(stores: Sequence[StoreInfo]) -> Table:
    """Activation stores, from `w2sprobe.cache.store_info`."""
    return Table.of(
        "",
        (
            Column("store", "path.name"),
            Column("model", wrap=True),
            numeric("rows", "n_rows"),
            Column("layers", lambda info: layers_text(info.layers), wrap=True),
            numeric("width", "hidden_size"),
            Column("dtype"),
            Column("state", wrap=True),
            numeric("MB", lambda info: Cell.number(info.bytes / 1e6, digits=1)),
            numeric("age", lambda info: Cell.number(info.age_days, f"{info.age_days:.0f} d")),
            numeric(
                "unused", lambda info: Cell.number(info.unused_days, f"{info.unused_days:.0f} d")
            ),
        ),
        stores,
    )
