"""The results of an experiment as a table in the terminal."""

from rich import box
from rich.markup import escape
from rich.table import Table

from w2sprobe.reporting._cells import interval_text
from w2sprobe.results import Interval, Results


def results_table(results: Results) -> Table:
    """AUC, gain over the weak model, PGR, rows and seconds of every method."""
    title = f"{results.task}: {results.weak_model} supervises {results.strong_model}"
    table = Table(
        title=title, box=box.SIMPLE_HEAD, caption=_caption(results), caption_justify="left"
    )
    table.add_column("method")
    for column in ("AUC", "ΔAUC to weak", "PGR", "rows kept", "seconds"):
        table.add_column(column, justify="right")
    for row in results.rows:
        ends = row.method in ("weak", "ceiling")
        table.add_row(
            row.method,
            escape(f"{row.auc:.3f} {interval_text(row.auc_interval, 3)}"),
            ""
            if row.method == "weak"
            else escape(with_interval(row.delta_auc, row.delta_auc_interval, 3)),
            "" if ends or row.pgr is None else escape(with_interval(row.pgr, row.pgr_interval, 2)),
            f"{row.rows_kept} of {row.rows_offered}",
            f"{row.seconds:.1f}",
        )
    return table


def with_interval(value: float, interval: Interval | None, digits: int) -> str:
    """Return a signed value and its interval; None has no bounds.

    Examples
    --------
    >>> with_interval(0.0312, (-0.002, 0.06), 3)
    '+0.031 [-0.002, +0.060]'
    """
    text = f"{value:+.{digits}f}"
    if interval is None:
        return f"{text} [unbounded]"
    return f"{text} [{interval[0]:+.{digits}f}, {interval[1]:+.{digits}f}]"


def _probes(results: Results) -> str:
    layer = [] if results.layer is None else [f"layer {results.layer}"]
    chosen = [
        f"layer {point['layer']}, {point['setting']} {point['value']:g} (by weak labels)"
        for point in results.chosen.values()
    ]
    return "; ".join(layer + chosen)


def _caption(results: Results) -> str:
    lines = [
        "Brackets: 95 % intervals over test rows. "
        f"Probes: {_probes(results)}. Test rows: {results.splits['test']}."
    ]
    if not results.resolved:
        needed = (
            "the ceiling is not above the weak model"
            if results.gap <= 0
            else "too small, whatever the number of test rows"
            if results.rows_needed is None
            else f"about {results.rows_needed} test rows would resolve it"
        )
        lines.append(
            "The gap between weak model and ceiling is not resolved: read ΔAUC, not PGR "
            f"(gap {results.gap:+.3f}, SE {results.gap_se:.3f}; {needed})."
        )
    lines += [
        f"{row.method} was not trained again: its labels are those of {row.same_run_as!r}."
        for row in results.rows
        if row.same_run_as
    ]
    lines += [f"No result for {name}: {stage} failed." for name, stage in results.missing.items()]
    lines += [f"Warning: {message}" for message in results.warnings]
    lines += [
        f"Audit, {finding.level}: {finding.message}"
        for finding in results.audit
        if finding.level != "note"
    ]
    return escape("\n".join(lines))
