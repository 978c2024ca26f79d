"""A large local file to its four splits: seconds and peak memory of the whole process.

python -m benchmarks.splitting [--smoke] [--rows N] [KIND ...]

Each kind of file is read, checked, deduplicated and split in a process of its own. Rows have 200
characters, an id, and a group that five share.
"""

import argparse
import csv
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

KINDS = (".jsonl", ".csv", ".parquet", ".jsonl.zst", ".csv.gz", ".parquet.zst", ".json")
CODECS = {".zst": "zstd", ".gz": "gzip"}
BLOCK = 1 << 22
TARGET = "target 60 s, 2,000 MB"


def make_columns(n: int) -> dict[str, list[object]]:
    random = np.random.default_rng(0)
    words = np.array([f"w{number:03d}" for number in range(1000)])
    drawn = words[random.integers(0, 1000, (n, 38))].tolist()
    return {
        "text": [f"{row:010d}{' '.join(line)[:190]}" for row, line in enumerate(drawn)],
        "label": random.integers(0, 2, n).tolist(),
        "id": [f"row-{row:09d}" for row in range(n)],
        "group": [f"group-{row // 5:08d}" for row in range(n)],
    }


def write(columns: dict[str, list[object]], folder: Path) -> None:
    """Write all kinds."""
    lines = list(zip(*columns.values(), strict=True))
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    with (folder / "rows.csv").open("w", newline="") as file:
        csv.writer(file).writerows([list(columns), *lines])
    with (folder / "rows.jsonl").open("w") as file:
        file.writelines(f"{json.dumps(dict(zip(columns, line, strict=True)))}\n" for line in lines)
    with (folder / "rows.json").open("w") as file:
        json.dump([dict(zip(columns, line, strict=True)) for line in lines], file)
    for kind in KINDS:
        codec = CODECS.get(Path(f"rows{kind}").suffix)
        if codec is not None:
            packed = folder / f"rows{kind}"
            with (
                packed.with_suffix("").open("rb") as plain,
                pa.output_stream(str(packed), compression=codec) as file,
            ):
                shutil.copyfileobj(plain, file, BLOCK)


def split(path: Path) -> None:
    """Time both steps in this process; imports count for memory, not for time."""
    from w2sprobe.data import load_task, make_splits
    from w2sprobe.data.files import read_file

    start = time.perf_counter()
    read_file(path)
    read, peak_read = time.perf_counter() - start, peak()
    start = time.perf_counter()
    make_splits(load_task(str(path)).rows)
    print(read, peak_read, time.perf_counter() - start, peak())


def peak() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def run(step: str, path: Path, n: int) -> str:
    """In a process of its own: the peak memory of a child is at least what its parent holds."""
    command = [sys.executable, "-m", "benchmarks.splitting", "--rows", str(n)]
    done = subprocess.run(
        [*command, "--step", step, str(path)], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--smoke", action="store_true", help="small sizes")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    n = 1000 if options.smoke else options.rows
    if options.step:
        step, path = options.step
        split(Path(path)) if step == "split" else write(make_columns(n), Path(path))
        return
    folder = Path(tempfile.mkdtemp(prefix="w2sprobe-benchmark-"))
    try:
        run("write", folder, n)
        print(f"{n} rows; {TARGET} for reading and splitting")
        print(f"{'file':<16} {'MB':>6} {'reading':>22} {'reading and splitting':>24}")
        for kind in options.kinds:
            path = folder / f"rows{kind}"
            read, read_peak, both, both_peak = map(float, run("split", path, n).split())
            size = path.stat().st_size / 1e6
            print(
                f"{path.name:<16} {size:6.0f} {read:8.2f} s {read_peak:8.0f} MB "
                f"{both:10.2f} s {both_peak:8.0f} MB",
                flush=True,
            )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
