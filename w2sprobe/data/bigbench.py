"""BIG-bench: multiple-choice tasks of the fetched asset as two classes.

Source: Srivastava et al., "Beyond the Imitation Game", arXiv 2206.04615; files as in `assets`.
A row's answer is its choice of highest score. Where all rows choose among the same class names, the
text is the bare question, and two classes become 1 and 0. Where every row has choices of its own,
the text is the question and one of them, and 1 means that it is a right one.
"""

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq

from w2sprobe.assets import asset_path, identity, is_fetched
from w2sprobe.data.bigbench_curated import ANSWER, CURATED, CuratedTask
from w2sprobe.data.coin import Coin
from w2sprobe.data.rows import SourceRows
from w2sprobe.errors import InputError, UnknownName

ASSET = "bigbench"
SHOWN = 8  # names of a long list that a message shows
MOST_CLASSES = 20  # more names than that are answers, not classes
NEARLY_ALL = 0.8  # of the rows: some files have a few rows with a class of their own
KEY_LENGTH = 16  # hex digits of a group key's SHA-256; the passages themselves are long
# the class that says yes, and its opposite; small letters, no full stop
OBVIOUS_PAIRS = {
    "acceptable": "unacceptable",
    "correct": "incorrect",
    "entailment": "non-entailment",
    "ironic": "not ironic",
    "joke": "not a joke",
    "plausible": "implausible",
    "positive": "negative",
    "t": "f",
    "true": "false",
    "valid": "invalid",
    "yes": "no",
}

Scores = Sequence[tuple[str, float]]


def read_bigbench(
    task: str, *, positive: str | None = None, negative: str | None = None
) -> SourceRows:
    """Read the rows of a task as two classes.

    Parameters
    ----------
    task : str
        Path under BIG-bench's `benchmark_tasks`, as in `multiemo/all_sentence_en`.
    positive, negative : str, optional
        Classes that become 1 and 0, whatever the curated list says. Curated tasks have defaults;
        so have classes that are opposites, such as yes and no.

    Returns
    -------
    SourceRows
        Without outer whitespace, without ids. Groups: rows about the same thing, where some are.
        `dropped` counts rows of other classes, of no single best choice and without text, or
        (open choices) rows whose choices are all right.

    Raises
    ------
    InputError
        BIG-bench has not been fetched, or the task has fixed classes and none are chosen.
    UnknownName
        No such task or class.

    Notes
    -----
    Which choice a row shows hangs on its content alone: neither on the order of rows nor on the
    order of choices.
    """
    inputs, scores = _read_columns(task)
    entry = CURATED.get(task)
    if positive is None and negative is None and not _is_by_classes(entry, scores):
        mode: dict[str, Any] = {"mode": "choices", "positive": None, "negative": None}
        kept, texts, labels, dropped = _with_candidates(inputs, scores, entry)
        keys = [_question_key(inputs[row], scores[row], entry) for row in kept]
    else:
        high, low = _chosen_classes(task, entry, scores, positive, negative)
        mode = {"mode": "classes", "positive": high, "negative": low}
        kept, texts, labels, dropped = _of_classes(inputs, scores, high, low)
        # without a pattern a key would be the whole text, and no text is there twice
        patterned = kept if entry and entry.group else ()
        keys = [_question_key(inputs[row], scores[row], entry) for row in patterned]
    return SourceRows(
        texts,
        labels,
        # not where every row would stand alone
        groups=keys if len(set(keys)) < len(keys) else None,
        dropped=dropped,
        made_of={**identity(ASSET), "task": task, **mode},
    )


def _read_columns(task: str) -> tuple[list[str], list[Scores]]:
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
    return table["input"].to_pylist(), table["target_scores"].to_pylist()


# --- fixed classes


def _is_by_classes(entry: CuratedTask | None, scores: Sequence[Scores]) -> bool:
    return entry.mode == "classes" if entry else bool(_shared_classes(scores))


def _shared_classes(scores: Sequence[Scores]) -> list[str]:
    """The few names that nearly all rows offer and choose among; empty: choices are open."""
    enough = NEARLY_ALL * len(scores)
    offered = Counter(name for row in scores for name in _names(row))
    shared = {name for name, count in offered.items() if count >= enough}
    answered = sum(_class_of(row) in shared for row in scores)
    return sorted(shared) if 2 <= len(shared) <= MOST_CLASSES and answered >= enough else []


