from pathlib import Path

from tests.experiments.calls import call_stage
from w2sprobe.experiments.engines import run_local
from w2sprobe.experiments.stages import Outcome, Stage


def stage(home: Path, name: str, *inputs: Stage, fails: bool = False) -> Stage:
    def run(folder: Path) -> None:
        if fails:
            raise RuntimeError(f"{name} broke")
        (folder / "out.txt").write_text(name)

    return call_stage(home, name, run, *inputs)


def diamond(home: Path, broken: str = "") -> list[Stage]:
    """Two stages on one, one on both, and one that stands alone."""
    first = stage(home, "first", fails=broken == "first")
    left = stage(home, "left", first, fails=broken == "left")
    right = stage(home, "right", first)
    last = stage(home, "last", left, right)
    return [first, left, right, last, stage(home, "alone")]


def by_title(stages: list[Stage], outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    return {one.title: outcomes[one.address] for one in stages}


def test_what_does_not_need_the_failed_stage_goes_on(tmp_path: Path) -> None:
    stages = diamond(tmp_path, broken="left")
    found = by_title(stages, run_local(stages))
    assert {name: one.status for name, one in found.items()} == {
        "first": "done",
        "left": "failed",
        "right": "done",
        "last": "blocked",
        "alone": "done",
    }
    assert found["left"].error == "left broke"
    assert found["last"].error == "left"
    assert "left broke" in Path(found["last"].log).read_text()


def test_blocked_stages_name_the_stage_that_failed_first(tmp_path: Path) -> None:
    stages = diamond(tmp_path, broken="first")
    found = by_title(stages, run_local(stages))
    assert {found[name].error for name in ("left", "right", "last")} == {"first"}


def test_a_rerun_retries_only_what_failed(tmp_path: Path) -> None:
    run_local(diamond(tmp_path, broken="left"))
    started = []
    stages = diamond(tmp_path)
    outcomes = run_local(stages, lambda one, outcome: outcome or started.append(one.title))
    assert started == ["left", "last"]
    assert {one.status for one in outcomes.values()} == {"done"}
