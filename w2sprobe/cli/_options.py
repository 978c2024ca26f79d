"""Options shared by commands, and options generated from config models."""

import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import BaseModel, ValidationError

from w2sprobe.cli import _completion
from w2sprobe.data.splits import SplitSizes
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import TaskConfig

Command = TypeVar("Command", bound=Callable[..., Any])


class FiniteRange(click.FloatRange):
    """Finite number in a range; unlike click.FloatRange it refuses nan and infinity."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


def cache_folder() -> Path:
    """Default folder of stores and stages: `$W2SPROBE_CACHE`, else `cache/` here."""
    return Path(os.environ.get("W2SPROBE_CACHE", "cache"))


def common(function: Command) -> Command:
    """Add `--json` and `--debug`."""
    function = click.option(
        "--json", "as_json", is_flag=True, help="Print the result as JSON on stdout."
    )(function)
    # main() looks for --debug in sys.argv, as errors of any command end there
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
    )(function)


def preprocess(function: Command) -> Command:
    """Add `--preprocess`."""
    option = click.option(
        "--preprocess",
        default="none",
        show_default=True,
        type=click.Choice(["none", "center", "standardize"]),
        help="Scaling of activations, fitted on the training rows; center equals none.",
    )
    return option(function)


def device(function: Command) -> Command:
    """Add `--device`."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        help="Compute device: auto, cpu, cuda or cuda:N.",
    )(function)


def task(
    *, required: bool = True, argument: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that choose a task and its splits; the command receives a TaskConfig `task`.

    Parameters
    ----------
    required : bool, default True
        False: `task` may be None.
    argument : bool, default False
        The name is an argument, not an option.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def with_task(**given: Any) -> Any:
            fields = task_fields(given)
            return function(task=TaskConfig(**fields) if "name" in fields else None, **given)

        return task_options(required=required, argument=argument)(with_task)

    return decorate


def task_options(
    *, required: bool, argument: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add one option per field of TaskConfig; an option that is not given is None or False."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name, field in reversed(TaskConfig.model_fields.items()):
            flag = {"name": "--task", "seed": "--split-seed"}.get(name, f"--{name}")
            settings: dict[str, Any] = {"help": field.description}
            if name == "name":
                settings |= {"required": required, "metavar": "NAME|FILE"}
                settings |= {"shell_complete": _completion.tasks}
            elif name == "sizes":
                settings |= {"metavar": "W,S,V,T"}
            elif name == "seed":
                settings |= {"type": click.IntRange(min=0)}
            elif name in ("prior", "answerless_share"):
                settings |= {"type": FiniteRange(0, 1, min_open=True, max_open=True)}
            elif field.annotation == float | None:
                settings |= {"type": FiniteRange(0, 1)}
            elif field.annotation is bool:
                settings |= {"is_flag": True}
            elif get_origin(field.annotation) is Literal:
                settings |= {"type": click.Choice(get_args(field.annotation))}
            if name == "name" and argument:
                settings.pop("help")
                function = click.argument("task_name", **settings)(function)
            else:
                flag = flag.replace("_", "-")
                function = click.option(flag, f"task_{name}", **settings)(function)
        return function

    return decorate


def task_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Remove the options of `task_options` from a command's arguments; return fields of TaskConfig.

    Raises
    ------
    InputError
        Impossible sizes.
    """
    fields = {name: given.pop(f"task_{name}") for name in TaskConfig.model_fields}
    if fields["sizes"] is not None:
        fields["sizes"] = parse_sizes(fields["sizes"])
    return {
        name: value for name, value in fields.items() if value is not None and value is not False
    }


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


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], fields: dict[str, Any]) -> Model:
    """Make a config model of what the options of `from_model` gave.

    Raises
    ------
    InputError
        A value that the model refuses: names the option; or options that do not go together.
    """
    try:
        return model(**fields)
    except ValidationError as error:
        problem = error.errors()[0]
        message = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:  # a check of several options together
            raise InputError(message) from error
        flag = "--" + str(problem["loc"][0]).replace("_", "-")
        raise InputError(f"{flag} is {problem['input']!r}: {message}") from error


def from_model(model: type[BaseModel], **defaults: Any) -> Callable[[Command], Command]:
    """Add one option per field of a config model, with its name, type, default and description.

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