def _chosen_classes(
    task: str,
    entry: CuratedTask | None,
    scores: Sequence[Scores],
    positive: str | None,
    negative: str | None,
) -> tuple[str, str]:
    """Positive and negative class: as asked for, else as curated, else an obvious pair."""
    counts = Counter(name for row in scores if (name := _class_of(row)) is not None)
    if entry:
        positive, negative = positive or entry.positive, negative or entry.negative
    elif positive is None and negative is None:
        positive, negative = _obvious_pair(_shared_classes(scores))
    low = _known_class(task, "negative", negative, counts)
    high = _known_class(task, "positive", positive, counts)
    if high == low:
        raise InputError(f"positive and negative class are both {high!r}")
    return high, low


def _obvious_pair(classes: Sequence[str]) -> tuple[str, str] | tuple[None, None]:
    by_word = {name.strip().rstrip(".").lower(): name for name in classes}
    for yes, no in OBVIOUS_PAIRS.items():
        if by_word.keys() == {yes, no}:
            return by_word[yes], by_word[no]
    return None, None


def _known_class(task: str, side: str, name: str | None, counts: Counter[str]) -> str:
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


def _of_classes(
    inputs: Sequence[str], scores: Sequence[Scores], positive: str, negative: str
) -> tuple[list[int], list[str], list[int], dict[str, int]]:
    """Positions, texts and labels of the rows of two classes, and how many are not."""
    dropped = {"other_class": 0, "no_single_class": 0, "empty_text": 0}
    kept, texts, labels = [], [], []
    for row, name in enumerate(map(_class_of, scores)):
        # outer whitespace tells the classes of metaphor_boolean apart
        text = inputs[row].strip()
        if name is None:
            dropped["no_single_class"] += 1
        elif name not in (positive, negative):
            dropped["other_class"] += 1
        elif not text:
            dropped["empty_text"] += 1
        else:
            kept.append(row)
            texts.append(text)
            labels.append(int(name == positive))
    return kept, texts, labels, dropped


# --- open choices


def _with_candidates(
    inputs: Sequence[str], scores: Sequence[Scores], entry: CuratedTask | None
) -> tuple[list[int], list[str], list[int], dict[str, int]]:
    """Positions, texts and labels of the rows that have right and wrong choices."""
    never = re.compile(entry.never) if entry and entry.never else None
    kept, texts, labels = [], [], []
    for row, (question, choices) in enumerate(zip(inputs, scores, strict=True)):
        offered = [name for name in _names(choices) if not (never and never.search(name))]
        best = _best(choices)
        right = [name for name in offered if name in best]
        wrong = [name for name in offered if name not in best]
        if not right or not wrong:
            continue
        coin = Coin.of(question, *offered)
        shown = coin.pick(right if coin.heads else wrong)
        kept.append(row)
        texts.append(_joined(question, shown, entry.lead if entry else None))
        labels.append(int(coin.heads))
    return kept, texts, labels, {"no_wrong_choice": len(inputs) - len(kept)}


def _joined(question: str, candidate: str, lead: str | None) -> str:
    """Question and candidate; the text ends with it, so that a last token's state knows both."""
    stem = question.strip()
    if not stem:  # all of the row is in its choices
        return candidate
    if lead is None:
        # 'Q: ... A:' and sentences that break off, '... is ', want nothing in between
        breaks_off = stem.endswith(":") or (question[-1].isspace() and stem[-1].isalnum())
        lead = " " if breaks_off else ANSWER
    return f"{stem}{lead}{candidate}"


# --- both


def _question_key(question: str, choices: Scores, entry: CuratedTask | None) -> str:
    """What a row is about: what the pattern finds in its question, by default all of it."""
    text = " ".join(question.split()) or "\n".join(_names(choices))
    found = " ".join(re.findall(entry.group, text)) if entry and entry.group else ""
    return hashlib.sha256((found or text).encode()).hexdigest()[:KEY_LENGTH]


def _names(choices: Scores) -> list[str]:
    """What a row offers, in an order of its own."""
    return sorted({name.strip() for name, _ in choices} - {""})


def _best(choices: Scores) -> set[str]:
    highest = max(score for _, score in choices)
    return {name.strip() for name, score in choices if score == highest}


def _class_of(choices: Scores) -> str | None:
    names = _best(choices)
    return names.pop() if len(names) == 1 else None


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    """A few of a long list: those that contain the name, then those spelt alike."""
    inside = sorted(value for value in known if name in value)
    alike = difflib.get_close_matches(name, known, n=SHOWN, cutoff=0.4)
    return list(dict.fromkeys([*inside, *alike]))[:SHOWN] or sorted(known)[:SHOWN]
