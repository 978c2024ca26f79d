"""Tables of a plan."""

from tests.reporting.cases import printed
from w2sprobe.reporting.plans import bytes_text, plan_tables, seconds_text
from w2sprobe.results import Forecast, PlannedStage


def stage(number: int, *, done: bool, experiment: str = "", **inputs: int) -> PlannedStage:
    return PlannedStage(
        number=number,
        stage=f"stage [{number}]",
        kind="train",
        experiment=experiment,
        inputs=inputs,
        done=done,
        folder=f"cache/{number}",
        disk_bytes=2_000_000,
        seconds=90.0,
    )


def forecast(n_experiments: int, *stages: PlannedStage) -> Forecast:
    return Forecast(
        stages=stages,
        n_experiments=n_experiments,
        store_bytes=0,
        disk_bytes=2_000_000,
        seconds=90.0,
        speed_from="a guess",
        splits={"t": {"test": 5}},
        notes=(),
    )


def test_a_plan_shows_what_reads_what() -> None:
    text = printed(*plan_tables(forecast(1, stage(1, done=True), stage(2, done=False, labels=1))))
    for part in ("stage [2]", "labels 1", "~0:01:30", "2.0 MB", "1 of 2 done", "test 5", "cache/2"):
        assert part in text


def test_a_plan_of_several_counts_kinds_a_task() -> None:
    stages = (
        stage(1, done=True, experiment="a, seed 0"),
        stage(2, done=False, experiment="a, seed 1"),
        stage(3, done=False, experiment="b, seed 0"),
    )
    text = printed(*plan_tables(forecast(3, *stages)))
    assert "1 of 2" in text
    assert "0 of 1" in text
    assert "cache/2" not in text


def test_sizes_and_times_for_people() -> None:
    assert [bytes_text(size) for size in (0, 999, 1e3, 52e9, 3e12)] == [
        *("0 B", "999 B", "1.0 kB", "52.0 GB", "3.0 TB")
    ]
    assert [seconds_text(one) for one in (0.4, 59, 61, 90000)] == [
        *("0 s", "59 s", "0:01:01", "1 day, 1:00:00")
    ]
