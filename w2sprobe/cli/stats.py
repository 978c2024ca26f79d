"""`w2sprobe stats`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe import help_texts
from w2sprobe.cli import _completion, _options
from w2sprobe.cli._overview import print_overview
from w2sprobe.errors import UnknownName

if TYPE_CHECKING:
    from w2sprobe.comparison import Analysis, LoadedScores


@dataclass(frozen=True)
class _StatsOptions:
    """Arguments and options of the command; None where the study's config decides."""

    sources: tuple[str, ...]
    methods: tuple[str, ...]
    against: str | None
    pair: str | None
    unit: Any
    min_gap: float | None
    min_gap_se: float | None
    saturated: bool
    family: tuple[str, ...]
    alternative: str | None
    margin: float | None
    out: Path | None

    def check(self) -> None:
        """Refuse what needs no results to be read.

        Raises
        ------
        UsageError
            Options that exclude each other.
        InputError
            A file of another type.
        OutputError
            A file that cannot be written.
        """
        from w2sprobe.atomic import check_writable_file
        from w2sprobe.comparison import check_differences_file

        if self.saturated and (self.min_gap, self.min_gap_se) != (None, None):
            raise click.UsageError("--saturated ignores gaps: leave out --min-gap and --min-gap-se")
        if self.out:
            check_differences_file(self.out)
            check_writable_file(self.out)

    def baseline(self, results: "LoadedScores") -> str | None:
        """Method to compare with: as given, else as declared; None: the default."""
        declared = results.config.get("analysis", {}).get("against")
        return self.against or (declared if declared in results.methods else None)

    def analysis(self, results: "LoadedScores") -> "Analysis":
        """Settings that the results' config declares, and the options that replace them.

        Raises
        ------
        UnknownName
            A method of the family that the results do not have.
        """
        from w2sprobe.comparison import Analysis

        for name in self.family:
            if name not in results.methods:
                raise UnknownName("method", name, results.methods)
        options = {
            "min_gap": self.min_gap,
            "min_gap_se": self.min_gap_se,
            "saturated_only": self.saturated or None,
            "family": self.family or None,
            "alternative": self.alternative,
            "margin": self.margin,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return Analysis.of_config(results.config).model_copy(update=given)


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
    help="Baseline method. Default: as declared in the study's config (analysis.against), else "
    "student (xent for `published`).",
)
@click.option(
    "--pair",
    metavar="WEAK:STRONG",
    help="Only this pair of models, named as in the columns weak_model and strong_model. Default: "
    "all pairs.",
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
    metavar="GAP",
    help=f"{help_texts.MIN_GAP} Default: as declared in the study's config, else 0.03.",
)
@click.option(
    "--min-gap-se",
    type=_options.FiniteRange(min=0),
    metavar="RATIO",
    help=f"{help_texts.MIN_GAP_SE} Default: as declared in the study's config, else 4.",
)
@click.option(
    "--saturated",
    is_flag=True,
    help="Use EleutherAI's rule instead of --min-gap: exclude only saturated tasks, where all AUCs "
    "are at least 0.999.",
)
@click.option(
    "--family",
    multiple=True,
    metavar="METHOD",
    shell_complete=_completion.methods,
    help="Methods whose p values are adjusted together (Holm); may be repeated. Default: as "
    "declared in the study's config, else all except the baseline, controls, zero_shot and methods "
    "fitted on true labels.",
)
@click.option(
    "--alternative",
    type=click.Choice(["two-sided", "greater", "less"]),
    help="Alternative hypothesis: the method differs, is better, or is worse. Default: as declared "
    "in the study's config, else two-sided.",
)
@click.option(
    "--margin",
    type=_options.FiniteRange(min=0, min_open=True),
    metavar="AUC",
    help=f"{help_texts.MARGIN} Default: as declared in the study's config, else 0.01.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Output file (.csv or .parquet) for the differences of every task; default: print only.",
)
@_options.common
def command(*, as_json: bool, **given: Any) -> None:
    """Compare methods over tasks, with confidence intervals and tests.

    Also prints gains over the supervisor and the variance between seeds; docs/statistics.md
    explains the output.

    RESULTS are files or folders of `w2sprobe run`, tables (.csv or .parquet), or the word
    `published` for the numbers of EleutherAI's experiments. A table has one row per task, pair of
    models, method and seed, with the columns task, method and at least one of auc and pgr;
    docs/statistics.md lists the optional columns, such as seed, weak_auc, ceiling_auc and gap_se.
    Rows of the methods weak and ceiling can replace the columns weak_auc and ceiling_auc.

    Each weak-strong pair is analysed separately; with several pairs, matrices of PGR and AUC gain
    are printed first. If a folder has indicators.csv, its indicators are correlated with the gains.

    \b
    Examples:
      w2sprobe stats results/* --against student
      w2sprobe stats results/* --pair minilm-l6:smollm2-135m
      w2sprobe stats scores.csv --compare topofilter --min-gap 0.05 --out differences.csv
      w2sprobe stats published --compare logconf --saturated --alternative greater
    """
    from w2sprobe.comparison import UNITS, overview, read_sources, write_differences

    options = _StatsOptions(**given)
    options.check()
    results = read_sources(options.sources)
    compared = overview(
        results.scores if options.pair is None else results.of_pair(options.pair),
        results.indicators,
        methods=options.methods,
        against=options.baseline(results),
        units=UNITS if options.unit == "both" else (options.unit,),
        analysis=options.analysis(results),
    )
    if options.out:
        write_differences(compared.comparisons, options.out)
    if as_json:
        click.echo(compared.model_dump_json(indent=2))
        return
    print_overview(compared)
    _print_origin_of_published(options.sources)
    if options.out:
        click.echo(f"written: {options.out}")


def _print_origin_of_published(sources: tuple[str, ...]) -> None:
    from w2sprobe.comparison import PUBLISHED, published

    if PUBLISHED in sources:
        about = published().about
        click.echo(f"{PUBLISHED}: {about['title']}; {', '.join(about['urls'])}")
        for note in (f"Read off plots, {about['uncertainty']}.", *about["notes"]):
            click.echo(f"{PUBLISHED}: {note}")
