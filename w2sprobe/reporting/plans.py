"""What a study will do, as tables."""

from collections.abc import Iterator
from datetime import timedelta

from w2sprobe.reporting.table import Cell, Column, Row, Table
from w2sprobe.results import Forecast, PlannedStage


def plan_tables(forecast: Forecast) -> Iterator[Table]:
    """Every stage of one experiment, or kinds of stages a task of several; then the sums."""
    if forecast.n_experiments == 1:
        yield _stages(forecast)
    else:
        yield _kinds(forecast)
    yield _sums(forecast)


def _stages(forecast: Forecast) -> Table:
    return Table(
        "stages",
        "",
        (
            Column("#"),
            Column("stage", wrap=True),
            Column("reads", wrap=True),
            Column("done"),
            Column("disk", number=True),
            Column("time", number=True),
            Column("folder", wrap=True),
        ),
        [
            Row(
                (
                    Cell.count(stage.number),
                    Cell.of(stage.stage),
                    Cell.of(", ".join(f"{name} {n}" for name, n in stage.inputs.items())),
                    Cell.of("yes" if stage.done else "no"),
                    Cell.number(stage.disk_bytes, bytes_text(stage.disk_bytes)),
                    Cell.number(
                        stage.seconds, ("" if stage.done else "~") + seconds_text(stage.seconds)
                    ),
                    Cell.of(stage.folder),
                )
            )
            for stage in forecast.stages
        ],
    )


def _kinds(forecast: Forecast) -> Table:
    by_task: dict[str, list[PlannedStage]] = {}
    for stage in forecast.stages:
        by_task.setdefault(stage.experiment.split(", ")[0], []).append(stage)
    kinds = list(dict.fromkeys(stage.kind for stage in forecast.stages))
    return Table(
        "stages",
        "",
        (Column("task"), *(Column(title, number=True) for title in (*kinds, "disk", "time"))),
        [_kinds_row(task, stages, kinds) for task, stages in by_task.items()],
        "Stages done, of all. What several tasks share counts with the first.",
    )


def _kinds_row(task: str, stages: list[PlannedStage], kinds: list[str]) -> Row:
    done = {kind: [stage.done for stage in stages if stage.kind == kind] for kind in kinds}
    missing = [stage for stage in stages if not stage.done]
    size, seconds = (
        sum(getattr(stage, name) for stage in missing) for name in ("disk_bytes", "seconds")
    )
    return Row(
        (
            Cell.of(task),
            *(Cell.of(f"{sum(own)} of {len(own)}") for own in done.values()),
            Cell.number(size, bytes_text(size)),
            Cell.number(seconds, f"~{seconds_text(seconds)}"),
        )
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
    return Table.of_texts("sums", "", ("", ""), rows)


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
