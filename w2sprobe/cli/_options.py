"""Options that mean the same thing in every command, and options made from config models."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import BaseModel

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


def task(*, required: bool = True) -> Callable[[Command], Command]:
    """Add the options that choose rows and their splits."""
    options = (
        click.option(
            "--task",
            "task_name",
            required=required,
            metavar="NAME|FILE",
            help="bigbench:NAME, or a .jsonl, .csv or .parquet file with columns text and "
            "label (0/1), optionally id and group.",
        ),
        click.option("--positive", help="Class that becomes label 1 (BIG-bench)."),
        click.option("--negative", help="Class that becomes label 0 (BIG-bench)."),
        click.option(
            "--sizes",
            metavar="W,S,V,T",
            help="Rows of weak-train, strong-train, validation and test; default: .35, .35, "
            ".1 and .2 of the balanced rows, up to 5000,5000,1000,5000.",
        ),
        click.option(
            "--split-seed",
            default=0,
            show_default=True,
            type=click.IntRange(min=0),
            help="Seed of the splits.",
        ),
    )

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


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
