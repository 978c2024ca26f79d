"""The tasks that are known by name, and whether their rows are at hand."""

from typing import Any

from w2sprobe.assets import is_fetched
from w2sprobe.data.bigbench_curated import CURATED
from w2sprobe.data.hub import availability
from w2sprobe.data.registry import HUB_TASKS


def known_tasks() -> list[dict[str, Any]]:
    """Name, source, number of rows, positive class, and where rows are read without a network.

    Returns
    -------
    list of dict
        `offline` is empty where a network is needed.
    """
    fetched = "fetched" if is_fetched("bigbench") else ""
    return [
        {
            "name": name,
            "source": task.source.repo,
            "rows": sum(task.rows),
            "positive class": task.positive,
            "offline": availability(task.source),
        }
        for name, task in HUB_TASKS.items()
    ] + [
        {
            "name": f"bigbench:{name}",
            "source": "BIG-bench",
            "rows": entry.rows,
            "positive class": entry.about,
            "offline": fetched,
        }
        for name, entry in CURATED.items()
    ]
