import sys

import pytest
from rich.table import Table

from w2sprobe.cli._tables import PIPE_WIDTH, print_table


def test_a_pipe_gets_every_column_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert not sys.stdout.isatty()
    table = Table(box=None)
    cells = [f"column-{number}-{'x' * 15}" for number in range(8)]
    for cell in cells:
        table.add_column(cell)
    print_table(table)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split() == cells
    assert 80 < len(line) <= PIPE_WIDTH
