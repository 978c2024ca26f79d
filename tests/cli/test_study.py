from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from w2sprobe.cli import _options, _study
from w2sprobe.data import SplitSizes


@click.command()
@_study.study_options
@_options.task_options
def config_command(out: Path | None, **given: Any) -> None:
    config = _study.config_of(given)
    assert set(given) == {"file", "preset", "settings", *MODELS}, "task options are taken out"
    click.echo(str(out or _study.default_out(config)))
    CONFIGS.append(config)


MODELS = ("weak_model", "strong_model", "truncate")
CONFIGS: list[Any] = []


def config(*arguments: str) -> Any:
    done = CliRunner().invoke(config_command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return CONFIGS.pop()


def refused(*arguments: str) -> Result:
    done = CliRunner().invoke(config_command, arguments)
    assert done.exit_code == 2
    return done


def test_options_change_a_preset() -> None:
    changed = config(
        *("--preset", "smoke", "--task", "reviews.csv", "--sizes", "9,9,4,8"),
        *("--weak-model", "small", "--strong-model", "large", "--truncate"),
        *("--set", "strong.epochs=7"),
    )
    assert (changed.task.name, changed.task.sizes) == ("reviews.csv", SplitSizes(9, 9, 4, 8))
    assert (changed.weak.model, changed.strong.model) == ("small", "large")
    assert (changed.strong.truncate, changed.strong.epochs) == (True, 7)


def test_a_file_is_a_config_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\ntask: {name: reviews.csv}\nweak: {model: a}\nstrong: {model: b}\n")
    assert config(str(file)).name == "mine"
    done = CliRunner().invoke(config_command, [str(file)])
    assert done.stdout.strip() == str(Path("results/mine"))
    done = CliRunner().invoke(config_command, [str(file), "--out", "here"])
    assert done.stdout.strip() == "here"


@pytest.mark.parametrize("arguments", [(), ("study.yaml", "--preset", "smoke")])
def test_exactly_one_config_is_needed(arguments: tuple[str, ...]) -> None:
    assert "give either FILE.yaml or --preset" in refused(*arguments).output
