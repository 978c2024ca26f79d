import json
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, Field, model_validator

from w2sprobe.cli import _options, root
from w2sprobe.data import SplitSizes
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import TaskConfig


def test_task_options_are_those_of_the_config_in_every_command() -> None:
    """Options that were given replace the config's values, also a 0."""
    nothing = dict.fromkeys((f"task_{name}" for name in TaskConfig.model_fields), None)
    assert _options.task_fields({**nothing, "task_keep_prior": False}) == {}
    given = {**nothing, "task_seed": 0, "task_sizes": "2,2,.5,2", "task_keep_prior": True}
    assert _options.task_fields(given) == {
        "seed": 0,
        "sizes": SplitSizes(2, 2, 0.5, 2),
        "keep_prior": True,
    }
    assert given == {}, "taken out of the command's own arguments"
    for name in ("run", "extract", "train", "probe"):
        command = root.get_command(click.Context(root), name)
        assert command is not None
        assert {"--formatting", "--keep-prior", "--sizes", "--split-seed"} <= {
            option for parameter in command.params for option in parameter.opts
        }


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "a,b,c,d", ""])
def test_sizes_are_four_numbers(text: str) -> None:
    with pytest.raises(InputError, match="four numbers, as in 500,500,100,1000"):
        _options.parse_sizes(text)


def test_sizes_may_be_shares() -> None:
    assert _options.parse_sizes("10, 10,4,8") == SplitSizes(10, 10, 4, 8)
    assert _options.parse_sizes(".4,.4,.1,.1") == SplitSizes(0.4, 0.4, 0.1, 0.1)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_finite_range_refuses_what_click_accepts(value: str) -> None:
    kind = _options.FiniteRange()
    assert kind.convert("0.5", None, None) == 0.5
    with pytest.raises(click.BadParameter, match="not a finite number"):
        kind.convert(value, None, None)


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("W2SPROBE_CACHE", raising=False)
    assert _options.cache_folder() == Path("cache")
    monkeypatch.setenv("W2SPROBE_CACHE", "/data/cache")
    assert _options.cache_folder() == Path("/data/cache")


class Settings(BaseModel):
    """Options for the tests below."""

    batch_size: int = Field(8, ge=1, description="Rows per step.")
    rule: Literal["best", "last"] = Field("best", description="Checkpoint to keep.")
    full: bool = Field(default=False, description="Train all weights.")
    patience: int = Field(1, description="Left out.")

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if self.full and self.rule == "last":
            raise ValueError("full training keeps the best checkpoint")
        return self


@click.command()
@_options.from_model(Settings, leave_out=["patience"])
def settings_command(**fields: Any) -> None:
    click.echo(_options.checked(Settings, fields).model_dump_json())


def test_options_come_from_a_config_model() -> None:
    done = CliRunner().invoke(settings_command, ["--rule", "last"])
    expected = {"batch_size": 8, "rule": "last", "full": False, "patience": 1}
    assert json.loads(done.stdout) == expected
    shown = CliRunner().invoke(settings_command, ["--help"]).stdout
    for part in ("--batch-size INTEGER", "Rows per step.", "[default: 8]", "[best|last]"):
        assert part in shown
    assert "--patience" not in shown


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--batch-size", "0"], "--batch-size is 0: "),
        (["--full", "--rule", "last"], "full training keeps the best checkpoint"),
    ],
)
def test_a_value_that_the_model_refuses_names_its_option(arguments: list[str], part: str) -> None:
    done = CliRunner().invoke(settings_command, arguments)
    assert isinstance(done.exception, InputError)
    assert part in str(done.exception)
