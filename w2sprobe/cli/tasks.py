"""`w2sprobe tasks`: list, show, audit, split and mirror tasks."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from w2sprobe import help_texts
from w2sprobe.cli import _completion, _options
from w2sprobe.errors import InputError, UnknownName

if TYPE_CHECKING:
    from w2sprobe.audit import ModelLengths
    from w2sprobe.data import Splits
    from w2sprobe.experiments.config import TaskConfig

SHOWN = 3  # rows per class

models = click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME|FOLDER",
    shell_complete=_completion.models,
    help=f"Model whose tokenizer counts the tokens: {help_texts.MODEL_NAMES}; may be repeated.",
)


@click.group("tasks")
def command() -> None:
    """List, show, audit, split and mirror tasks.

    \b
    Examples:
      w2sprobe tasks ls
      w2sprobe tasks show openbookqa --model smollm2-135m
      w2sprobe tasks audit reviews.csv
      w2sprobe tasks mirror boolq sciq --to /mnt/share/hub
    """


@command.command("ls")
@_options.common
def list_tasks(as_json: bool) -> None:
    """List the tasks known by name.

    --task also accepts other BIG-bench tasks as bigbench:NAME (with --positive and --negative if
    its answers are classes), files of rows, and module:function.

    The column `offline` tells where a task's rows can be read without network: mirror (the folder
    $W2SPROBE_HUB_MIRROR), cache (of Hugging Face) or fetched (by `w2sprobe fetch`).

    \b
    Example:
      w2sprobe tasks ls
    """
    from w2sprobe.data.listing import known_tasks

    known = known_tasks()
    if as_json:
        click.echo(json.dumps(known, indent=2))
        return
    from w2sprobe.cli._tables import print_table
    from w2sprobe.reporting.listings import tasks_table

    print_table(tasks_table(known))
    offline = sum(bool(row["offline"]) for row in known)
    click.echo(f"{len(known)} tasks, {offline} of them available without a network")


@command.command("show")
@_options.task_argument
@models
@_options.task_settings
@_options.common
def show(task: "TaskConfig", models: tuple[str, ...], as_json: bool) -> None:
    """Show the sizes of a task's splits and three rows of each class.

    \b
    Examples:
      w2sprobe tasks show bigbench:strategyqa --model smollm2-135m --model minilm-l6
      w2sprobe tasks show openbookqa --formatting published
    """
    splits = task.load()
    lengths = _lengths(models, splits)
    result = {
        **splits.summary(),
        "tokens": {model: counts.summary() for model, counts in lengths.items()},
        "examples": splits.examples(SHOWN),
    }
    if as_json:
        click.echo(json.dumps(result, indent=2, ensure_ascii=False))
        return
    _print_summary(splits)
    for model, counts in result["tokens"].items():
        shown = (f"{what} {count:,}" for what, count in counts.items() if count is not None)
        click.echo(f"Tokens of {model}: {', '.join(shown)}")
    for label in (0, 1):
        for row in result["examples"][label]:
            click.echo(f"\n--- label {label}, {row['id']}\n{row['text']}")


@command.command("audit")
@_options.task_argument
@models
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Output file (JSON); default: print only.",
)
@_options.task_settings
@_options.common
def audit(task: "TaskConfig", models: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Check a task for problems that make results misleading.

    Reports: baselines without any model that already do well, near-duplicates across splits, texts
    longer than a model's context, class imbalance, and an identical ending of nearly all texts.

    \b
    Examples:
      w2sprobe tasks audit reviews.csv --model smollm2-135m --out audit.json
      w2sprobe tasks audit openbookqa --formatting published
    """
    from w2sprobe.atomic import check_writable_file
    from w2sprobe.audit import audit_splits, render

    if out:
        _check_out(out, ".json", task.name)
        check_writable_file(out)
    splits = task.load()
    result = audit_splits(splits, token_counts=_lengths(models, splits))
    if out:
        result.write(out)
    click.echo(result.model_dump_json(indent=2) if as_json else render(result))


