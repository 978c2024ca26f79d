"""Options that mean the same thing in every command, and options made from config models."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import BaseModel

from w2sprobe.data.splits import SplitSizes
from w2sprobe.errors import InputError

Command = TypeVar("Command", bound=Callable[..., Any])


def cache_folder() -> Path:
    """Default place of stores and stages: `$W2SPROBE_CACHE`, else `cache/` here."""
    return Path(os.environ.get("W2SPROBE_CACHE", "cache"))


def common(function: Command) -> Command:
    """Add `--json` and `--debug`."""
    function = click.option(
        "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout."
    )(function)
    # read by main(), which sees every error
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
    )(function)


def device(function: Command) -> Command:
    """Add `--device`."""
    return click.option(
        "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."
    )(function)


def task(
    *, required: bool = True, argument: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that choose rows and their splits; the command gets a TaskConfig `task`.

    Parameters
    ----------
    required : bool, default True
        False: `task` may be None.
    argument : bool, default False
        The name is an argument, not an option.
    """
    name = click.option(
        "--task",
        "task_name",
        required=required,
        metavar="NAME|FILE",
        help="A name of `w2sprobe tasks ls`, bigbench:NAME, a .jsonl, .csv or .parquet file "
        "with columns text and label (0/1), optionally id, group and split (train/test), "
        "module:function, or a file that `w2sprobe tasks split` wrote.",
    )
    if argument:
        name = click.argument("task_name", metavar="NAME|FILE")
    options = (
        name,
        click.option("--positive", help="Class that becomes label 1 (BIG-bench)."),
        click.option("--negative", help="Class that becomes label 0 (BIG-bench)."),
        click.option(
            "--formatting",
            type=click.Choice(["repaired", "published"]),
            default="repaired",
            show_default=True,
            help="Prompts of the source experiments: with their known bugs mended, or as they "
            "were.",
        ),
        click.option(
            "--sizes",
            metavar="W,S,V,T",
            help="Rows of weak-train, strong-train, validation and test, or shares as in "
            ".4,.4,.1,.1; default: .35,.35,.1,.2 of the balanced rows (.45,.45,.1 and all test "
            "rows, where the source sets some aside), up to 5000,5000,1000,5000.",
        ),
        click.option(
            "--keep-prior",
            is_flag=True,
            help="Keep the proportion of the classes; default: drop rows of the larger one.",
        ),
        click.option(
            "--split-seed",
            default=0,
            show_default=True,
            type=click.IntRange(min=0),
            help="Seed of the splits.",
        ),
    )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def with_task(**given: Any) -> Any:
            from w2sprobe.experiments.config import TaskConfig

            name, seed = given.pop("task_name"), given.pop("split_seed")
            meaning = ("positive", "negative", "formatting", "sizes", "keep_prior")
            chosen = {option: given.pop(option) for option in meaning}
            chosen["sizes"] = parse_sizes(chosen["sizes"]) if chosen["sizes"] else None
            task = TaskConfig(name=name, seed=seed, **chosen) if name else None
            return function(task=task, **given)

        decorated: Callable[..., Any] = with_task
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def parse_sizes(text: str) -> SplitSizes:
    """Turn `500,500,100,1000` or `.4,.4,.1,.1` into sizes.

    Raises
    ------
    InputError
        Not four numbers, or impossible ones.
    """
    try:
        weak, strong, val, test = (
            int(part) if part.strip().isdigit() else float(part) for part in text.split(",")
        )
    except ValueError as error:
        raise InputError(
            f"--sizes is {text!r}",
            allowed="four numbers, as in 500,500,100,1000, or four shares, as in .4,.4,.1,.1",
        ) from error
    return SplitSizes(weak, strong, val, test)


def from_model(model: type[BaseModel], **defaults: Any) -> Callable[[Command], Command]:
    """Add one option a field of a config model: its name, type, default and help.

    Parameters
    ----------
    model : type of BaseModel
        Scalar fields with descriptions.
    **defaults : Any
        Replace the model's own.
    """

    def decorate(function: Command) -> Command:
        for name, field in reversed(model.model_fields.items()):
            default = defaults.get(name, field.default)
            flag = "--" + name.replace("_", "-")
            if field.annotation is bool:
                option = click.option(flag, is_flag=True, default=default, help=field.description)
            else:
                kind: Any = field.annotation
                if get_origin(kind) is Literal:
                    kind = click.Choice(get_args(kind))
                option = click.option(
                    flag, type=kind, default=default, show_default=True, help=field.description
                )
            function = option(function)
        return function

    return decorate
