import math

from rich.console import Console

from w2sprobe.comparison import GainRow
from w2sprobe.reporting.gains import gain_tables


def row(indicator: str, unit: str, correlation: float, **changes: object) -> GainRow:
    fields = {
        "method": "student", "n": 9, "n_tasks": 9, "interval": (-0.25, 0.75),
        "pvalue": 0.2, "holm": 0.4,
    }  # fmt: skip
    return GainRow(indicator=indicator, unit=unit, correlation=correlation, **{**fields, **changes})


def printed(*rows: GainRow) -> str:
    console = Console(width=150)
    with console.capture() as capture:
        for table in gain_tables(rows):
            console.print(table)
    return capture.get()


def test_a_row_an_indicator_and_both_gains() -> None:
    text = printed(
        row("c[red]ka", "auc", 0.3),
        row("misfit", "auc", 0.5, n=3, interval=(math.nan, math.nan), pvalue=math.nan),
        row("c[red]ka", "pgr", -0.4, n=7),
        row("misfit", "pgr", math.nan, n=0, pvalue=math.nan),
    )
    lines = [line.split() for line in text.splitlines()]
    cka = "c[red]ka 9 +0.30 [-0.25, +0.75] 0.200 (0.400) 7 -0.40 [-0.25, +0.75] 0.200 (0.400)"
    assert cka.split() in lines
    assert ["misfit", "3", "+0.50", "-", "0", "-", "-"] in lines
    assert "for 2 indicators" in text
    assert "not independent" not in text


def test_shared_tasks_are_said_and_methods_have_tables() -> None:
    rows = [
        row("cka", unit, 0.3, method=method, n_tasks=4)
        for method in ("student", "topofilter")
        for unit in ("auc", "pgr")
    ]
    text = printed(*rows)
    assert text.count("Pairs share tasks") == 2
    assert "Indicators and the gain of topofilter" in text
