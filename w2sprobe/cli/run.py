"""`w2sprobe run`."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from w2sprobe.cli import _options, _study
from w2sprobe.cli._overview import print_study
from w2sprobe.cli._tables import print_table
from w2sprobe.errors import W2SProbeError
from w2sprobe.experiments.config import study_schema

if TYPE_CHECKING:
    from w2sprobe.experiments.plan import StudyPlan
    from w2sprobe.experiments.runner import Engine
    from w2sprobe.experiments.stages import Outcome, Stage
    from w2sprobe.results import StudyResults


@click.command("run")
@_study.study_options
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="local: one stage after another in this process; ray: stages in parallel on a Ray "
    "cluster.",
)
@click.option(
    "--address",
    metavar="ADDRESS",
    help="With --engine ray: address of a running cluster; default: start one on this machine.",
)
@click.option(
    "--dry-run", is_flag=True, help="List the stages and which are finished; run nothing."
)
@click.option(
    "--schema",
    is_flag=True,
    help="Print the JSON schema of FILE.yaml, with which editors complete and check it; run "
    "nothing.",
)
@_options.task_options
@_options.device
@_options.common
def command(
    out: Path | None,
    engine: str,
    address: str | None,
    dry_run: bool,
    schema: bool,
    device: str,
    as_json: bool,
    **given: Any,
) -> None:
    """Run a study and print test scores and PGR.

    A study combines tasks, weak and strong models, seeds and methods. One combination of task,
    models and seed is an experiment. It writes results.json, results.png, predictions.parquet,
    audit.json and splits.parquet to OUT. A study of several writes one such folder for each, and
    study.json and scores.csv for all. To repeat the study: `w2sprobe run OUT/config.yaml`.

    Finished stages are not run again. If a stage fails, only stages that need its output are
    skipped; the next run retries it.

    --task replaces the config's tasks and all their settings; each other task option replaces one
    setting of all tasks.

    If `w2sprobe plan` wrote to OUT, the results refer to that preregistration and list deviations.

    \b
    Examples:
      w2sprobe run --preset demo
      w2sprobe run --preset demo --task reviews.csv --strong-model Qwen/Qwen3-0.6B
      w2sprobe run study.yaml --dry-run
      w2sprobe run study.yaml --set strong.epochs=2 --set methods='[student, zero_shot]'
      w2sprobe run study.yaml --set seeds='[0, 1, 2]' --engine ray
      w2sprobe run --schema > w2sprobe.schema.json
    """
    if schema:
        click.echo(json.dumps(study_schema(), indent=2))
        return
    if address and engine != "ray":
        raise click.UsageError("--address needs --engine ray")
    if engine == "ray" and ":" in device:
        raise click.UsageError(f"--device {device} with --engine ray, which hands out GPUs itself")
    config = _study.config_of(given)

    from w2sprobe.experiments.plan import make_plan

    folder = out or _study.default_out(config)
    plan = make_plan(config, cache=_options.cache_folder(), out=folder, device=device)
    if dry_run:
        _print_plan(plan, as_json)
        return
    _run(plan, folder, _engine(engine, address), as_json)


def _engine(name: str, address: str | None) -> "Engine":
    if name == "ray":
        from w2sprobe.experiments.ray_engine import run_ray

        return partial(run_ray, address=address)

    from w2sprobe.experiments.engines import run_local

    return run_local


def _print_plan(plan: "StudyPlan", as_json: bool) -> None:
    from w2sprobe.experiments.forecast import forecast
    from w2sprobe.reporting.plans import plan_tables

    expected = forecast(plan)
    if as_json:
        click.echo(expected.model_dump_json(indent=2))
        return
    for table in plan_tables(expected):
        print_table(table)
    for note in expected.notes:
        click.echo(f"Note: {note}")


def _run(plan: "StudyPlan", out: Path, engine: "Engine", as_json: bool) -> None:
    from w2sprobe.experiments.runner import run_study

    _announce(plan, out)
    study = run_study(plan, out, engine=engine, report=_reporter(plan))
    if len(plan.experiments) == 1 and study.experiments:
        _show_experiment(out, as_json)
    elif as_json:
        click.echo(study.model_dump_json(indent=2))
    elif len(plan.experiments) > 1:
        print_study(study, out)
    for folder in study.without_results:
        click.echo(
            f"No results in {out / folder}: its weak model or its ceiling failed.", err=as_json
        )
    _raise_failures(study)


def _announce(plan: "StudyPlan", out: Path) -> None:
    """Say what a reader should know before the first stage, on stderr."""
    from w2sprobe.experiments.forecast import few_rows
    from w2sprobe.experiments.preregistration import preregistered

    for note in few_rows(plan):
        click.echo(f"Note: {note}", err=True)
    declared = preregistered(plan, out)
    if declared:
        click.echo(f"Declared {declared.written}, SHA-256 {declared.sha256}", err=True)
        for deviation in declared.deviations:
            click.echo(f"Not as declared: {deviation}", err=True)
    n_done = sum(stage.done for stage in plan.stages)
    click.echo(f"{n_done} of {len(plan.stages)} stages done before", err=True)


def _reporter(plan: "StudyPlan") -> "Callable[[Stage, Outcome | None], None]":
    """Print a line on stderr when a stage starts (no outcome yet) and when it ends."""
    numbers = {stage.address: number for number, stage in enumerate(plan.stages, start=1)}

    def report(stage: "Stage", outcome: "Outcome | None") -> None:
        experiment = plan.experiment_name(stage)
        title = f"{experiment}: {stage.title}" if experiment else stage.title
        number = f"[{numbers[stage.address]}/{len(numbers)}]"
        click.echo(f"{number} {title} {_status(outcome)}", err=True)

    return report


def _show_experiment(out: Path, as_json: bool) -> None:
    """Write the figure of a single experiment and print its scores."""
    from w2sprobe.experiments.result_files import FIGURE
    from w2sprobe.reporting.figures import results_figure
    from w2sprobe.reporting.scores import results_table
    from w2sprobe.results import RESULTS, Results

    results = Results.read(out / RESULTS)
    results_figure(results, out / FIGURE)
    if as_json:
        click.echo(results.model_dump_json(indent=2))
    else:
        print_table(results_table(results))
        click.echo(f"{out / RESULTS}  {out / FIGURE}")


def _status(outcome: "Outcome | None") -> str:
    """How a stage ended; an ellipsis before that."""
    if outcome is None:
        return "..."
    if outcome.status == "failed":
        return f"FAILED: {outcome.error.splitlines()[0]}"
    if outcome.status == "blocked":
        return f"not run: needs {outcome.error!r}, which failed"
    return f"{outcome.seconds:.1f} s"


def _raise_failures(study: "StudyResults") -> None:
    """Exit with the stages that failed and their logs; all other results are written by now."""
    if not study.failures:
        return
    from w2sprobe.reporting.wording import counted

    shown = [
        f"{failure.experiment + ': ' if failure.experiment else ''}{failure.stage}: "
        f"{failure.error} ({failure.n_waiting} more wait for it; log: {failure.log})"
        for failure in study.failures
    ]
    raise W2SProbeError(
        f"{counted(len(shown), 'stage')} failed:\n  " + "\n  ".join(shown) + "\n",
        advice="The same command tries them again; finished stages are not repeated.",
    )
