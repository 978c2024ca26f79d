"""What a study will do, as tables in the terminal."""

from collections.abc import Iterator
from datetime import timedelta

from rich import box
from rich.markup import escape
from rich.table import Table

from w2sprobe.results import Forecast, PlannedStage


def plan_tables(forecast: Forecast) -> Iterator[Table]:
    """Every stage of one experiment, or kinds of stages a task of several; then the sums."""
    if forecast.n_experiments == 1:
        yield _stages(forecast)
    else:
        yield _kinds(forecast)
    yield _sums(forecast)


def _stages(forecast: Forecast) -> Table:
    table = Table("#", "stage", "reads", "done", box=box.SIMPLE_HEAD)
    for column in ("disk", "time"):
        table.add_column(column, justify="right")
    table.add_column("folder", overflow="fold")
    for stage in forecast.stages:
        table.add_row(
            str(stage.number),
            escape(stage.stage),
            ", ".join(f"{escape(name)} {number}" for name, number in stage.inputs.items()),
            "yes" if stage.done else "no",
            bytes_text(stage.disk_bytes),
            ("" if stage.done else "~") + seconds_text(stage.seconds),
            escape(stage.folder),
        )
    return table


def _kinds(forecast: Forecast) -> Table:
    by_task: dict[str, list[PlannedStage]] = {}
    for stage in forecast.stages:
        by_task.setdefault(stage.experiment.split(", ")[0], []).append(stage)
    kinds = list(dict.fromkeys(stage.kind for stage in forecast.stages))
    table = Table(
        "task",
        box=box.SIMPLE_HEAD,
        caption="Stages done, of all. What several tasks share counts with the first.",
        caption_justify="left",
    )
    for column in (*kinds, "disk", "time"):
        table.add_column(column, justify="right")
    for task, stages in by_task.items():
        counts = []
        for kind in kinds:
            same = [stage for stage in stages if stage.kind == kind]
            counts.append(f"{sum(stage.done for stage in same)} of {len(same)}")
        missing = [stage for stage in stages if not stage.done]
        table.add_row(
            escape(task),
            *counts,
            bytes_text(sum(stage.disk_bytes for stage in missing)),
            "~" + seconds_text(sum(stage.seconds for stage in missing)),
        )
    return table


def _sums(forecast: Forecast) -> Table:
    table = Table(box=None, show_header=False)
    n_done = sum(stage.done for stage in forecast.stages)
    table.add_row("stages", f"{n_done} of {len(forecast.stages)} done")
    table.add_row("experiments", str(forecast.n_experiments))
    if forecast.n_experiments == 1:
        (sizes,) = forecast.splits.values()
        table.add_row("rows", ", ".join(f"{name} {size}" for name, size in sizes.items()))
    table.add_row("disk still needed", bytes_text(forecast.disk_bytes))
    table.add_row("activation stores", bytes_text(forecast.store_bytes))
    table.add_row(
        "time still needed",
        f"about {seconds_text(forecast.seconds)} here, one stage at a time "
        f"(from {escape(forecast.speed_from)})",
    )
    return table


def bytes_text(size: float) -> str:
    """Bytes for people.

    Examples
    --------
    >>> bytes_text(1_234_567)
    '1.2 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def seconds_text(seconds: float) -> str:
    """Seconds for people.

    Examples
    --------
    >>> seconds_text(3.2), seconds_text(4000)
    ('3 s', '1:06:40')
    """
    return f"{seconds:.0f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
