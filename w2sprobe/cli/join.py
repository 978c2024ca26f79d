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
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A new folder.")
@click.option("--name", help="Of the study; default: that of the first result.")
@_options.common
def command(results: tuple[Path, ...], out: Path, name: str | None, as_json: bool) -> None:
    """Make one study of several that were run apart.

    Seeds, tasks or models of a study can be run on machines that share no disk, or in several
    sittings. RESULTS are folders as `w2sprobe run` leaves them; their experiments are copied into
    OUT, and means, intervals and tests are computed of all. Settings that a study has one value
    for have to agree.

    \b
    Examples:
      w2sprobe join results/seed0 results/seed1 --out results/both
    """
    from w2sprobe.experiments.join import join_studies

    study = join_studies(results, out, name=name)
    if as_json:
        click.echo(study.model_dump_json(indent=2))
    else:
        print_study(study, out)
