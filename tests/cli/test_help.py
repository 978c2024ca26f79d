"""Every command explains itself with an example, and starting up is light."""

import importlib
import json
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
        inner = command.commands if isinstance(command, click.Group) else ()
        found += [(name, sub) for sub in inner] or [(name,)]
    return found


@pytest.mark.parametrize("names", all_commands(), ids=" ".join)
def test_help_shows_a_worked_example_and_explains_every_option(names: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(root, [*names, "--help"])
    assert shown.exit_code == 0
    assert f"w2sprobe {' '.join(names)}" in shown.output.split("Example", 1)[1]
    command: click.Command | None = root
    for name in names:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name)
    assert command is not None
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help
    assert {"--json", "--debug"} <= {o for p in command.params for o in p.opts}


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


def test_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from w2sprobe.cli import doctor

    monkeypatch.setattr(doctor, "_found", lambda module: module != "faiss")
    monkeypatch.setattr(doctor, "_search_speed", lambda with_faiss: ("", []))
    facts, advice = doctor.examine()
    assert facts["faiss"] == "not installed"
    assert any("w2sprobe[cpu]" in line for line in advice)
    assert {"python", "torch", "devices", "cache", "assets"} <= set(facts)


def test_doctor_without_torch_says_so_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from w2sprobe.cli import doctor

    monkeypatch.setattr(doctor, "_found", lambda module: False)
    monkeypatch.setattr(doctor, "_cores", lambda: ("", []))
    monkeypatch.setattr(doctor, "_computing", lambda: pytest.fail("torch was asked"))
    shown = CliRunner().invoke(root, ["doctor"])
    assert shown.exit_code == 1
    assert "! no torch: " in shown.stdout
    report = json.loads(CliRunner().invoke(root, ["doctor", "--json"]).stdout)
    assert report["advice"] == [doctor.NO_TORCH]


def test_doctor_notices_a_slow_library(monkeypatch: pytest.MonkeyPatch) -> None:
    from w2sprobe.cli import doctor

    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    monkeypatch.setattr(doctor, "SEARCHED", (64, 8))
    seconds = iter([1.0, 1.0, 4.0])
    monkeypatch.setattr(doctor, "_best_of", lambda repeats, work: next(seconds))
    _, (line,) = doctor._search_speed(with_faiss=True)
    assert line.startswith("faiss multiplies")
    assert "'Prescott': unset it" in line


@pytest.mark.parametrize(
    ("quota", "percent", "asked", "advised"),
    [
        (None, [9.0, 20.0, 100.0, 100.0], "", None),  # others have cores of their own
        (None, [70.0, 60.0, 0.0, 0.0], "", 1),
        (None, [100.0, 100.0, 0.0, 0.0], "", 1),
        (None, [70.0, 60.0, 0.0, 0.0], "1", None),
        (1, [70.0, 60.0, 0.0, 0.0], "", None),
    ],
)
def test_doctor_says_what_other_work_leaves(
    quota: int | None,
    percent: list[float],
    asked: str,
    advised: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from w2sprobe.cli import doctor

    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(doctor.psutil, "cpu_percent", lambda seconds, percpu: percent)
    monkeypatch.setattr(doctor.threads, "affinity", lambda: {0, 1})
    monkeypatch.setattr(doctor.threads, "cores_by_quota", lambda: quota)
    fact, advice = doctor._cores()
    limit = f"{quota} by quota" if quota else "no quota"
    assert fact == (
        f"{quota or 2} usable of 4: 2 by affinity, {limit}; "
        f"other work takes {sum(percent[:2]) / 100:.1f} of them"
    )
    assert [f"set OMP_NUM_THREADS={advised} while" in line for line in advice] == (
        [True] if advised else []
    )


def test_doctor_says_who_set_how_threads_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    from w2sprobe.cli import doctor

    for name in ("OMP_NUM_THREADS", *doctor.threads.WAITING):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(doctor.threads, "SET_HERE", {"GOMP_SPINCOUNT": "1000"})
    fact, advice = doctor._openmp()
    assert fact.endswith(
        " threads; OMP_NUM_THREADS=1 set by you, GOMP_SPINCOUNT=1000 set by w2sprobe"
    )
    assert not advice
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setattr(doctor.threads, "TOO_LATE", True)
    fact, (line,) = doctor._openmp()
    assert line.startswith("torch was loaded before w2sprobe")


@pytest.mark.parametrize(("code", "lines"), [("{first}, {second}", 0), ("os; os.abort()", 1)])
def test_doctor_notices_a_crash_of_torch_beside_faiss(
    code: str, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from w2sprobe.cli import doctor

    monkeypatch.setattr(doctor, "BOTH", f"import {code}")
    fact, advice = doctor._together()
    assert len(advice) == lines
    assert (fact == "crash") == bool(lines)


def test_the_command_line_names_what_the_library_knows() -> None:
    from typing import get_args

    from w2sprobe.bench import PARTS
    from w2sprobe.cli import bench, explore, probe, stats, sweep
    from w2sprobe.comparison.tasks import SATURATED
    from w2sprobe.curation import Action
    from w2sprobe.explorer import PROJECTIONS
    from w2sprobe.metrics import MIN_GAP, MIN_GAP_SE
    from w2sprobe.probes import Preprocess

    assert ("predict", *get_args(Action)) == probe.ACTIONS
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
