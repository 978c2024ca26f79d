"""`w2sprobe bench` with made-up measurements; tests/bench has real ones."""

import json
from pathlib import Path

import pytest

from tests.cli.cases import invoke, run
from w2sprobe import bench
from w2sprobe.bench import device
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


@pytest.fixture
def one_gpu_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout with a single test, instead of minutes of this one's."""
    monkeypatch.setattr("w2sprobe.bench.device.gpu_tests.ROOT", tmp_path / "checkout")
    (tmp_path / "checkout/tests").mkdir(parents=True)
    (tmp_path / "checkout/pytest.ini").write_text("[pytest]\nmarkers = gpu\n")
    (tmp_path / "checkout/tests/test_gpu.py").write_text(
        "import pytest\n\n\n@pytest.mark.gpu\ndef test_one():\n    pass\n"
    )


def test_a_device_is_measured_from_end_to_end_and_once(tmp_path: Path, one_gpu_test: None) -> None:
    out = tmp_path / "gpu.json"
    options = ("bench", "--device", "cpu", "--tiny", "--out", str(out))
    printed = run(*options)
    record = json.loads(out.read_text())
    assert record["failed"] == record["skipped"] == {}
    for part in record["parts"].values():
        for row in part["rows"]:
            assert f"| {row['name']} |" in printed
    before = out.read_bytes()
    done = invoke(*options, "--json")
    assert json.loads(done.stdout) == record
    assert done.stderr.count("measured before") == len(record["parts"])
    assert out.read_bytes() == before


def test_parts_that_fail_are_named_and_skipped_ones_wait(
    tmp_path: Path, one_gpu_test: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = device.parts_of(device.TINY)
    chosen = [part for part in parts if part.name == "logistic"]
    failing = device.Part("broken", 1, lambda _: iter([1 // 0]))
    late = device.Part("late", 1e6, chosen[0].measure)
    monkeypatch.setattr(device, "parts_of", lambda _: [failing, *chosen, late])
    out = tmp_path / "gpu.json"
    done = invoke("bench", "--device", "cpu", "--tiny", "--minutes", "1", "--out", str(out))
    assert isinstance(done.exception, W2SProbeError)
    assert "broken" in str(done.exception)
    assert "late" not in str(done.exception)
    assert "- broken: failed, ZeroDivisionError" in done.stdout
    assert "- late: skipped, expected to take 1000000 s" in done.stdout
    assert list(json.loads(out.read_text())["parts"]) == ["logistic"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tiny"], "need --device"),
        (["--out", "gpu.json"], "need --device"),
        (["knn", "--device", "cpu"], "PART has no effect"),
        (["--device", "tpu"], "'tpu' is not one of"),
    ],
)
def test_options_that_do_not_fit_together(options: list[str], message: str) -> None:
    done = invoke("bench", *options)
    assert done.exit_code == 2
    assert message in done.stderr
