import os
import subprocess
import sys
from pathlib import Path

import pytest

from w2sprobe import threads
from w2sprobe.threads import affinity, asked_threads, cores_by_quota, settle

ASIDE = {"W2SPROBE_CACHE", threads.THREADS, *threads.WAITING}


def answer(code: str, **variables: str) -> str:
    """What a fresh interpreter prints, with only these of the variables."""
    kept = {name: text for name, text in os.environ.items() if name not in ASIDE}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=kept | variables, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/", {}, None),
        ("0::/", {"cpu.max": "max 100000\n"}, None),
        ("0::/", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/", {"cpu.max": "150000 100000\n"}, 2),
        ("0::/", {"cpu.max": "20000 100000\n"}, 1),
        ("0::/user/one", {"user/one/cpu.max": "max 100000", "user/cpu.max": "300000 100000"}, 3),
        ("0::/user/one", {"user/one/cpu.max": "200000 100000", "user/cpu.max": "9900000 1000"}, 2),
        ("0::/of/the/host", {"cpu.max": "200000 100000"}, 2),
        ("0::/../outside", {"cpu.max": "200000 100000"}, 2),
        (
            "4:cpu,cpuacct:/box\n0::/",
            {
                "cpu,cpuacct/box/cpu.cfs_quota_us": "250000",
                "cpu,cpuacct/box/cpu.cfs_period_us": "50000",
            },
            5,
        ),
        ("4:cpu:/of/host", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "50000"}, 2),
        ("4:cpu:/", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ("3:cpuset:/box", {"cpuset/box/cpu.cfs_quota_us": "100000"}, None),
        ("", {"cpu.max": "400000 100000"}, None),
    ],
)
def test_the_quota_is_the_least_of_all_groups(
    groups: str, files: dict[str, str], expected: int | None, tmp_path: Path
) -> None:
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        file = tmp_path / name if name.startswith("proc") else tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert cores_by_quota(tmp_path) == expected


def test_a_system_without_cgroups_has_no_quota(tmp_path: Path) -> None:
    assert cores_by_quota(tmp_path) is None


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has settled nothing yet, of 8 cores and a quota of 3."""
    for name in (threads.THREADS, *threads.WAITING):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "SET_HERE", {})
    monkeypatch.setattr(threads, "TOO_LATE", False)
    monkeypatch.setattr(threads, "affinity", lambda: set(range(8)))
    monkeypatch.setattr(threads, "cores_by_quota", lambda: 3)


def settled() -> dict[str, str]:
    settle()
    return {
        name: os.environ[name] for name in (threads.THREADS, *threads.WAITING) if name in os.environ
    }


SPIN = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "1"}


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({}, {**SPIN, "OMP_NUM_THREADS": "3"}),
        ({"OMP_NUM_THREADS": "6"}, SPIN),
        ({"GOMP_SPINCOUNT": "7"}, {"KMP_BLOCKTIME": "1", "OMP_NUM_THREADS": "3"}),
        ({"KMP_BLOCKTIME": "7"}, {"GOMP_SPINCOUNT": "1000", "OMP_NUM_THREADS": "3"}),
        ({"KMP_LIBRARY": "turnaround"}, {"GOMP_SPINCOUNT": "1000", "OMP_NUM_THREADS": "3"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_NUM_THREADS": "3"}),
    ],
)
def test_what_a_user_set_stays(
    theirs: dict[str, str], ours: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in theirs.items():
        monkeypatch.setenv(name, text)
    assert settled() == theirs | ours
    assert ours == threads.SET_HERE


@pytest.mark.usefixtures("fresh")
def test_a_quota_above_the_cores_limits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cores_by_quota", lambda: 8)
    assert settled() == SPIN


@pytest.mark.usefixtures("fresh")
def test_after_torch_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "TOO_LATE", True)
    assert settled() == {}


@pytest.mark.usefixtures("fresh")
def test_a_limit_of_ours_is_nothing_that_the_user_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settle()
    assert asked_threads() is None
    monkeypatch.setattr(threads, "SET_HERE", {})
    assert asked_threads() == 3


def test_torch_loaded_first_is_noticed() -> None:
    code = (
        "import os; from w2sprobe.threads import TOO_LATE; "
        "print(TOO_LATE, 'GOMP_SPINCOUNT' in os.environ)"
    )
    assert answer(code).split() == ["False", "True"]
    assert answer(f"import torch; {code}").split()[-2:] == ["True", "False"]


@pytest.mark.skipif(sys.platform != "linux", reason="torch's builds for Linux bring GNU's OpenMP")
def test_the_runtime_that_torch_loads_has_what_was_set() -> None:
    shown = answer("import w2sprobe, torch", OMP_DISPLAY_ENV="VERBOSE")
    assert "GOMP_SPINCOUNT = '1000'" in shown
    shown = answer("import w2sprobe, torch", OMP_DISPLAY_ENV="VERBOSE", GOMP_SPINCOUNT="77")
    assert "GOMP_SPINCOUNT = '77'" in shown


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity cannot be set here")
def test_torch_and_we_use_the_cores_that_affinity_leaves() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from w2sprobe.threads import usable_cores; import torch; "
        "print(usable_cores(), torch.get_num_threads())"
    )
    assert answer(code).split() == ["1", "1"]
    assert affinity() == os.sched_getaffinity(0)
