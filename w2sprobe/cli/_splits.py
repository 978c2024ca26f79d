"""The task options, turned into splits."""

from w2sprobe.data import Splits, SplitSizes, load_task, make_splits
from w2sprobe.errors import InputError


def load_splits(
    task_name: str, positive: str | None, negative: str | None, sizes: str | None, split_seed: int
) -> Splits:
    """Load a task and split it."""
    task = load_task(task_name, positive=positive, negative=negative)
    return make_splits(task.rows, parse_sizes(sizes) if sizes else None, seed=split_seed)


def parse_sizes(text: str) -> SplitSizes:
    """Turn `500,500,100,1000` into sizes."""
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdigit() for part in parts):
        raise InputError(f"--sizes is {text!r}", allowed="four numbers, as in 500,500,100,1000")
    return SplitSizes(*map(int, parts))
