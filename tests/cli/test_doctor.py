"""`w2sprobe doctor`: its facts and advice, on made-up machines."""

import json

import pytest
from click.testing import CliRunner

from w2sprobe.cli import doctor, root


def test_a_missing_library_is_advised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_is_installed", lambda module: module != "faiss")
    monkeypatch.setattr(doctor, "_search_speed", lambda with_faiss: ("", []))
    facts, advice = doctor.examine()
    assert facts["faiss"] == "not installed"
    assert any("w2sprobe[cpu]" in line for line in advice)
    assert {"python", "torch", "devices", "cache", "assets"} <= set(facts)


def test_without_torch_the_exit_status_is_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_is_installed", lambda module: False)
    monkeypatch.setattr(doctor, "_cores", lambda: ("", []))
    monkeypatch.setattr(doctor, "_computing", lambda: pytest.fail("torch was asked"))
    shown = CliRunner().invoke(root, ["doctor"])
    assert shown.exit_code == 1
    assert "! no torch: " in shown.stdout
    report = json.loads(CliRunner().invoke(root, ["doctor", "--json"]).stdout)
    assert report["advice"] == [doctor.NO_TORCH]


def test_a_slow_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_cores_that_other_work_leaves_are_advised(
    quota: int | None,
    percent: list[float],
    asked: str,
    advised: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    monkeypatch.setattr(doctor.psutil, "cpu_percent", lambda seconds, percpu: percent)
    monkeypatch.setattr(doctor.threads, "affinity", lambda: {0, 1})
    monkeypatch.setattr(doctor.threads, "cores_by_quota", lambda: quota)
    fact, advice = doctor._cores()
    limit = f"{quota} by quota" if quota else "no quota"
    assert fact == (
        f"{quota or 2} usable of 4: 2 by affinity, {limit}; "
        f"other processes take {sum(percent[:2]) / 100:.1f} of them"
    )
    assert [f"set OMP_NUM_THREADS={advised} while" in line for line in advice] == (
        [True] if advised else []
    )


def test_variables_that_set_how_threads_wait_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
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
    assert line.startswith("torch was imported before w2sprobe")


@pytest.mark.parametrize(("code", "lines"), [("{first}, {second}", 0), ("os; os.abort()", 1)])
def test_a_crash_of_torch_beside_faiss_is_detected(
    code: str, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "CRASH_TEST", f"import {code}")
    fact, advice = doctor._check_imports()
    assert len(advice) == lines
    assert (fact == "crash") == bool(lines)
