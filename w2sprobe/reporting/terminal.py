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
WRAPPED = 24  # characters of a column that may take several lines, at least
LINE = 80  # characters of a note, at least
BETWEEN = 3  # columns: padding and an empty divider


def drawn(table: Table, width: int) -> Iterator[RenderableType]:
    """Draw a table, in several parts where it is too wide: a cut number is no number.

    Parameters
    ----------
    width : int
        Of the terminal, in characters.

    Yields
    ------
    renderable
        Parts, each with the first column and those that are pinned; then the note.
    """
    parts = _parts(table, width)
    for number, part in enumerate(parts):
        yield _part(table, part, table.title + (", continued" if number else ""))
    if table.note:
        widest = max(LINE, *(_total(part.values()) for part in parts))
        yield Constrain(Text(table.note, style="table.caption"), min(width, widest))


def _part(table: Table, part: Mapping[int, int], title: str) -> Drawn:
    made = Drawn(
        title=Text(title) if title else None,
        box=box.SIMPLE_HEAD,
        show_header=any(column.title for column in table.columns),
    )
    for at, width in part.items():
        column = table.columns[at]
        made.add_column(
            Text("\n".join(wrap(column.title, width))),
            justify="right" if column.number else "left",
            no_wrap=not column.wrap,
            overflow="fold",
        )
    apart = not all(row.unresolved for row in table.rows)
    for row in table.rows:
        cells = [row.cells[at] for at in part]
        made.add_row(
            *(Text(cell.text, STYLES[cell.tone]) for cell in cells),
            style="dim" if row.unresolved and apart else None,
        )
    return made


def _parts(table: Table, width: int) -> list[dict[int, int]]:
    """Columns of each part, with their widths."""
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
    found = []
    for group in groups:
        part = sorted({*pinned, *group})
        # titles take several lines where that saves a part
        fits = _total(whole[at] for at in part) <= width
        found.append({at: whole[at] if fits else least[at] for at in part})
    return found


def _total(widths: Iterable[int]) -> int:
    return 1 + sum(width + BETWEEN for width in widths)
