"""Every command explains itself with an example, and starting up is light."""

import importlib
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from w2sprobe.cli import COMMANDS, root


def all_commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command = root.get_command(click.Context(root), name)
        inner = getattr(command, "commands", {})
        # `probe` does something itself, and has a command of its own
        found += [] if isinstance(command, click.Group) else [(name,)]
        found += [(name, sub) for sub in inner]
    return found


def command_of(names: tuple[str, ...]) -> click.Command:
    command: click.Command | None = root
    for name in names:
        assert command is not None
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), name)
        else:
            command = command.commands[name]
    assert command is not None
    return command


@pytest.mark.parametrize("names", all_commands(), ids=" ".join)
def test_help_shows_a_worked_example_and_explains_every_option(names: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(root, [*names, "--help"])
    assert shown.exit_code == 0
    assert f"w2sprobe {' '.join(names)}" in shown.output.split("Example", 1)[1]
    command = command_of(names)
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help
    assert {"--json", "--debug"} <= {o for p in command.params for o in p.opts}


@pytest.mark.parametrize("group", [(), ("tasks",), ("store",)], ids=str)
def test_no_summary_of_a_command_is_cut(group: tuple[str, ...]) -> None:
    # click writes 78 columns in a terminal of 80
    shown = CliRunner().invoke(root, [*group, "--help"], terminal_width=78).output
    summaries = shown.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert len(summaries) > 4
    assert [line for line in summaries if not line.endswith(".") or line.endswith("...")] == []


def test_a_placeholder_for_choices_has_them_in_the_help() -> None:
    hidden = 0
    for names in all_commands():
        for option in command_of(names).params:
            if isinstance(option, click.Option) and isinstance(option.type, click.Choice):
                hidden += option.metavar is not None
                if option.metavar is not None:
                    missing = [one for one in option.type.choices if one not in str(option.help)]
                    assert missing == [], f"{names} {option.name}"
    assert hidden >= 4


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


LIGHT = (
    *("cli", "metrics", "cache", "labels", "results", "declaration", "audit", "comparison"),
    *("reporting.table", "reporting.figures", "reporting.comparison", "reporting.heatmaps"),
    *("reporting.explorer", "reporting.report", "cli.sweep"),
)


def test_light_modules_do_not_load_torch() -> None:
    """Not all of them together, hence none of them alone."""
    loaded = modules_after(f"import {', '.join(f'w2sprobe.{name}' for name in LIGHT)}")
    assert {f"w2sprobe.{name}" for name in LIGHT} <= loaded
    assert not {"torch", "transformers"} & loaded


def test_the_options_of_all_commands_load_nothing_slow() -> None:
    """A shell that completes them waits for it."""
    loaded = modules_after(f"from w2sprobe.cli import {', '.join(COMMANDS)}")
    assert "w2sprobe.cli.doctor" in loaded
    slow = {"torch", "transformers", "sklearn", "scipy", "numba", "datasets", "matplotlib", "h5py"}
    assert not slow & loaded


def test_that_test_can_fail() -> None:
    assert "torch" in modules_after("import w2sprobe.devices")


def test_extract_is_a_public_name() -> None:
    import w2sprobe

    assert w2sprobe.extract is importlib.import_module("w2sprobe.extraction").extract
    with pytest.raises(AttributeError, match="nothing"):
        _ = w2sprobe.nothing


def test_the_command_line_names_what_the_library_knows() -> None:
    from typing import get_args

    from w2sprobe.bench import PARTS
    from w2sprobe.cli import bench, explore, probe, stats, sweep
    from w2sprobe.comparison.tasks import SATURATED
    from w2sprobe.curation import Action
    from w2sprobe.explorer import PROJECTIONS
    from w2sprobe.metrics import MIN_GAP, MIN_GAP_SE
    from w2sprobe.probes import Preprocess
    from w2sprobe.probes.neighbors import BACKENDS

    assert ("predict", *get_args(Action)) == probe.ACTIONS
    (backend,) = (str(p.help) for p in probe.command.params if p.name == "backend")
    assert [name for name in BACKENDS if name not in backend] == []
    for command in (probe.command, sweep.command):
        (choice,) = (p.type for p in command.params if p.name == "preprocess")
        assert get_args(Preprocess) == tuple(choice.choices)
    (choice,) = (p.type for p in explore.command.params if p.name == "projection")
    assert tuple(choice.choices) == PROJECTIONS
    assert tuple(PARTS) == bench.NAMES
    helps = {p.name: p.help for p in stats.command.params if isinstance(p, click.Option)}
    assert f"else {MIN_GAP:g}." in helps["min_gap"]
    assert f"else {MIN_GAP_SE:g}." in helps["min_gap_se"]
    assert f"least {SATURATED:g}." in helps["saturated"]
