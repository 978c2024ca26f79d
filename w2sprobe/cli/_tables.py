"""Tables on stdout."""

import sys

from rich.console import Console, RenderableType

PIPE_WIDTH = 240  # a pipe has no width of its own, and a cut table is no table


def print_table(table: RenderableType) -> None:
    """Print a rich table as wide as the terminal is, or as a pipe needs it."""
    Console(width=None if sys.stdout.isatty() else PIPE_WIDTH).print(table)
