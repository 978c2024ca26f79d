"""Write report.html and figures/ from results."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from w2sprobe import __version__
from w2sprobe.atomic import make_folder
from w2sprobe.errors import InputError
from w2sprobe.reporting.pages import Page, write_page
from w2sprobe.reporting.report.drawing import Drawing, house_style
from w2sprobe.reporting.report.explorers import Explore, Link, write_explorers
from w2sprobe.reporting.report.sections import Describe, Section, SourceReport, report_of
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.report.versus import versus
from w2sprobe.reporting.wording import counted

HTML, FIGURES = "report.html", "figures"


def write_report(
    folders: Sequence[Path],
    out: Path | None = None,
    *,
    stores: Path | None = None,
    describe: Describe | None = None,
    explore: Explore | None = None,
) -> Path:
    """Write a report of one result, or of several compared with the first; return its page.

    Parameters
    ----------
    folders : sequence of Path
        Result folders of `w2sprobe run`.
    out : Path, optional
        Gets report.html and figures/, each figure as PNG, SVG, PDF and CSV. Default: the folder
        `report` inside the first result.
    stores : Path, optional
        Folder of activation stores. With `explore`, an explorer is written for each run whose
        store exists.
    describe : callable, optional
        Describes the methods of a run, as
        `w2sprobe.experiments.method_descriptions.describe_methods`.
    explore : callable, optional
        Computes the content of an explorer, as `w2sprobe.explorer.explore_run`; the only part of a
        report that needs torch.

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
        shutil.rmtree(figures, ignore_errors=True)  # figures of an earlier report have other names
        make_folder(figures)
        for section in [*compared, *(section for part in parts for section in part.sections)]:
            for block in section.blocks:
                if isinstance(block, Drawing):
                    block.save(figures)
        links = list(write_explorers(sources, stores, out, explore)) if stores and explore else []
        write_page(_page(parts, compared, names, links), out / HTML)
    return out / HTML


def _names(sources: Sequence[ResultsFolder]) -> list[str]:
    """Names of the studies, or their folders if two studies have the same name."""
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
    values = {
        "version": __version__,
        "compared": compared,
        "parts": [
            {
                "name": name,
                "description": _description(part.source),
                "key_numbers": part.key_numbers,
                "sections": part.sections,
                "explorers": [link for source, link in links if source is part.source],
            }
            for part, name in zip(parts, names, strict=True)
        ],
    }
    title = " and ".join(names)
    return Page("report.html.j2", f"{title}: weak-to-strong report", values)


def _description(source: ResultsFolder) -> str:
    """Task and size of a study, in one line."""
    tasks = source.tasks
    runs = {run.results.seed for run in source.runs}
    return ", ".join(
        (
            tasks[0] if len(tasks) == 1 else counted(len(tasks), "task"),
            f"{counted(len(source.pairs), 'pair')} of models",
            f"{counted(len(runs), 'run')} per task and pair",
            counted(len(source.methods), "method"),
        )
    )
