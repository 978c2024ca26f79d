"""BIG-bench: multiple-choice tasks of the fetched asset as two classes.

Source: Srivastava et al., "Beyond the Imitation Game", arXiv 2206.04615; files as in `assets`.
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from w2sprobe.assets import asset_path, identity, is_fetched
from w2sprobe.errors import InputError, UnknownName

ASSET = "bigbench"
SHOWN = 8  # names of a long list that a message shows

# task: (positive class, negative class)
CURATED = {"multiemo/all_sentence_en": ("positive", "negative")}


@dataclass(frozen=True)
class BigBenchRows:
    """Bare inputs of the two classes, what was left out, and what it was made of."""

    texts: list[str]
    labels: list[int]
    dropped: dict[str, int]
    identity: dict[str, Any]


def read_bigbench(
    task: str, *, positive: str | None = None, negative: str | None = None
) -> BigBenchRows:
    """Read the rows of two classes of a task.

    Parameters
    ----------
    task : str
        Path under BIG-bench's `benchmark_tasks`, as in `multiemo/all_sentence_en`.
    positive, negative : str, optional
        Classes that become 1 and 0. A row's class is its only choice of highest score. Curated
        tasks have defaults.

    Returns
    -------
    BigBenchRows
        `dropped` counts rows of other classes, of no single best choice, and without text.

    Raises
    ------
    InputError
        BIG-bench has not been fetched, or no classes are given for a task that is not curated.
    UnknownName
        No such task or class.
    """
    if not is_fetched(ASSET):
        raise InputError(
            f"task 'bigbench:{task}' is not here: BIG-bench has not been fetched",
            advice="Run: w2sprobe fetch bigbench",
        )
    folder = asset_path(ASSET)
    known = [
        file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.parquet")
    ]
    if task not in known:
        raise UnknownName(
            "BIG-bench task",
            task,
            _nearest(task, known),
            advice=f"{len(known)} tasks in all, in {folder}.",
        )
    table = pq.read_table(folder / f"{task}.parquet")
    classes = [_class_of(scores) for scores in table["target_scores"].to_pylist()]
    default_positive, default_negative = CURATED.get(task, (None, None))
    chosen = {
        _known_class(task, "negative", negative or default_negative, classes): 0,
        _known_class(task, "positive", positive or default_positive, classes): 1,
    }
    if len(chosen) == 1:
        raise InputError(f"positive and negative class are both {next(iter(chosen))!r}")
    dropped = {"other_class": 0, "no_single_class": 0, "empty_text": 0}
    texts, labels = [], []
    for text, name in zip(table["input"].to_pylist(), classes, strict=True):
        if name is None:
            dropped["no_single_class"] += 1
        elif name not in chosen:
            dropped["other_class"] += 1
        elif not text.strip():
            dropped["empty_text"] += 1
        else:
            texts.append(text)
            labels.append(chosen[name])
    negative, positive = chosen
    made_of = {**identity(ASSET), "task": task, "positive": positive, "negative": negative}
    return BigBenchRows(texts, labels, dropped, made_of)


def _class_of(scores: Sequence[tuple[str, float]]) -> str | None:
    best = max(score for _, score in scores)
    names = [name for name, score in scores if score == best]
    return names[0] if len(names) == 1 else None


def _known_class(task: str, side: str, name: str | None, classes: Sequence[str | None]) -> str:
    counts = Counter(value for value in classes if value is not None)
    listing = ", ".join(f"{value} {count}" for value, count in counts.most_common(SHOWN))
    advice = f"Rows a class: {listing}" + (", ..." if len(counts) > SHOWN else ".")
    if name is None:
        raise InputError(
            f"no {side} class for task 'bigbench:{task}'",
            advice=f"Choose --positive and --negative. {advice}",
        )
    if name not in counts:
        shown = _nearest(name, list(counts)) if len(counts) > SHOWN else counts
        raise UnknownName(f"{side} class", name, shown, advice=advice)
    return name


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    """A few of a long list: those that contain the name, then those spelt alike."""
    inside = sorted(value for value in known if name in value)
    alike = difflib.get_close_matches(name, known, n=SHOWN, cutoff=0.4)
    return list(dict.fromkeys([*inside, *alike]))[:SHOWN] or sorted(known)[:SHOWN]
