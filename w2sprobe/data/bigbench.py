"""Multiple-choice tasks of BIG-bench as binary tasks.

Source: Srivastava et al., "Beyond the Imitation Game", arXiv 2206.04615; files as in `assets`.
The answer of a row is the choice with the highest score. If all rows have the same choices, these
are classes: the text is the question, and two of the classes become 1 and 0. If choices differ
between rows, the text is the question with one choice, and 1 means that this choice is right.
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
MAX_LISTED = 8  # names listed in a message
MAX_CLASSES = 20  # more names are answers, not classes
NEARLY_ALL = 0.8  # share of rows; in some files a few rows have other classes
KEY_LENGTH = 16  # hex digits of the SHA-256 that names a group, as passages are long
# positive class and its opposite, in lower case, without full stop
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
        Classes that become 1 and 0. Curated tasks have defaults, and so have opposites such as yes
        and no.

    Raises
    ------
    InputError
        BIG-bench has not been fetched, or the task has classes and none are chosen.
    UnknownName
        Unknown task or class.

    Notes
    -----
    Rows about the same passage are a group. Dropped are rows of other classes, with several best
    choices or without text; for open choices, rows without a wrong choice. Which choice a row shows
    depends on its content only, not on the order of rows or choices.
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
        # Without a pattern the key is the whole text, and no text is kept twice.
        patterned = kept if entry and entry.group else ()
        keys = [_question_key(inputs[row], scores[row], entry) for row in patterned]
    return SourceRows(
        texts,
        labels,
        groups=keys if len(set(keys)) < len(keys) else None,  # None: no two rows share a key
        dropped=dropped,
        made_of={**identity(ASSET), "task": task, **mode},
    )


def _read_columns(task: str) -> tuple[list[str], list[Scores]]:
    if not is_fetched(ASSET):
        raise InputError(
            f"task 'bigbench:{task}' cannot be read: BIG-bench has not been fetched",
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


# Tasks with classes


def _is_by_classes(entry: CuratedTask | None, scores: Sequence[Scores]) -> bool:
    return entry.mode == "classes" if entry else bool(_shared_classes(scores))


def _shared_classes(scores: Sequence[Scores]) -> list[str]:
    """Class names that nearly all rows offer and answer with; empty if choices are open."""
    enough = NEARLY_ALL * len(scores)
    offered = Counter(name for row in scores for name in _names(row))
    shared = {name for name, count in offered.items() if count >= enough}
    answered = sum(_class_of(row) in shared for row in scores)
    return sorted(shared) if 2 <= len(shared) <= MAX_CLASSES and answered >= enough else []


def _chosen_classes(
    task: str,
    entry: CuratedTask | None,
    scores: Sequence[Scores],
    positive: str | None,
    negative: str | None,
) -> tuple[str, str]:
    """Positive and negative class: the user's, else the curated ones, else an obvious pair."""
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
    listing = ", ".join(f"{value} {count}" for value, count in counts.most_common(MAX_LISTED))
    advice = f"Rows per class: {listing}" + (", ..." if len(counts) > MAX_LISTED else ".")
    if name is None:
        raise InputError(
            f"no {side} class for task 'bigbench:{task}'",
            advice=f"Choose --positive and --negative. {advice}",
        )
    if name not in counts:
        shown = _nearest(name, list(counts)) if len(counts) > MAX_LISTED else counts
        raise UnknownName(f"{side} class", name, shown, advice=advice)
    return name


def _of_classes(
    inputs: Sequence[str], scores: Sequence[Scores], positive: str, negative: str
) -> tuple[list[int], list[str], list[int], dict[str, int]]:
    """Row numbers, texts and labels of the rows of two classes, and counts of the others."""
    dropped = {"other_class": 0, "no_single_class": 0, "empty_text": 0}
    kept, texts, labels = [], [], []
    for row, name in enumerate(map(_class_of, scores)):
        # strip: outer whitespace gives away the classes of metaphor_boolean
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


# Tasks with open choices


def _with_candidates(
    inputs: Sequence[str], scores: Sequence[Scores], entry: CuratedTask | None
) -> tuple[list[int], list[str], list[int], dict[str, int]]:
    """Row numbers, texts and labels of the rows that have right and wrong choices."""
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
    """Join question and candidate; the candidate is last, so that the last token sees both."""
    stem = question.strip()
    if not stem:  # the whole row is in its choices
        return candidate
    if lead is None:
        # nothing between after 'Q: ... A:' and after unfinished sentences, '... is '
        breaks_off = stem.endswith(":") or (question[-1].isspace() and stem[-1].isalnum())
        lead = " " if breaks_off else ANSWER
    return f"{stem}{lead}{candidate}"


# Both


def _question_key(question: str, choices: Scores, entry: CuratedTask | None) -> str:
    """Hash of what the task's pattern finds in the question, by default of the whole question."""
    text = " ".join(question.split()) or "\n".join(_names(choices))
    matches = " ".join(re.findall(entry.group, text)) if entry and entry.group else ""
    return hashlib.sha256((matches or text).encode()).hexdigest()[:KEY_LENGTH]


def _names(choices: Scores) -> list[str]:
    """Sorted choices of a row."""
    return sorted({name.strip() for name, _ in choices} - {""})


def _best(choices: Scores) -> set[str]:
    highest = max(score for _, score in choices)
    return {name.strip() for name, score in choices if score == highest}


def _class_of(choices: Scores) -> str | None:
    names = _best(choices)
    return names.pop() if len(names) == 1 else None


def _nearest(name: str, known: Sequence[str]) -> list[str]:
    """Up to `MAX_LISTED` known names: those that contain the name, then similar ones."""
    inside = sorted(value for value in known if name in value)
    alike = difflib.get_close_matches(name, known, n=MAX_LISTED, cutoff=0.4)
    return list(dict.fromkeys([*inside, *alike]))[:MAX_LISTED] or sorted(known)[:MAX_LISTED]
