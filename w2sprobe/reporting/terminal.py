"""Tables in a terminal."""

from collections.abc import Iterable, Iterator, Mapping
from textwrap import wrap

from rich import box
from rich.cells import cell_len
from rich.console import RenderableType
from rich.constrain import Constrain
from rich.table import Table as Drawn
from rich.text import Text

from w2sprobe.reporting.table import Table

STYLES = {"": "", "good": "green", "bad": "red"}
WRAPPED = 24  # smallest width of a column whose texts may wrap, if they are that long
LINE = 80  # smallest width of a note, on a terminal that is wide enough
BETWEEN = 3  # characters between two columns: padding and an empty divider


def drawn(table: Table, width: int) -> Iterator[RenderableType]:
    """Draw a table, split into several if the terminal is too narrow, so that no number is cut.

    Parameters
    ----------
    width : int
        Width of the terminal in characters.

    Yields
    ------
    renderable
        Parts, each with the first column and the pinned ones; then the note.
    """
    parts = _parts(table, width)
    for number, part in enumerate(parts):
        yield _part(table, part, table.title + (", continued" if number else ""))
    if table.note:
        widest = max(LINE, *(_total(part.values()) for part in parts))
        yield Constrain(Text(table.note, style="table.caption"), min(width, widest))


def _part(table: Table, part: Mapping[int, int], title: str) -> Drawn:
    drawing = Drawn(
        title=Text(title) if title else None,
        box=box.SIMPLE_HEAD,
        show_header=any(column.title for column in table.columns),
    )
    for at, width in part.items():
        column = table.columns[at]
        drawing.add_column(
            Text("\n".join(wrap(column.title, width))),
            justify="right" if column.number else "left",
            no_wrap=not column.wrap,
            overflow="fold",
        )
    has_resolved = not all(row.unresolved for row in table.rows)
    for row in table.rows:
        cells = [row.cells[at] for at in part]
        drawing.add_row(
            *(Text(cell.text, STYLES[cell.tone]) for cell in cells),
            style="dim" if row.unresolved and has_resolved else None,
        )
    return drawing


def _parts(table: Table, width: int) -> list[dict[int, int]]:
    """Columns of each part, by their numbers, with their widths."""
    whole, least = [], []
    for at, column in enumerate(table.columns):
        cells = max((cell_len(row.cells[at].text) for row in table.rows), default=0)
        words = max(map(cell_len, column.title.split()), default=0)
        whole.append(max(cell_len(column.title), cells))
        least.append(max(words, min(cells, WRAPPED) if column.wrap else cells))
    pinned = {at for at, column in enumerate(table.columns) if column.pinned or at == 0}
    groups: list[list[int]] = [[]]
    for at in range(len(least)):
        if at in pinned:
            continue
        if groups[-1] and _total(least[i] for i in (*pinned, *groups[-1], at)) > width:
            groups.append([])
        groups[-1].append(at)
    parts = []
    for group in groups:
        part = sorted({*pinned, *group})
        # titles are wrapped only where they would not fit on one line
        fits = _total(whole[at] for at in part) <= width
        parts.append({at: whole[at] if fits else least[at] for at in part})
    return parts


def _total(widths: Iterable[int]) -> int:
    return 1 + sum(width + BETWEEN for width in widths)
