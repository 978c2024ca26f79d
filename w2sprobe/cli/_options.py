"""Options shared by commands, and options generated from config models."""

import functools
import math
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import BaseModel, ValidationError

from w2sprobe import help_texts
from w2sprobe.cli import _completion
from w2sprobe.data.splits import SplitSizes
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import TaskConfig

Command = TypeVar("Command", bound=Callable[..., Any])
MANY_CHOICES = 5


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
        help=help_texts.PREPROCESS,
    )
    return option(function)


def device(function: Command) -> Command:
    """Add `--device`."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="auto|cpu|cuda[:N]",
        help="Compute device.",
    )(function)


def layers(default: str | None, unless_given: str = "") -> Callable[[Command], Command]:
    """Add `--layers`; without a default, the help ends with what happens then."""
    return click.option(
        "--layers",
        default=default,
        show_default=default is not None,
        metavar="LAYERS",
        help=f"{help_texts.LAYERS} {unless_given}".strip(),
    )


model = click.option(
    "--model",
    required=True,
    metavar="NAME|FOLDER",
    shell_complete=_completion.models,
    help=help_texts.MODEL,
)


def task_name(*, required: bool = True) -> Callable[[Command], Command]:
    """Add `--task`; commands that have it also have `task_settings`."""
    return click.option(
        "--task",
        "task_name",
        required=required,
        metavar="NAME|FILE",
        shell_complete=_completion.tasks,
        help=TaskConfig.model_fields["name"].description,
    )


task_argument = click.argument("task_name", metavar="NAME|FILE", shell_complete=_completion.tasks)


def task_settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `task_options`; the command receives a TaskConfig `task`, None if no task is named."""

    @functools.wraps(function)
    def with_task(**given: Any) -> Any:
        fields = task_fields(given)
        return function(task=TaskConfig(**fields) if "name" in fields else None, **given)

    return task_options(with_task)


def task_options(function: Command) -> Command:
    """Add one option per field of TaskConfig but the name; not given, they are None or False."""
    metavars = {
        "sizes": "W,S,V,T",
        "rows": "N|START:STOP",
        "positive": "CLASS",
        "negative": "CLASS",
    }
    for name, field in reversed(TaskConfig.model_fields.items()):
        if name == "name":
            continue
        flag = {"seed": "--split-seed"}.get(name, f"--{name}").replace("_", "-")
        settings: dict[str, Any] = {"help": field.description, "metavar": metavars.get(name)}
        if name == "seed":
            settings |= {"type": click.IntRange(min=0), "metavar": "N"}
        elif field.annotation is bool:
            settings |= {"is_flag": True}
        elif get_origin(field.annotation) is Literal:
            settings |= {"type": click.Choice(get_args(field.annotation))}
        function = click.option(flag, f"task_{name}", **settings)(function)
    return function


def task_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Remove name and options of a task from a command's arguments; return fields of TaskConfig.

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
            allowed="four numbers, as in 500,500,100,1000, or four fractions, as in .4,.4,.1,.1",
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


def from_model(
    model: type[BaseModel], *, leave_out: Collection[str] = ()
) -> Callable[[Command], Command]:
    """Add one option per field of a config model, with its name, type, default and description.

    Parameters
    ----------
    model : type of BaseModel
        Scalar fields with descriptions.
    leave_out : collection of str
        Fields that get no option.
    """

    def decorate(function: Command) -> Command:
        for name, field in reversed(model.model_fields.items()):
            if name in leave_out:
                continue
            flag = "--" + name.replace("_", "-")
            settings: dict[str, Any] = {"default": field.default, "help": field.description}
            if field.annotation is bool:
                settings |= {"is_flag": True}
            else:
                settings |= {"type": field.annotation, "show_default": True}
            if get_origin(field.annotation) is Literal:
                choices = get_args(field.annotation)
                # many choices would fill the first lines of the help, which explains them anyway
                metavar = name.upper() if len(choices) > MANY_CHOICES else None
                settings |= {"type": click.Choice(choices), "metavar": metavar}
            function = click.option(flag, **settings)(function)
        return function

    return decorate
