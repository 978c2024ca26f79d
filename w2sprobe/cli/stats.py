"""`w2sprobe stats`."""

from pathlib import Path
from typing import Any

import click

from w2sprobe.cli import _completion, _options
from w2sprobe.cli._overview import print_overview
from w2sprobe.errors import UnknownName


@click.command("stats")
@click.argument(
    "sources",
    nargs=-1,
    required=True,
    metavar="RESULTS...",
    shell_complete=_completion.results,
)
@click.option(
    "--compare",
    "methods",
    multiple=True,
    metavar="METHOD",
    shell_complete=_completion.methods,
    help="Method to compare; may be repeated. Default: all.",
)
@click.option(
    "--against",
    metavar="METHOD",
    shell_complete=_completion.methods,
    help="Method to compare with. Default: student (xent in published data).",
)
@click.option(
    "--pair",
    metavar="WEAK:STRONG",
    help="Pair of models, named as in the columns weak_model and strong_model. Default: all.",
)
@click.option(
    "--unit",
    type=click.Choice(["pgr", "auc", "both"]),
    default="both",
    show_default=True,
    help="Unit of the differences.",
)
@click.option(
    "--min-gap",
    type=_options.FiniteRange(min=0),
    help="Smallest AUC gap from weak model to ceiling whose PGR is averaged. Default: as the "
    "study's config declares it, else 0.03.",
)
@click.option(
    "--min-gap-se",
    type=_options.FiniteRange(min=0),
    help="The same in standard errors of the gap, where they are known. Default: as the study's "
    "config declares it, else 4.",
)
@click.option(
    "--saturated",
    is_flag=True,
    help="Rule of the published numbers: average all tasks, whatever their gap, except those where "
    "all AUCs are at least 0.999.",
)
@click.option(
    "--family",
    multiple=True,
    metavar="METHOD",
    shell_complete=_completion.methods,
    help="Method in the family whose p values are adjusted together; may be repeated. Default: as "
    "the study's config declares it, else all but controls, learners on true labels and "
    "zero-shot.",
)
@click.option(
    "--alternative",
    type=click.Choice(["two-sided", "greater", "less"]),
    help="Alternative hypothesis: the method differs, is better, or is worse. Default: as the "
    "study's config declares it, else two-sided.",
)
@click.option(
    "--margin",
    type=_options.FiniteRange(min=0, min_open=True),
    help="Largest mean difference in AUC that counts as none in the test of equivalence. Default: "
    "as the study's config declares it, else 0.01.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File for the differences of every task, .csv or .parquet.",
)
@_options.common
def command(
    sources: tuple[str, ...],
    methods: tuple[str, ...],
    against: str | None,
    pair: str | None,
    unit: Any,
    min_gap: float | None,
    min_gap_se: float | None,
    saturated: bool,
    family: tuple[str, ...],
    alternative: Any,
    margin: float | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare methods over tasks: differences with intervals, tests, gains, noise of seeds.

    RESULTS: files or folders of `w2sprobe run`, tables (.csv or .parquet), or the word `published`
    for the numbers of EleutherAI's experiments. A table has one row per task, pair of
    models, method and seed, with the columns task, method and at least one of auc and pgr;
    docs/statistics.md lists the optional columns, such as seed, weak_auc, ceiling_auc and gap_se.
    Rows of the methods weak and ceiling can replace the columns weak_auc and ceiling_auc.

    Each pair of models is compared by itself; with several pairs, matrices of PGR and AUC gain come
    first. Where a folder holds indicators.csv, its indicators are correlated with the gains.
    docs/statistics.md explains the output.

    \b
    Examples:
      w2sprobe stats results/* --against student
      w2sprobe stats scores.csv --compare topofilter --min-gap 0.05 --out differences.csv
      w2sprobe stats published --compare logconf --saturated --alternative greater
    """
    from w2sprobe.atomic import check_writable_file
    from w2sprobe.comparison import (
        PUBLISHED,
        UNITS,
        Analysis,
        check_differences_file,
        overview,
        published,
        read_sources,
        write_differences,
    )

    if saturated and (min_gap, min_gap_se) != (None, None):
        raise click.UsageError("--saturated ignores gaps: leave out --min-gap and --min-gap-se")
    if out:
        check_differences_file(out)
        check_writable_file(out)
    given = read_sources(sources)
    for name in family:
        if name not in given.methods:
            raise UnknownName("method", name, given.methods)
    flags = {
        "min_gap": min_gap,
        "min_gap_se": min_gap_se,
        "saturated_only": saturated or None,
        "family": family or None,
        "alternative": alternative,
        "margin": margin,
    }
    declared = given.config.get("analysis", {}).get("against")
    result = overview(
        given.scores if pair is None else given.of_pair(pair),
        given.indicators,
        methods=methods,
        against=against or (declared if declared in given.methods else None),
        units=UNITS if unit == "both" else (unit,),
        analysis=Analysis.of_config(given.config).model_copy(
            update={name: value for name, value in flags.items() if value is not None}
        ),
    )
    if out:
        write_differences(result.comparisons, out)
    if as_json:
        click.echo(result.model_dump_json(indent=2))
        return
    print_overview(result)
    if PUBLISHED in sources:
        source = published()
        click.echo(f"{PUBLISHED}: {source.about['title']}; {', '.join(source.about['urls'])}")
        for note in (f"Read off plots, {source.about['uncertainty']}.", *source.about["notes"]):
            click.echo(f"{PUBLISHED}: {note}")
    if out:
        click.echo(f"written: {out}")
