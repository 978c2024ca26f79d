"""The record of a session as a Markdown table, each row beside the limits of its device."""

from typing import Any

HEAD = """\
| measured | seconds | per second | TFLOP/s | of the matrix product | of the peak | memory | check |
|---|---|---|---|---|---|---|---|"""


def markdown(record: dict[str, Any]) -> str:
    """What was measured, on what, and what is missing.

    Parameters
    ----------
    record : dict
        Of a `Session`. The limit of a row is the matrix product of its type in the same record,
        and the peak is the data sheet's.
    """
    parts = record["parts"]
    limits = {row["dtype"]: _speed(row) for row in parts.get("limit", {}).get("rows", [])}
    peaks = record["device"]["peak_tflops"]
    rows = [_line(row, part, limits, peaks) for part in parts.values() for row in part["rows"]]
    missing = [
        f"- {name}: {outcome}, {reason}"
        for outcome in ("failed", "skipped")
        for name, reason in record[outcome].items()
    ]
    return "\n".join([*_facts(record), "", HEAD, *rows, "", *missing]).strip()


def _facts(record: dict[str, Any]) -> list[str]:
    """Device, versions, commits and days of a record, one line each."""
    device, parts = record["device"], record["parts"].values()
    machine = device["machine"]
    memory = f", {device['memory_gb']:.0f} GB" if device["memory_gb"] else ""
    versions = sorted({f"{name} {is_}" for part in parts for name, is_ in part["versions"].items()})
    commits = sorted({part["commit"] for part in parts})
    days = sorted({part["finished"][:10] for part in parts})
    return [
        f"{device['name']}{memory}, beside {machine['processor']} (cores: {machine['cores']}); "
        f"{record['sizes']} sizes; commit {', '.join(commits)}; {', '.join(days)}; "
        f"{', '.join(versions)}."
    ]


def _line(
    row: dict[str, Any], part: dict[str, Any], limits: dict[str, float], peaks: dict[str, float]
) -> str:
    speed, dtype = _speed(row), row["dtype"]
    rate = f"{row['amount'] / row['seconds']:,.0f} {row['unit']}" if row["unit"] else ""
    cells = [
        row["name"],
        f"{row['seconds']:.3g}",
        rate,
        f"{speed:.3g}" if speed else "",
        _share(speed, limits.get(dtype)),
        _share(speed, peaks.get(dtype)),
        f"{part['peak_memory_gb']:.1f} GB",
        f"{row['check']}{'' if row['agrees'] else ' **DISAGREES**'}".replace("|", "/"),
    ]
    return f"| {' | '.join(cells)} |"


def _speed(row: dict[str, Any]) -> float:
    """TFLOP/s of a row; 0 where operations are not counted."""
    return float(row["flops"] / row["seconds"] / 1e12)


def _share(speed: float, of: float | None) -> str:
    return f"{100 * speed / of:.0f} %" if speed and of else ""
