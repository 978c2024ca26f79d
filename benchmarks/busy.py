"""Training on an empty machine and beside busy processes, by how OpenMP's threads wait, in one run.

python -m benchmarks.busy [--smoke] [--rows N] [--rounds N] [--beside N] [--model M] [--task T]

Each setting has a process of its own, and they take turns: the same steps of a LoRA student, first
on the machine as it is, then beside loops of pure Python that never rest. Shown are medians, and
their ratio to what torch does by itself on an empty machine. What other processes took of a core
meanwhile is shown too: above a tenth, the machine was not empty.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import psutil
import torch  # before w2sprobe, which would set how its threads wait

from benchmarks.finetuning import CPU, train
from w2sprobe.data import load_splits
from w2sprobe.data.splits import SplitSizes
from w2sprobe.devices import resolve_precision
from w2sprobe.models import describe_model, load_tokenizer
from w2sprobe.threads import THREADS, WAITING
from w2sprobe.tokens import tokenize
from w2sprobe.training.batches import Example
from w2sprobe.training.settings import TrainSettings

OWN, SMALLEST = "torch by itself", "OMP_NUM_THREADS=1"
SETTINGS = {
    OWN: {},
    **{f"GOMP_SPINCOUNT={n}": {"GOMP_SPINCOUNT": n} for n in ("0", "100", "1000", "10000")},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    SMALLEST: {"OMP_NUM_THREADS": "1"},
}
ASIDE = {THREADS, *WAITING}  # what the caller set does not count


def work(options: argparse.Namespace) -> None:
    """Train once for each line that comes in; say how long it took."""
    splits = load_splits(options.task, sizes=SplitSizes(2, options.rows, 2, 2))
    rows, info = splits.strong_train, describe_model(options.model)
    found = tokenize(
        load_tokenizer(info.source), rows.ids.tolist(), rows.texts, max_tokens=info.max_tokens
    )
    examples: list[Example] = [
        {"id": name, "position": at, "input_ids": row, "soft_label": float(label)}
        for at, (name, row, label) in enumerate(
            zip(rows.ids.tolist(), found.input_ids, rows.labels.tolist(), strict=True)
        )
    ]
    settings = TrainSettings(epochs=1, learning_rate=5e-4)
    precision = resolve_precision("auto", CPU)
    for line in sys.stdin:
        if line.strip():
            done = train(options.model, examples, settings, precision)
            print("took", done.seconds, torch.get_num_threads(), flush=True)


class Worker:
    """A process in which OpenMP was loaded with a setting."""

    def __init__(self, variables: dict[str, str]) -> None:
        kept = {name: text for name, text in os.environ.items() if name not in ASIDE}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.busy", "--work", *sys.argv[1:]],
            env=kept | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.threads = 0

    def take_a_turn(self) -> float:
        """Seconds of the same steps."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("took"):
                self.threads = int(line.split()[2])
                return float(line.split()[1])
        raise RuntimeError("a worker died: run it by itself with --work")

    def cpu_seconds(self) -> float:
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


@contextmanager
def busy(n: int) -> Iterator[list[psutil.Process]]:
    """Loops that never rest, and end with the block."""
    loops = [psutil.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield loops
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def taken() -> float:
    """Seconds that all processes together have computed since the machine started."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - getattr(times, "iowait", 0) - getattr(times, "guest", 0)


def main() -> None:
    """Print a line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--task", default="bigbench:multiemo/all_sentence_en")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--beside", type=int, default=1, help="busy processes")
    parser.add_argument("--smoke", action="store_true", help="one round of two settings")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options)
        return
    names = [OWN, SMALLEST] if options.smoke else list(SETTINGS)
    workers = {name: Worker(SETTINGS[name]) for name in names}
    for worker in workers.values():
        worker.take_a_turn()  # what is loaded once is not timed
    seconds: dict[tuple[str, int], list[float]] = {}
    others = []  # cores' worth of other processes' time, in each quiet turn
    for _ in range(1 if options.smoke else options.rounds):
        for n_busy in (0, options.beside):
            with busy(n_busy):
                for name, worker in workers.items():
                    before, own, start = taken(), worker.cpu_seconds(), time.perf_counter()
                    seconds.setdefault((name, n_busy), []).append(worker.take_a_turn())
                    if not n_busy:
                        rest = taken() - before - (worker.cpu_seconds() - own)
                        others.append(max(rest, 0) / (time.perf_counter() - start))
    for worker in workers.values():
        worker.process.kill()
        worker.process.wait()
    print(
        f"{options.model}, {options.rows} rows, {options.rounds} rounds, {os.cpu_count()} cores; "
        f"others took {median(others):.2f} of a core, {max(others):.2f} at most"
    )
    print(
        f"{'':25}{'threads':>8}{'empty':>9}{'ratio':>7}{f'beside {options.beside}':>11}{'ratio':>7}"
    )
    reference = median(seconds[OWN, 0])
    for name, worker in workers.items():
        empty, full = (median(seconds[name, n_busy]) for n_busy in (0, options.beside))
        print(
            f"{name:25}{worker.threads:8}{empty:7.2f} s{empty / reference:7.2f}"
            f"{full:9.2f} s{full / reference:7.2f}"
        )


if __name__ == "__main__":
    main()
