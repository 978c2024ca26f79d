"""A million rows: the memory and time that the project promises for a local file."""

import json
import subprocess
import sys
import time

from tests.integration.conftest import Workplace

N = 1_000_000
LIMIT_SECONDS, LIMIT_MB = 60, 2000

# in a process of its own: a child's peak starts at its parent's
WRITE = f"""
import json
with open("large.jsonl", "w") as file:
    for n in range({N}):
        row = {{"id": f"row-{{n:08d}}", "group": f"group-{{n // 5:07d}}"}}
        row["label"] = n * 7 % 5 // 2 % 2
        row["text"] = f"{{n:07d}} " + " ".join(f"word{{n * k % 997:03d}}" for k in range(2, 26))
        file.write(json.dumps(row) + "\\n")
"""
MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1000, file=sys.stderr)
sys.exit(done.returncode)
"""


def test_a_million_rows_are_split_in_a_minute_and_two_gigabytes(empty: Workplace) -> None:
    subprocess.run([sys.executable, "-c", WRITE], cwd=empty.folder, check=True)
    command = [sys.executable, "-m", "w2sprobe", "tasks", "split", "large.jsonl"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command, "--out", "splits.parquet", "--json"],
        cwd=empty.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["splits"]
    assert counts["test"] == {"label_0": 2500, "label_1": 2500}
    assert int(done.stderr.splitlines()[-1]) < LIMIT_MB
    assert seconds < LIMIT_SECONDS
