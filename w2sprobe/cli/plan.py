"""`w2sprobe plan`."""

import json
from pathlib import Path
from typing import Any

import click

from w2sprobe.cli import _options, _study
from w2sprobe.cli._tables import print_table


@click.command("plan")
@_study.study_options
@click.option(
    "--pilot",
    "pilots",
    multiple=True,
    metavar="RESULTS",
    type=click.Path(path_type=Path),
    help="Results of an earlier `w2sprobe run`, from which variances are estimated; may be "
    "repeated. Default: variances of a built-in pilot (8 BIG-bench tasks, 3 seeds).",
)
@_options.task_options
@_options.device
@_options.common
def command(
    out: Path | None, pilots: tuple[Path, ...], device: str, as_json: bool, **given: Any
) -> None:
    """Preregister a study: hypotheses, tests and their power.

    Computes the differences that the tests can detect, and writes OUT/preregistration.json with the
    full config and its SHA-256. Reads the tasks, but loads no weights and runs nothing. Section
    `analysis` of the config declares the tests; docs/studies.md explains them.

    A later `w2sprobe run` with the same OUT, and `w2sprobe report`, refer to this file and list
    deviations.

    \b
    Examples:
      w2sprobe plan study.yaml
      w2sprobe plan --preset recommended --set analysis.family='[knn_filter, topofilter]'
      w2sprobe plan study.yaml --pilot results/pilot --out results/main
    """
    config = _study.config_of(given)

    from w2sprobe.declaration import PREREGISTRATION
    from w2sprobe.experiments.plan import make_plan
    from w2sprobe.experiments.preregistration import declare, write_declaration
    from w2sprobe.reporting.declarations import declaration_tables

    folder = out or _study.default_out(config)
    plan = make_plan(config, cache=_options.cache_folder(), out=folder, device=device)
    drafted = declare(plan, pilots)
    declaration = write_declaration(drafted, folder)
    if as_json:
        click.echo(json.dumps(declaration.held, indent=2))
        return
    for table in declaration_tables(declaration):
        print_table(table)
    for warning in declaration.warnings:
        click.echo(f"Warning: {warning}")
    earlier = "" if declaration is drafted else f"the same was declared {declaration.written}: "
    click.echo(f"{earlier}{folder / PREREGISTRATION}  SHA-256 {declaration.sha256}")
