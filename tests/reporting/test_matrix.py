from rich.console import Console

from w2sprobe.comparison import Matrix, MatrixCell
from w2sprobe.reporting.matrix import matrix_tables


def cell(weak: str, strong: str, n: int, value: float) -> MatrixCell:
    return MatrixCell(
        weak_model=weak,
        strong_model=strong,
        n_pgr=n,
        pgr=value,
        n_delta_auc=n + 1,
        delta_auc=value / 10,
    )


def test_weak_models_are_rows_and_strong_ones_columns() -> None:
    cells = (
        cell("w[red]", "s", 3, 0.25),
        cell("v", "s", 0, float("nan")),
        cell("w[red]", "l", 2, -0.5),
    )
    console = Console(width=100)
    with console.capture() as capture:
        for table in matrix_tables(Matrix(method="student", cells=cells)):
            console.print(table)
    lines = capture.get().splitlines()
    rows = [line.split() for line in lines if line.strip().startswith(("w[red]", "v"))]
    assert rows == [
        ["w[red]", "+0.25", "(3)", "-0.50", "(2)"],
        ["v", "-", "(0)"],
        ["w[red]", "+0.025", "(4)", "-0.050", "(3)"],
        ["v", "-", "(1)"],
    ]
    assert lines[0].strip() == "PGR of student"
