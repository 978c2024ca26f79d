"""`w2sprobe join`."""

from pathlib import Path

import click

from w2sprobe.cli import _completion, _options
from w2sprobe.cli._overview import print_study


@click.command("join")
@click.argument(
    "results",
    nargs=-1,
    required=True,
    metavar="RESULTS...",
    type=click.Path(path_type=Path),
    shell_complete=_completion.results,
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Output folder; must not exist.",
)
@click.option(
    "--name", metavar="NAME", help="Name of the joined study; default: that of the first result."
)
@_options.common
def command(results: tuple[Path, ...], out: Path, name: str | None, as_json: bool) -> None:
    """Merge studies that were run separately.

    Use it for seeds, tasks or models that were run on machines without a shared disk. With a shared
    cache, rerun the whole study instead: its finished stages are not run again.

    RESULTS are output folders of `w2sprobe run`; they are copied unchanged into OUT. Means,
    intervals and tests are computed over all. Settings other than tasks, models, seeds and methods
    must agree.

    \b
    Example:
      w2sprobe join results/seed0 results/seed1 --out results/both
    """
    from w2sprobe.experiments.join import join_studies

    study = join_studies(results, out, name=name)
    if as_json:
        click.echo(study.model_dump_json(indent=2))
    else:
        print_study(study, out)
