import subprocess
import sys


def test_the_probe_benchmark_runs_and_its_peers_agree() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.probe_speed", "--smoke"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert "1.0000 of neighbours" in lines[2]
    assert float(lines[3].split()[-1]) < 1e-9
    assert float(lines[4].split()[-3]) < 1e-3
