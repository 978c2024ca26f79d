"""`w2sprobe stats`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _completion, _options
from w2sprobe.cli._overview import print_overview
from w2sprobe.errors import InputError, UnknownName

if TYPE_CHECKING:
    from w2sprobe.comparison import Comparison, Score

PUBLISHED = "published"
DECLARED = ("analysis", "min_gap", "min_gap_se")  # of a config: what it says of its analysis
BY_METHOD = ("auc", "delta_auc", "delta_auc_se", "pgr", "own_gap", "own_pgr")  # of a task's row
LEFT_OUT = {"task", "n_seeds", "saturated", *BY_METHOD}  # of it in --out


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
    help="May be repeated; default: all.",
)
@click.option(
    "--against",
    metavar="METHOD",
    shell_complete=_completion.methods,
    help="Default: student, or xent as the source calls it.",
)
@click.option(
    "--pair",
    metavar="WEAK:STRONG",
    help="One pair of models, as weak_model and strong_model name it; default: all.",
)
@click.option(
    "--unit",
    type=click.Choice(["pgr", "auc", "both"]),
    default="both",
    show_default=True,
    help="Of the differences.",
)
@click.option(
    "--min-gap",
    type=_options.FiniteRange(min=0),
    help="Smallest gap between weak model and ceiling whose PGR is averaged. Default: as the "
    "study's config declares it, else 0.03.",
)
@click.option(
    "--min-gap-se",
    type=_options.FiniteRange(min=0),
    help="The same in standard errors of the gap, where they are known; else 4.",
)
@click.option(
    "--saturated",
    is_flag=True,
    help="As published: average all tasks, whatever their gap, but those where all AUCs are at "
    "least 0.999.",
)
@click.option(
    "--family",
    multiple=True,
    metavar="METHOD",
    shell_complete=_completion.methods,
    help="Primary family: methods whose p values are adjusted together. May be repeated. Default: "
    "as the study's config declares it, else all competitors, without controls, probes on true "
    "labels and zero-shot.",
)
@click.option(
    "--alternative",
    type=click.Choice(["two-sided", "greater", "less"]),
    help="What tests look for: any difference, methods that are better, or methods that are worse. "
    "Default: as the study's config declares it, else two-sided.",
)
@click.option(
    "--margin",
    type=_options.FiniteRange(min=0, min_open=True),
    help="Largest mean difference in AUC that counts as none in the test of equivalence. Default: "
    "as the study's config declares it, else 0.01.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Differences a task: .csv, .parquet.")
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

    RESULTS are result files of w2sprobe run or their folders, .csv and .parquet tables, or the
    name published: the numbers of the source experiments. A table has one row for each task, pair
    of models, method and seed, with the columns task, method and at least one of auc and pgr;
    docs/statistics.md lists the optional ones, such as seed, weak_auc, ceiling_auc and gap_se. Rows
    of the methods weak and ceiling may stand for weak_auc and ceiling_auc.

    Each pair of models is compared by itself; several have a matrix of PGR and AUC gain first.
    Where indicators.csv lies in a folder, its indicators are held against the gains.
    docs/statistics.md explains the output.

    \b
    Examples:
      w2sprobe stats results/* --against student
      w2sprobe stats scores.csv --compare topofilter --min-gap 0.05 --out differences.csv
      w2sprobe stats published --compare logconf --saturated --alternative greater
    """
    from w2sprobe.atomic import check_writable_file
    from w2sprobe.comparison import (
        INDICATORS,
        UNITS,
        Analysis,
        overview,
        published,
        read_indicators,
        read_scores,
    )

    if saturated and (min_gap, min_gap_se) != (None, None):
        raise click.UsageError("--saturated looks at no gap: leave out --min-gap and --min-gap-se")
    if out:
        _writer(out)
        check_writable_file(out)
    source = published()
    given = [
        score
        for name in sources
        for score in (source.scores if name == PUBLISHED else read_scores(Path(name)))
    ]
    there = {score.method for score in given}
    for name in family:
        if name not in there:
            raise UnknownName("method", name, there)
    found = [Path(name) / INDICATORS for name in sources]
    indicators = [row for path in found if path.is_file() for row in read_indicators(path)]
    flags = {
        "min_gap": min_gap,
        "min_gap_se": min_gap_se,
        "saturated_only": saturated or None,
        "family": family or None,
        "alternative": alternative,
        "margin": margin,
    }
    config = _declared(sources)
    declared = config.get("analysis", {}).get("against")
    result = overview(
        given if pair is None else _of_pair(given, pair),
        indicators,
        methods=methods,
        against=against or (declared if declared in there else None),
        units=UNITS if unit == "both" else (unit,),
        analysis=Analysis.of_config(config).model_copy(
            update={name: value for name, value in flags.items() if value is not None}
        ),
    )
    if out:
        _write(result.comparisons, out)
    if as_json:
        click.echo(result.model_dump_json(indent=2))
        return
    print_overview(result)
    if PUBLISHED in sources:
        click.echo(f"{PUBLISHED}: {source.about['title']}; {', '.join(source.about['urls'])}")
        for note in (f"Read off plots, {source.about['uncertainty']}.", *source.about["notes"]):
            click.echo(f"{PUBLISHED}: {note}")
    if out:
        click.echo(f"written: {out}")


