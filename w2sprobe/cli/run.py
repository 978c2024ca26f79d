"""`w2sprobe run`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table

from w2sprobe.cli import _options
from w2sprobe.cli._tables import print_table
from w2sprobe.experiments.config import PRESETS, ExperimentConfig, TaskConfig, load_config

if TYPE_CHECKING:
    from w2sprobe.experiments.plan import Plan
    from w2sprobe.experiments.stages import Stage

FIGURE = "results.png"


@click.command("run")
@click.argument("file", required=False, metavar="[FILE.yaml]")
@click.option("--preset", type=click.Choice(PRESETS), help="A config that comes with w2sprobe.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE",
    help="Replace a value of the config, as in strong.epochs=2; the value is read as YAML.",
)
@_options.task_options(required=False)
@click.option("--weak-model", metavar="NAME|FOLDER", help="Replace the config's weak model.")
@click.option("--strong-model", metavar="NAME|FOLDER", help="Replace the config's strong model.")
@click.option("--truncate", is_flag=True, help="Cut texts that exceed a model's context.")
@click.option("--out", type=click.Path(path_type=Path), help="Default: results/NAME.")
@click.option("--dry-run", is_flag=True, help="Show the stages and what is done; run nothing.")
@click.option(
    "--schema", is_flag=True, help="Print the JSON schema of a config, for editors; run nothing."
)
@_options.device
@_options.common
def command(
    file: str | None,
    preset: str | None,
    settings: tuple[str, ...],
    weak_model: str | None,
    strong_model: str | None,
    truncate: bool,
    out: Path | None,
    dry_run: bool,
    schema: bool,
    device: str,
    as_json: bool,
    **task: Any,
) -> None:
    """Run an experiment from models and data to a PGR table.

    Stages that are done are not run again. OUT gets results.json, results.png, audit.json,
    splits.parquet and config.yaml, which runs the same again.

    --task replaces the config's task and all that belongs to it, the other options of a task only
    what they name.

    \b
    Examples:
      w2sprobe run --preset demo
      w2sprobe run --preset demo --task reviews.csv --strong-model Qwen/Qwen3-0.6B
      w2sprobe run experiment.yaml --dry-run
      w2sprobe run experiment.yaml --set strong.epochs=2 --set methods='[student, zero_shot]'
    """
    if schema:
        click.echo(json.dumps(ExperimentConfig.model_json_schema(), indent=2))
        return
    if (file is None) == (preset is None):
        raise click.UsageError(f"give either FILE.yaml or --preset ({', '.join(PRESETS)})")
    config = load_config(preset or str(file), settings)
    fields = _options.task_fields(task)
    if fields:
        kept = {} if "name" in fields else dict(config.task)
        config = config.model_copy(update={"task": TaskConfig(**{**kept, **fields})})
    for role, model in (("weak", weak_model), ("strong", strong_model)):
        changes: dict[str, object] = {"model": model} if model else {}
        changes |= {"truncate": True} if truncate else {}
        config = config.model_copy(update={role: getattr(config, role).model_copy(update=changes)})

    from w2sprobe.experiments.plan import make_plan

    place = out or Path("results") / config.name
    plan = make_plan(config, cache=_options.cache_folder(), out=place, device=device)
    if dry_run:
        _print_plan(plan, as_json)
        return
    _run(plan, place, as_json)


def _print_plan(plan: "Plan", as_json: bool) -> None:
    stages = [
        {"stage": stage.title, "done": stage.done, "folder": str(stage.folder)}
        for stage in plan.stages
    ]
    if as_json:
        click.echo(json.dumps({"stages": stages, "store_bytes": plan.store_bytes}, indent=2))
        return
    table = Table("stage", "done", "folder", box=box.SIMPLE_HEAD)
    for stage in stages:
        table.add_row(str(stage["stage"]), "yes" if stage["done"] else "no", str(stage["folder"]))
    print_table(table)
    sizes = ", ".join(f"{name} {len(rows)}" for name, rows in plan.splits.items())
    click.echo(f"Rows: {sizes}. Activation store: {plan.store_bytes / 1e6:.1f} MB.")


def _run(plan: "Plan", out: Path, as_json: bool) -> None:
    from w2sprobe.experiments.runner import RESULTS, run_plan
    from w2sprobe.reporting.figures import results_figure
    from w2sprobe.reporting.table import results_table

    def report(number: int, stage: "Stage", seconds: float | None) -> None:
        end = "..." if seconds is None else f"{seconds:.1f} s"
        click.echo(f"[{number}/{len(plan.stages)}] {stage.title} {end}", err=True)

    n_done = sum(stage.done for stage in plan.stages)
    click.echo(f"{n_done} of {len(plan.stages)} stages done before", err=True)
    results = run_plan(plan, out, report)
    results_figure(results, out / FIGURE)
    if as_json:
        click.echo(results.model_dump_json(indent=2))
    else:
        print_table(results_table(results))
        click.echo(f"{out / RESULTS}  {out / FIGURE}")
