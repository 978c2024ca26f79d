"""Tables of what a study will do."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial

from w2sprobe.reporting.table import Cell, Column, Table, numeric
from w2sprobe.results import Forecast, PlannedStage


def plan_tables(forecast: Forecast) -> Iterator[Table]:
    """Every stage of a single experiment, or stages per task and kind; then the sums."""
    if forecast.n_experiments == 1:
        yield _stages(forecast)
    else:
        yield _kinds(forecast)
    yield _sums(forecast)


def _stages(forecast: Forecast) -> Table:
    def reads(stage: PlannedStage) -> str:
        return ", ".join(f"{name} {number}" for name, number in stage.inputs.items())

    def time(stage: PlannedStage) -> Cell:
        return Cell.number(stage.seconds, "~" * (not stage.done) + seconds_text(stage.seconds))

    return Table.of(
        "",
        (
            Column("#", "number"),
            Column("stage", wrap=True),
            Column("reads", reads, wrap=True),
            Column("done", lambda stage: "yes" if stage.done else "no"),
            numeric(
                "disk", lambda stage: Cell.number(stage.disk_bytes, bytes_text(stage.disk_bytes))
            ),
            numeric("time", time),
            Column("folder", wrap=True),
        ),
        forecast.stages,
    )


def _kinds(forecast: Forecast) -> Table:
    by_task: dict[str, list[PlannedStage]] = {}
    for stage in forecast.stages:
        by_task.setdefault(stage.experiment.split(", ")[0], []).append(stage)

    def done(task: str, kind: str) -> str:
        states = [stage.done for stage in by_task[task] if stage.kind == kind]
        return f"{sum(states)} of {len(states)}"

    def missing(task: str, name: str) -> float:
        return float(sum(getattr(stage, name) for stage in by_task[task] if not stage.done))

    return Table.of(
        "",
        (
            Column("task", str),
            *(
                Column(kind, partial(done, kind=kind), number=True)
                for kind in dict.fromkeys(stage.kind for stage in forecast.stages)
            ),
            numeric("disk", lambda task: Cell.of(bytes_text(missing(task, "disk_bytes")))),
            numeric("time", lambda task: Cell.of("~" + seconds_text(missing(task, "seconds")))),
        ),
        by_task,
        "Stages done, of all. A stage that several tasks share counts with the first of them.",
    )


def _sums(forecast: Forecast) -> Table:
    n_done = sum(stage.done for stage in forecast.stages)
    rows = [
        ("stages", f"{n_done} of {len(forecast.stages)} done"),
        ("experiments", str(forecast.n_experiments)),
    ]
    if forecast.n_experiments == 1:
        (sizes,) = forecast.splits.values()
        rows.append(("rows", ", ".join(f"{name} {size}" for name, size in sizes.items())))
    rows += [
        ("disk still needed", bytes_text(forecast.disk_bytes)),
        ("activation stores", bytes_text(forecast.store_bytes)),
        (
            "time still needed",
            f"about {seconds_text(forecast.seconds)} here, one stage at a time "
            f"(from {forecast.speed_from})",
        ),
    ]
    return Table.of_texts("", ("", ""), rows)


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
