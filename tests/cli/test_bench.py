"""`w2sprobe bench` with made-up measurements; tests/bench has real ones."""

import json

import pytest

from tests.cli.cases import invoke, run
from w2sprobe import bench
from w2sprobe.bench.measuring import Measurement
from w2sprobe.errors import W2SProbeError


def test_a_line_has_both_numbers_their_ratio_and_the_agreement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = [
        Measurement("ours | theirs", 1.0, 4.0, "recall 1.0"),
        Measurement("much | little", 300.0, 100.0, "other rows", agrees=False, unit="MB"),
    ]
    monkeypatch.setitem(bench.PARTS, "search", lambda rows, width: iter(measured))
    done = invoke("bench", "search", "--rows", "200", "--width", "16")
    _, _, first, second = done.stdout.splitlines()
    assert first.split() == [
        "ours",
        "|",
        "theirs",
        *["1.00", "s", "4.00", "s", "0.25", "recall", "1.0"],
    ]
    assert second.split()[3:] == [
        "300.00",
        "MB",
        "100.00",
        "MB",
        "3.00",
        "other",
        "rows",
        "DISAGREES",
    ]
    assert isinstance(done.exception, W2SProbeError)
    assert "ours and a peer disagree" in str(done.exception)
    assert "much | little" in str(done.exception)
    assert "ours | theirs" not in str(done.exception)


def test_json_has_every_measurement_of_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in bench.PARTS:
        monkeypatch.setitem(
            bench.PARTS,
            name,
            lambda rows, width, name=name: iter([Measurement(f"{name} {rows} {width}", 1.0, 2.0)]),
        )
    records = json.loads(run("bench", "--rows", "100", "--width", "20", "--json"))
    assert [record["part"] for record in records] == list(bench.PARTS)
    assert records[0] == {
        "part": "search",
        "name": "search 100 20",
        "ours": 1.0,
        "peer": 2.0,
        "agreement": "",
        "agrees": True,
        "unit": "s",
        "ratio": 0.5,
    }
    (alone,) = json.loads(run("bench", "knn", "--json"))
    assert alone["name"] == "knn 10000 2048"
