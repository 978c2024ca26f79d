"""`w2sprobe report`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from w2sprobe.cli import _options

if TYPE_CHECKING:
    from w2sprobe.labels import LabelTable
    from w2sprobe.reporting.explorer import ExplorerData


@click.command("report")
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of report.html and figures/; default: report in the folder of the first result.",
)
@_options.common
def command(results: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Write the report of one or several results: key numbers, figures and tables in one HTML file.

    RESULTS are folders that `w2sprobe run` has written, of one experiment or of a study; several
    are compared with the first. The page needs no network. Every figure is also in figures/ as PNG,
    SVG and PDF, with its data as CSV. If a run's activations are in the cache, pages to explore
    them are written beside it.

    \b
    Examples:
      w2sprobe report results/demo
      w2sprobe report results/demo results/other --out comparison
    """
    from w2sprobe.experiments.method_descriptions import describe_methods
    from w2sprobe.reporting.report import write_report

    page = write_report(
        results,
        out,
        stores=_options.cache_folder() / "stores",
        describe=describe_methods,
        explore=_explore,
    )
    if as_json:
        click.echo(json.dumps({"report": str(page), "figures": str(page.parent / "figures")}))
        return
    click.echo(f"written: {page}")


def _explore(store: Path, labels: "LabelTable", splits: Path) -> "ExplorerData":
    from w2sprobe.explorer import explore_run  # loads torch, which a report alone does without

    return explore_run(store, labels, splits)