def _declared(sources: tuple[str, ...]) -> "dict[str, Any]":
    """What the config of the results says of their analysis; empty where it is not one."""
    from w2sprobe.results import RESULTS, STUDY, Results, StudyResults

    found: list[dict[str, Any]] = []
    for name in sources:
        folder = Path(name)
        if (folder / STUDY).is_file():
            config = StudyResults.read(folder / STUDY).config
        elif (folder / RESULTS).is_file():
            config = Results.read(folder / RESULTS).config
        else:
            return {}
        found.append({key: config.get(key) for key in DECLARED if key in config})
    return found[0] if all(config == found[0] for config in found) else {}


def _of_pair(scores: "list[Score]", wanted: str) -> "list[Score]":
    from w2sprobe.comparison import by_pair, pair_name

    # looked up by its spelling: names of models may hold colons themselves
    pairs = {pair_name(pair): own for pair, own in by_pair(scores).items()}
    if wanted not in pairs:
        raise UnknownName("pair of models", wanted, pairs)
    return pairs[wanted]


def _writer(out: Path) -> Any:
    import pyarrow.csv
    import pyarrow.parquet

    writers = {".csv": pyarrow.csv.write_csv, ".parquet": pyarrow.parquet.write_table}
    if out.suffix not in writers:
        raise InputError(f"--out is {str(out)!r}", allowed="a file that ends in .csv or .parquet")
    return writers[out.suffix]


def _write(comparisons: "Sequence[Comparison]", out: Path) -> None:
    """One row per pair of models, method and task: what both have, and whether it counts."""
    import pyarrow as pa

    from w2sprobe.atomic import atomic_path

    rows = []
    for comparison in comparisons:
        tasks = {row.task: row for row in comparison.tasks}
        for pair in comparison.pairs:
            task = tasks[pair.task]
            rows.append(
                {
                    "task": pair.task,
                    "weak_model": comparison.weak_model,
                    "strong_model": comparison.strong_model,
                    "method": pair.method,
                    "against": comparison.against,
                    **task.model_dump(exclude=LEFT_OUT),
                    **{name: getattr(task, name)[pair.method] for name in BY_METHOD},
                    **pair.model_dump(exclude={"task", "method"}),
                }
            )
    if not rows:
        raise InputError(
            "no differences to write: no two methods share a task and seed",
            where=f"--out {str(out)!r}",
        )
    # from_pandas: what is not known is an empty cell, not the text nan
    table = pa.table(
        {name: pa.array([row[name] for row in rows], from_pandas=True) for name in rows[0]}
    )
    with atomic_path(out) as temporary:
        _writer(out)(table, temporary)