@command.command("mirror")
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=_completion.hub_tasks
)
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Folder to copy to; default: $W2SPROBE_HUB_MIRROR.",
)
@_options.common
def mirror_command(names: tuple[str, ...], to: Path | None, as_json: bool) -> None:
    """Copy tasks from Hugging Face, for a machine without network.

    NAME is a Hugging Face task from `w2sprobe tasks ls`, or `all`. On the machine without network,
    set W2SPROBE_HUB_MIRROR to the folder.

    \b
    Example:
      w2sprobe tasks mirror boolq sciq --to /mnt/share/hub
    """
    from w2sprobe.atomic import check_writable
    from w2sprobe.data.hub import MIRROR, mirror, mirror_folder
    from w2sprobe.data.registry import HUB_TASKS

    for name in names:
        if name not in HUB_TASKS and name != "all":
            raise UnknownName("task", name, [*HUB_TASKS, "all"])
    folder = to or mirror_folder()
    if folder is None:
        raise InputError("no folder to copy to", advice=f"Give --to, or set {MIRROR}.")
    check_writable(folder)
    copied = {}
    for name in HUB_TASKS if "all" in names else dict.fromkeys(names):
        source = HUB_TASKS[name].source
        size = mirror(source, folder)
        copied[name] = {"folder": str(folder / source.repo), "bytes": size}
        click.echo(f"{name}: {size / 1e6:.1f} MB of {source.repo}", err=as_json)
    if as_json:
        click.echo(json.dumps(copied, indent=2))
    else:
        click.echo(f"Use it with: export {MIRROR}={folder}")


@command.command("split")
@_options.task_argument
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Output file (Parquet); every --task accepts it.",
)
@_options.task_settings
@_options.common
def split(task: "TaskConfig", out: Path, as_json: bool) -> None:
    """Split a task and write its four splits to a Parquet file.

    \b
    weak_train    trains the weak model, on true labels
    strong_train  trains the strong model, on labels that the weak model gives these rows
    val           selects checkpoints
    test          final scores

    \b
    Examples:
      w2sprobe tasks split reviews.csv --sizes 1000,1000,200,500 --out splits.parquet
      w2sprobe tasks split ethics-virtue --keep-prior --out virtue.parquet
    """
    from w2sprobe.atomic import check_writable_file

    _check_out(out, ".parquet", task.name)
    check_writable_file(out)
    splits = task.load()
    splits.write(out)
    if as_json:
        click.echo(json.dumps({**splits.summary(), "file": str(out)}, indent=2))
        return
    _print_summary(splits)
    click.echo(str(out))


def _check_out(out: Path, suffix: str, task: str) -> None:
    """Check that --out has the right suffix and is not the file the rows come from."""
    if out.suffix != suffix:
        raise InputError(f"--out is {str(out)!r}", allowed=f"a name that ends in {suffix}")
    if out.resolve() == Path(task).resolve():
        raise InputError(
            f"--out is {str(out)!r}, the file of the rows themselves", advice="Choose another."
        )


def _lengths(models: tuple[str, ...], splits: "Splits") -> dict[str, "ModelLengths"]:
    if not models:
        return {}
    from w2sprobe.audit.tokens import count_tokens

    return {model: count_tokens(model, splits) for model in models}


def _print_summary(splits: "Splits") -> None:
    from w2sprobe.cli._tables import print_table
    from w2sprobe.reporting.listings import splits_table

    summary = splits.summary()
    click.echo(f"{summary['task']}  (fingerprint {summary.get('fingerprint', 'unknown')})")
    print_table(splits_table(summary))
    left_out = ", ".join(
        f"{reason} {count:,}" for reason, count in summary["dropped"].items() if count
    )
    click.echo(f"In no split: {left_out or 'no row'}")
