"""Write report.html and figures/ from results."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from w2sprobe import __version__
from w2sprobe.atomic import make_folder
from w2sprobe.errors import InputError
from w2sprobe.reporting.pages import Page, write_page
from w2sprobe.reporting.report.drawing import Drawing, house_style
from w2sprobe.reporting.report.rows import Explore, Link, write_explorers
from w2sprobe.reporting.report.sections import Code, Describe, Section, SourceReport, report_of
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.report.versus import versus
from w2sprobe.reporting.table import Table

HTML, FIGURES = "report.html", "figures"


def write_report(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    stores: Path | None = None,
    describe: Describe | None = None,
    explore: Explore | None = None,
) -> Path:
    """Write a report of one result, or of several side by side.

    Parameters
    ----------
    folders : sequence of Path
        As `w2sprobe run` leaves them; the first is what others are compared with.
    out : Path, optional
        Folder; gets report.html and figures/, each as PNG, SVG, PDF and CSV. Default: report in
        the folder of the first result.
    stores : Path, optional
        Folder with activation stores. With `explore`, an explorer is written for each run whose
        store is there.
    describe : callable, optional
        From Results to a sentence for each method, as
        `w2sprobe.experiments.method_descriptions.describe_methods`.
    explore : callable, optional
        Computes the content of an explorer, as `w2sprobe.explorer.explore_run`; the only part of a
        report that needs torch.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        A folder without results, or one named twice.
    OutputError
        `out` cannot be written to.
    """
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError(
            "a result that is named twice", where=", ".join(map(str, folders)), allowed="each once"
        )
    sources = [ResultsFolder.read(folder) for folder in folders]
    names = _names(sources)
    out = out or sources[0].folder / "report"
    make_folder(out)
    with house_style():
        parts = [
            report_of(source, f"part{number}-" if len(sources) > 1 else "", describe)
            for number, source in enumerate(sources, start=1)
        ]
        compared = [
            versus(sources[0], source, f"versus{number}-", (names[0], name))
            for number, (source, name) in enumerate(zip(sources, names, strict=True), start=1)
            if number > 1
        ]
        figures = out / FIGURES
        shutil.rmtree(figures, ignore_errors=True)  # those of an earlier report have other names
        make_folder(figures)
        for section in [*compared, *(section for part in parts for section in part.sections)]:
            for block in section.blocks:
                if isinstance(block, Drawing):
                    block.save(figures)
        links = list(write_explorers(sources, stores, out, explore)) if stores and explore else []
        write_page(_page(parts, compared, names, links), out / HTML)
    return out / HTML


def _names(sources: Sequence[ResultsFolder]) -> list[str]:
    """Names of the studies; those of their folders where two have the same."""
    names = [source.name for source in sources]
    if len(set(names)) == len(names):
        return names
    return [str(source.folder) for source in sources]


def _page(
    parts: Sequence[SourceReport],
    compared: Sequence[Section],
    names: Sequence[str],
    links: Sequence[tuple[ResultsFolder, Link]],
) -> Page:
    values: dict[str, Any] = {
        "version": __version__,
        "compared": [_rendered(section) for section in compared],
        "parts": [
            {
                "name": name,
                "description": _description(part),
                "key_numbers": part.key_numbers,
                "sections": [_rendered(section) for section in part.sections],
                "explorers": [link for source, link in links if source is part.source],
            }
            for part, name in zip(parts, names, strict=True)
        ],
    }
    title = " and ".join(names)
    return Page("report.html.j2", f"{title}: weak-to-strong report", values)


def _rendered(section: Section) -> dict[str, Any]:
    kinds: dict[type, tuple[str, Callable[[Any], Any]]] = {
        Drawing: ("figure", Drawing.block),
        Table: ("table", lambda table: table),
        Code: ("code", lambda code: code),
    }
    blocks = []
    for block in section.blocks:
        kind, made = kinds[type(block)]
        blocks.append({"kind": kind, "block": made(block)})
    return {
        "name": section.name,
        "title": section.title,
        "intro": section.intro,
        "blocks": blocks,
    }


def _description(part: SourceReport) -> str:
    source = part.source
    runs = {run.results.seed for run in source.runs}
    counts = (
        *(((len(source.tasks), "task"),) if len(source.tasks) > 1 else ()),
        (len(source.pairs), "pair of models"),
        (len(runs), "run per task and pair"),
        (len(source.methods), "method"),
    )
    words = source.tasks if len(source.tasks) == 1 else []
    words = [*words, *(f"{n} {_plural(word, n)}" for n, word in counts)]
    return ", ".join(words)


def _plural(word: str, n: int) -> str:
    if n == 1:
        return word
    first, *rest = word.split(" ", 1)
    return " ".join([f"{first}s", *rest])
