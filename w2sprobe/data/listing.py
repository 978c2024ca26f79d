"""List of the tasks that have a name, and whether their rows can be read offline."""

from typing import Any

from w2sprobe.assets import is_fetched
from w2sprobe.data.bigbench_curated import CURATED
from w2sprobe.data.hub import availability
from w2sprobe.data.registry import HUB_TASKS


def known_tasks() -> list[dict[str, Any]]:
    """Name, source, number of rows and positive class of each task.

    `offline` says where the rows are ("mirror", "cache", "fetched"); empty: a network is needed.
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
