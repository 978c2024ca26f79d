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
@click.argument(
    "results", nargs=-1, required=True, metavar="RESULTS...", type=click.Path(path_type=Path)
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Output folder of report.html and figures/; default: report/ in the first of RESULTS.",
)
@_options.common
def command(results: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Write an HTML report of one or several results.

    RESULTS are output folders of `w2sprobe run`, of one experiment or of a study. With several
    RESULTS, the others are compared with the first.

    report.html contains key numbers, figures and tables, and works offline. Every figure is also in
    figures/ as PNG, SVG and PDF, with its data as CSV. If the activations of a run are still in the
    cache, explorer pages are written next to report.html.

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
