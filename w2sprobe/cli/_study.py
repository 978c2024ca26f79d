"""Options that choose a study: a config, and replacements for parts of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from w2sprobe import help_texts
from w2sprobe.cli import _completion, _options
from w2sprobe.experiments.config import PRESETS, StudyConfig, load_config

Command = TypeVar("Command", bound=Callable[..., Any])
PRESET_HELP = (
    "smoke (all stages, minutes), demo (probes, one task, minutes), student (demo with a finetuned "
    "student, minutes), probes (about an hour on 2 cores), cpu (finetuned students, hours on 2 "
    "cores), published (EleutherAI's study, defects included; GPU), recommended (the same, "
    "corrected; GPU)"
)


def study_options(function: Command) -> Command:
    """Add FILE.yaml, the options that change a config, `--out` and `--task`.

    Commands also have `_options.task_options`.
    """
    decorators = (
        click.argument(
            "file", required=False, metavar="[FILE.yaml]", shell_complete=_completion.files
        ),
        click.option(
            "--preset",
            type=click.Choice(PRESETS),
            metavar="PRESET",
            help=f"Built-in study: {PRESET_HELP}.",
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Replace a value of the config, as in strong.epochs=2; the value is read as YAML; "
            "may be repeated.",
        ),
        click.option(
            "--weak-model",
            metavar="NAME|FOLDER",
            shell_complete=_completion.models,
            help=f"Weak model, instead of the config's: {help_texts.MODEL_NAMES}.",
        ),
        click.option(
            "--strong-model",
            metavar="NAME|FOLDER",
            shell_complete=_completion.models,
            help=f"Strong model, instead of the config's: {help_texts.MODEL_NAMES}.",
        ),
        click.option("--truncate", is_flag=True, help=help_texts.TRUNCATE),
        click.option(
            "--out",
            type=click.Path(path_type=Path),
            metavar="FOLDER",
            help="Output folder; default: results/NAME, with the study's name.",
        ),
        _options.task_name(required=False),
    )
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def config_of(given: dict[str, Any]) -> StudyConfig:
    """Make the config from the options of `study_options` and `task_options`, except `--out`.

    Raises
    ------
    UsageError
        Neither a file nor a preset, or both.
    InputError
        As `load_config`; impossible sizes.
    """
    file, preset = given["file"], given["preset"]
    if (file is None) == (preset is None):
        raise click.UsageError(f"give either FILE.yaml or --preset ({', '.join(PRESETS)})")
    config = load_config(preset or file, given["settings"])
    config = config.with_task(_options.task_fields(given))
    return config.with_models(
        weak=given["weak_model"], strong=given["strong_model"], truncate=given["truncate"]
    )


def default_out(config: StudyConfig) -> Path:
    """Folder of a study's results if `--out` is not given."""
    return Path("results") / config.name
