"""Shell completion of task, model, asset and method names."""

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Completion = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completion(names: Callable[[], Iterable[str]], *, beside: str | None = None) -> Completion:
    """Complete names, and after them paths if `beside` is "file" or "dir"."""

    def complete(
        ctx: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        items = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return [*items, CompletionItem(incomplete, type=beside)] if beside else items

    return complete


def _tasks() -> list[str]:
    from w2sprobe.data.bigbench_curated import CURATED
    from w2sprobe.data.tasks import BIGBENCH

    return [*_hub_tasks(), *(BIGBENCH + name for name in CURATED)]


def _hub_tasks() -> list[str]:
    from w2sprobe.data.registry import HUB_TASKS

    return list(HUB_TASKS)


def _models() -> list[str]:
    from w2sprobe.assets import ASSETS
    from w2sprobe.data.bigbench import ASSET

    return [name for name in ASSETS if name != ASSET]


def _assets() -> list[str]:
    from w2sprobe.assets import ASSETS, GROUPS

    return [*ASSETS, *GROUPS]


def _methods() -> list[str]:
    from w2sprobe.experiments.methods import METHODS

    return list(METHODS)


tasks = _completion(_tasks, beside="file")
hub_tasks = _completion(_hub_tasks)
models = _completion(_models, beside="dir")
assets = _completion(_assets)
methods = _completion(_methods)
results = _completion(lambda: ["published"], beside="file")
files = _completion(list, beside="file")
