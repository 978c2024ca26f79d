"""Tables on stdout."""

import sys

from rich.console import Console, RenderableType

PIPE_WIDTH = 240  # columns; rich would take 80 for a pipe, and cut most tables


def print_table(table: RenderableType) -> None:
    """Print a rich table in the terminal's width, or `PIPE_WIDTH` wide into a pipe."""
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)
