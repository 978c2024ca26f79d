import subprocess
import sys


def run(name: str, *parts: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--smoke", *parts],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_the_probe_benchmark_runs_and_its_peers_agree() -> None:
    lines = run("probe_speed")
    assert len(lines) == 5
    assert "1.0000 of neighbours" in lines[2]
    assert float(lines[3].split()[-1]) < 1e-9
    assert float(lines[4].split()[-3]) < 1e-3


def test_the_reading_benchmark_runs_and_its_peers_agree() -> None:
    assert len(run("cache", "reading")) == 4
