"""Made-up rows with the true schema and file layout of the 25 tasks' sources, for mirrors.

Wording is our own. Every split of every repository comes with neighbours that must not be read:
other configs, other splits, labels that are hidden. No text of a row is part of another row's.
"""

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
TEXT, NUMBER, TEXTS = pa.string(), pa.int64(), pa.list_(pa.string())
CHOICES = pa.struct({"text": TEXTS, "label": TEXTS})
LETTERS = "ABCD"
NONE = "None of the above choices ."


@dataclass(frozen=True)
class Part:
    """One file of a repository."""

    schema: pa.Schema
    rows: list[Row]


def schema(texts: Iterable[str] = (), **columns: Any) -> pa.Schema:
    """A schema of text columns, then the others; classes are stored as plain int64."""
    return pa.schema({**dict.fromkeys(texts, TEXT), **columns})


NAMES, PLACES, THINGS, COLOURS, TRAITS = (
    line.split()
    for line in (
        "Ada Bo Cem Dora Edo Fay Gus Hal Ida Jon Kim Leo Mia Ned Ora Pat Quin Ray Sue Tom",
        "harbour bakery library station orchard museum stadium workshop chapel market",
        "lantern kettle saddle violin ladder compass blanket teapot mirror anchor",
        "red green blue yellow white black",
        "brave stingy patient reckless",
    )
)


class Words:
    """Words of row `n`; the stem of `tale` is no other row's."""

    def __init__(self, n: int) -> None:
        self.name, self.other = NAMES[n % 20], NAMES[(n * 7 + 3) % 20]
        self.place, self.thing = PLACES[n % 10], THINGS[(n * 3 + n // 10) % 10]
        self.colour = COLOURS[n % 6]
        self.tale = f"{self.name} left a {self.colour} {self.thing} at the {self.place} on day {n}"


def _rows(make: Callable[[int, Words], Row], start: int, count: int) -> list[Row]:
    return [make(n, Words(n)) for n in range(start, start + count)]


def _splits(
    template: str,
    columns: pa.Schema,
    make: Callable[[int, Words], Row],
    splits: Sequence[str],
    count: int = 24,
    hidden: Row | None = None,
) -> dict[str, Part]:
    """A file a split, of `count` rows each; the last split's labels are hidden, if asked for."""
    parts = {}
    for number, split in enumerate(splits):
        rows = _rows(make, 100 * number, count)
        if hidden is not None and split == splits[-1]:
            rows = [{**row, **hidden} for row in rows]
        parts[template.format(split)] = Part(columns, rows)
    return parts


USUAL = ("train", "validation", "test")
SHARDED = "{}-00000-of-00001.parquet"


def _anli() -> dict[str, Part]:
    columns = schema(("uid", "premise", "hypothesis"), label=NUMBER, reason=TEXT)

    def make(n: int, w: Words) -> Row:
        w = Words(n // 2 * 2)  # two hypotheses a premise
        hypothesis = (
            f"Something {w.colour} was left at the {w.place}.",
            f"{w.name} had paid a lot for the {w.thing}.",
            f"{w.name} never went near the {w.place}.",
        )[n % 3]
        return {
            "uid": f"uid-{n}",
            "premise": f"{w.tale}.",
            "hypothesis": hypothesis,
            "label": n % 3,
            "reason": f"because of reason {n}",
        }

    rounds = [f"{split}_r{number}" for number in (1, 2, 3) for split in ("train", "dev", "test")]
    return _splits(f"plain_text/{SHARDED}", columns, make, rounds)


def _glue() -> dict[str, Part]:
    columns = schema(("sentence",), label=NUMBER, idx=pa.int32())

    def cola(n: int, w: Words) -> Row:
        sentence = f"{w.tale}." if n % 3 else f"{w.name} a left {w.thing} the at, number {n}."
        return {"sentence": sentence, "label": int(n % 3 > 0), "idx": n}

    def sst2(n: int, w: Words) -> Row:
        return {"sentence": f"another config, {n} ", "label": n % 2, "idx": n}

    return {
        **_splits(f"cola/{SHARDED}", columns, cola, USUAL, hidden={"label": -1}),
        **_splits(f"sst2/{SHARDED}", columns, sst2, USUAL, hidden={"label": -1}),
    }


def _dream() -> dict[str, Part]:
    columns = pa.schema(
        {
            "id": NUMBER,
            "dialogue_id": TEXT,
            "dialogue": TEXTS,
            "question": TEXT,
            "choice": TEXTS,
            "answer": TEXT,
        }
    )

    def make(n: int, w: Words) -> Row:
        w, asked = Words(n // 2 * 2), n % 2  # two questions a dialogue
        choices = [["The station.", "The chapel."], ["Nothing.", "A piano."]][asked]
        right = [f"The {w.place} itself.", f"Her {w.thing}."][asked]
        choices.insert(n % 3, right)
        return {
            "id": n % 2,
            "dialogue_id": f"4-{n // 2}",
            "dialogue": [
                f"W: I think {w.tale}.",
                f"M: Really? Let's go to the {w.place} then, before it closes.",
            ],
            "question": [
                "Where will the two go?",
                "What are the two speakers looking for?",
            ][asked],
            "choice": choices,
            "answer": right,
        }

    return _splits("plain_text/{}/0000.parquet", columns, make, USUAL)


def _ethics() -> dict[str, Part]:
    def deontology(n: int, w: Words) -> Row:
        w = Words(n // 4 * 4)  # four excuses a scenario
        excuse = (
            f"No because {w.other} has picked it up already.",
            "But my socks do not match.",
            "No because the doctor told me to stay in bed.",
            "But I do not like the letter R.",
        )[n % 4]
        scenario = f"{w.tale}. Shouldn't you bring it back?"
        return {"label": 1 - n % 2, "scenario": scenario, "excuse": excuse}

    def justice(n: int, w: Words) -> Row:
        w = Words(n // 2 * 2)  # two reasons an opening
        reason = (f"{w.other} had asked for it politely.", f"{w.other} likes to eat plums.")[n % 2]
        return {
            "label": 1 - n % 2,
            "scenario": f"I lent {w.other} my {w.thing} number {n // 2} because {reason}",
        }

    def virtue(n: int, w: Words) -> Row:
        w = Words(n // 4 * 4)  # four traits a scenario
        fits = n // 4 % 4
        return {
            "label": int(n % 4 == fits),
            "scenario": f"{w.tale} and did not think of it again. [SEP] {TRAITS[n % 4]}",
        }

    def utilitarianism(n: int, w: Words) -> Row:
        opening = f"{Words(n // 2 * 2).tale}."
        return {
            "baseline": f"{opening} I found it, and got {n + 2} coins as a reward.",
            "less_pleasant": f"{opening} I stumbled over it and broke {n + 2} plates.",
        }

    def commonsense(n: int, w: Words) -> Row:
        return {"label": n % 2, "input": w.tale, "is_short": True, "edited": False}

    configs = {
        "deontology": (deontology, "{}"),
        "justice": (justice, "{}"),
        "virtue": (virtue, "{}"),
        "utilitarianism": (utilitarianism, "{}"),
        "commonsense": (commonsense, "cm_{}"),
    }
    parts = {}
    for config, (make, name) in configs.items():
        columns = pa.schema(dict.fromkeys(make(0, Words(0)), TEXT))
        template = f"data/{config}/{name}.csv"
        parts.update(_splits(template, columns, make, ("train", "test", "test_hard"), 32))
    return parts


def _mc_taco() -> dict[str, Part]:
    columns = schema(("sentence", "question", "answer"), label=NUMBER, category=NUMBER)

    def make(n: int, w: Words) -> Row:
        w, part = Words(n // 4 * 4), n % 4  # four answers a sentence
        return {
            "sentence": f"{w.tale}, and came back for it later.",
            "question": f"How long was {w.name} away?",
            "answer": ("two hours", "one century", "twenty minutes", "one second")[part],
            "label": 1 - part % 2,
            "category": n % 5,
        }

    return _splits("default/{}/0000.parquet", columns, make, ("validation", "test"), 32)


def _hellaswag() -> dict[str, Part]:
    columns = pa.schema(
        {
            "ind": pa.int32(),
            **dict.fromkeys(("activity_label", "ctx_a", "ctx_b", "ctx"), TEXT),
            "endings": TEXTS,
            **dict.fromkeys(("source_id", "split", "split_type", "label"), TEXT),
        }
    )

    def make(n: int, w: Words) -> Row:
        endings = [
            f"is swallowed by the {w.thing}.",
            f"melts into {w.colour} wax.",
            "sings to the ceiling for a year.",
        ]
        endings.insert(n % 4, f"walks back to the {w.place} to fetch it.")
        return {
            "ind": n,
            "activity_label": "Losing things",
            "ctx_a": f"{w.tale}.",
            "ctx_b": "she",
            "ctx": f"{w.tale}. she",
            "endings": endings,
            "source_id": f"wikihow~{n // 2}",
            "split": "train",
            "split_type": "indomain",
            "label": str(n % 4),
        }

    order = ("train", "validation", "test")
    return _splits(f"data/{SHARDED}", columns, make, order, hidden={"label": ""})


def _super_glue() -> dict[str, Part]:
    three = pa.struct({"paragraph": pa.int32(), "question": pa.int32(), "answer": pa.int32()})
    multirc_columns = schema(("paragraph", "question", "answer"), idx=three, label=NUMBER)
    positions = dict.fromkeys(("start1", "start2", "end1", "end2", "idx"), pa.int32())
    wic_columns = schema(("word", "sentence1", "sentence2"), **positions, label=NUMBER)

    def multirc(n: int, w: Words) -> Row:
        w, part = Words(n // 4 * 4), n % 4  # four answers a paragraph
        answers = (f"A {w.thing}", f"A {w.other} statue", f"Something {w.colour}", "Three geese")
        return {
            "paragraph": f"{w.tale}. It was a long way home. The {w.place} had closed by then.",
            "question": f"What did {w.name} leave behind?",
            "answer": answers[part],
            "idx": {"paragraph": n // 4, "question": 0, "answer": part},
            "label": 1 - part % 2,
        }

    def wic(n: int, w: Words) -> Row:
        word = ("bank", "light", "spring")[n // 8 % 3]
        first = {
            "bank": f"{w.name} sat on the bank of the river, day {n}.",
            "light": f"The light of the {w.thing} faded on day {n}.",
            "spring": f"In spring, {w.tale}.",
        }[word]
        second = {
            "bank": ("The bank refused to lend us money.", "Reeds grew along the bank."),
            "light": ("She carried a light bag.", "A light came on in the hall."),
            "spring": ("The spring of the clock broke.", "Next spring we shall plant trees."),
        }[word][n % 2]
        ones = {"start1": first.find(word), "start2": second.find(word)}
        ends = {f"end{key[-1]}": place + len(word) for key, place in ones.items()}
        return {
            "word": word,
            "sentence1": first,
            "sentence2": second,
            **ones,
            **ends,
            "idx": n,
            "label": n % 2,
        }

    template = f"{{}}/{SHARDED}"
    return {
        **_splits(
            template.format("multirc", "{}"),
            multirc_columns,
            multirc,
            USUAL,
            32,
            hidden={"label": -1},
        ),
        **_splits(template.format("wic", "{}"), wic_columns, wic, USUAL, hidden={"label": -1}),
    }


def _lettered(right: str, wrong: Sequence[str], position: int) -> Row:
    texts = list(wrong)
    texts.insert(position, right)
    return {
        "choices": {"text": texts, "label": list(LETTERS[: len(texts)])},
        "answerKey": LETTERS[position],
    }


def _openbookqa() -> dict[str, Part]:
    columns = schema(("id", "question_stem"), choices=CHOICES, answerKey=TEXT)
    more = schema(
        ("id", "question_stem"),
        choices=CHOICES,
        answerKey=TEXT,
        fact1=TEXT,
        humanScore=pa.float64(),
        clarity=pa.float64(),
        turkIdAnonymized=TEXT,
    )

    def make(n: int, w: Words) -> Row:
        wrong = [f"it turns into a {w.thing}", "it flies off", "it gets a new name"]
        return {
            "id": f"7-{n}",
            "question_stem": f"When {w.name} heats water in kettle {n} long enough,",
            **_lettered(f"it boils at the {w.place}", wrong, n % 4),
        }

    def additional(n: int, w: Words) -> Row:
        extra = {"fact1": "heat boils water", "humanScore": 1.0, "clarity": 2.0}
        stem = f"Another config, {n}:"
        return {**make(n, w), "question_stem": stem, **extra, "turkIdAnonymized": "b356d338b7"}

    return {
        **_splits(f"main/{SHARDED}", columns, make, USUAL),
        **_splits(f"additional/{SHARDED}", more, additional, USUAL),
    }


def _paws() -> dict[str, Part]:
    columns = schema((), id=pa.int32(), sentence1=TEXT, sentence2=TEXT, label=NUMBER)

    def make(n: int, w: Words) -> Row:
        again = (
            f"At the {w.place}, {w.other} was left by {w.name} with a {w.thing} on day {n} .",
            f"On day {n} , {w.name} left a {w.colour} {w.thing} at the {w.place} .",
        )[n % 2]
        return {"id": n, "sentence1": f"{w.tale} .", "sentence2": again, "label": n % 2}

    def other(n: int, w: Words) -> Row:
        return {**make(n, w), "sentence1": f"another config , {n} ."}

    return {
        **_splits(f"labeled_final/{SHARDED}", columns, make, USUAL),
        **_splits(f"labeled_swap/{SHARDED}", columns, other, ("train",)),
        **_splits(f"unlabeled_final/{SHARDED}", columns, other, ("train", "validation")),
    }


def _piqa() -> dict[str, Part]:
    columns = schema(("goal", "sol1", "sol2"), label=NUMBER)

    def make(n: int, w: Words) -> Row:
        good = f"Rub it with a soft cloth and some oil, then let the {w.thing} dry."
        bad = f"Hit it with a brick until the {w.thing} is flat."
        first, second = (bad, good) if n % 2 else (good, bad)
        goal = f"To clean the {w.colour} {w.thing} number {n}"
        return {"goal": goal, "sol1": first, "sol2": second, "label": n % 2}

    return _splits("piqa_{}.parquet", columns, make, USUAL, hidden={"label": -1})


def _quail() -> dict[str, Part]:
    columns = schema(
        ("id", "context_id", "question_id", "domain"),
        metadata=pa.struct({"author": TEXT, "title": TEXT, "url": TEXT}),
        context=TEXT,
        question=TEXT,
        question_type=TEXT,
        answers=TEXTS,
        correct_answer_id=pa.int32(),
    )

    def make(n: int, w: Words) -> Row:
        w = Words(n // 3 * 3)  # three questions a context
        answers = ["a cousin", "a stranger", "not enough information"]
        answers.insert(n % 4, f"{w.name}, of course")
        asked = ("lost something", "will come back", "was in a hurry")[n % 3]
        return {
            "id": f"f001_{n}",
            "context_id": f"f{n // 3}",
            "question_id": str(n % 3),
            "domain": "fiction",
            "metadata": {"author": "A. Writer", "title": "Lost", "url": "http://example.com"},
            "context": f"{w.tale}. A wind came up.\n\nWhen the lamps were lit it was still there.",
            "question": f"Who {asked}?",
            "question_type": "Character_identity",
            "answers": answers,
            "correct_answer_id": n % 4,
        }

    return _splits(f"quail/{SHARDED}", columns, make, ("train", "validation", "challenge"))


def _quartz() -> dict[str, Part]:
    prop = pa.struct(
        {"effect_prop": TEXT, "cause_dir_str": TEXT, "effect_dir_str": TEXT, "cause_prop": TEXT}
    )
    columns = schema(
        ("id", "question"),
        choices=CHOICES,
        answerKey=TEXT,
        para=TEXT,
        para_id=TEXT,
        para_anno=prop,
        question_anno=pa.struct({"more_effect_dir": TEXT, "less_cause_prop": TEXT}),
    )

    def make(n: int, w: Words) -> Row:
        w = Words(n // 2 * 2)  # two questions a paragraph
        asked = ("hotter", "colder")[n % 2]
        right, wrong = ("sooner", "later") if n % 2 == 0 else ("later", "sooner")
        return {
            "id": f"QRQA-{n}",
            "question": f"{w.other} makes the oven {asked}. The bread will then be ready",
            **_lettered(right, [wrong], n // 2 % 2),
            "para": f"Heat speeds baking, wrote {w.name} in cookbook {n // 2} of the {w.place}.",
            "para_id": f"QRSent-{n // 2}",
            "para_anno": {
                "effect_prop": "time",
                "cause_dir_str": "more",
                "effect_dir_str": "less",
                "cause_prop": "heat",
            },
            "question_anno": {"more_effect_dir": "", "less_cause_prop": "heat"},
        }

    return _splits(f"data/{SHARDED}", columns, make, USUAL)


def _siqa() -> dict[str, Part]:
    columns = schema(("context", "question", "answerA", "answerB", "answerC", "label"))

    def make(n: int, w: Words) -> Row:
        w = Words(n // 2 * 2)  # two questions a context
        answers = ["buy a submarine", "paint the moon"]
        answers.insert(n % 3, f"go back to the {w.place}")
        asked = (f"What will {w.name} want to do next?", f"What would {w.other} advise?")[n % 2]
        return {
            "context": f"{w.tale}.",
            "question": asked,
            **{f"answer{letter}": text for letter, text in zip("ABC", answers, strict=True)},
            "label": str(n % 3 + 1),
        }

    names = {"train": "da17dfc1120ed1ee", "validation": "90bb85eab85fcfa8"}
    made = _splits("{}", columns, make, list(names))
    return {
        f"data/{split}-00000-of-00001-{names[split]}.parquet": part for split, part in made.items()
    }


def _sst2() -> dict[str, Part]:
    columns = schema((), idx=pa.int32(), sentence=TEXT, label=NUMBER)

    def make(n: int, w: Words) -> Row:
        praise = ("a dull and tired film about", "a warm and witty film about")[n % 2]
        return {"idx": n, "sentence": f"{praise} how {w.tale} ", "label": n % 2}

    return _splits(f"data/{SHARDED}", columns, make, USUAL, hidden={"label": -1})


def _twitter() -> dict[str, Part]:
    columns = schema(("text",), label=NUMBER)

    def make(n: int, w: Words) -> Row:
        mood = ("ugh, so sad:", "yay!!")[n % 2]
        return {"text": f"@{w.other.lower()} {mood} {w.tale}", "label": n % 2}

    return _splits(f"data/{SHARDED}", columns, make, ("train", "test"))


def _sciq() -> dict[str, Part]:
    texts = ("question", "distractor3", "distractor1", "distractor2", "correct_answer", "support")

    def make(n: int, w: Words) -> Row:
        w, twice = Words(n), Words(n // 2 * 2)  # two questions a passage; some have none
        support = f"Observed in notebook {n // 2}: {twice.tale}, and copper conducts heat."
        return {
            "question": f"Which stuff that {w.name} owns conducts best, case {n}?",
            "distractor3": "dry wood",
            "distractor1": f"{w.colour} rubber",
            "distractor2": f"a {w.thing} of glass",
            "correct_answer": "copper wire",
            "support": support if n % 5 else "",
        }

    return _splits(f"data/{SHARDED}", schema(texts), make, USUAL)


def _hh() -> dict[str, Part]:
    columns = schema(("chosen", "rejected"))

    def turns(w: Words, n: int, follow: int) -> str:
        opening = f"\n\nHuman: {w.tale}. Where can it be now?"
        if not follow:
            return opening
        return (
            f"{opening}\n\nAssistant: Have you asked at the {w.place}?\n\nHuman: I have, {n} times."
        )

    def make(n: int, w: Words) -> Row:
        dialogue = turns(Words(n // 2 * 2), n // 2, n % 2)
        return {
            "chosen": f"{dialogue}\n\nAssistant: I'd try the lost property office, counter {n}.",
            "rejected": f"{dialogue}\n\nAssistant: No idea, things vanish, shrug number {n}.",
        }

    configs = ("harmless-base", "helpful-base", "helpful-online", "helpful-rejection-sampled")
    parts: dict[str, Part] = {}
    for number, config in enumerate(configs):
        for split, start in (("train", 0), ("test", 1000)):
            rows = _rows(make, start + 10 * number, 8)
            parts[f"{config}/{split}.jsonl.gz"] = Part(columns, rows)
    attempts = schema(("transcript", "task_description"), rating=pa.float64(), tags=TEXTS)
    attempt: Row = {"transcript": "\n\nHuman: no", "task_description": "x", "rating": 1.0}
    parts["red-team-attempts/red_team_attempts.jsonl.gz"] = Part(attempts, [attempt])
    return parts


def _cosmos() -> dict[str, Part]:
    texts = ("id", "context", "question", "answer0", "answer1", "answer2", "answer3")
    columns = schema(texts, label=pa.int32())

    def make(n: int, w: Words) -> Row:
        w = Words(n // 2 * 2)  # two questions a context
        answers = [f"She had seen the {w.thing} there .", "She owns a submarine ."]
        last = "It was her birthday ." if n % 4 else NONE
        right = f"She wanted her {w.thing} back ." if n % 6 else NONE
        if right == last:
            last = "The wind was blue ."
        answers.append(last)
        answers.insert(n % 4, right)
        context = f"{w.tale} . She went there again in the evening ."
        asked = ("Why may she have gone back ?", "What may have been on her mind ?")[n % 2]
        row = {"id": f"3Q9#{n}", "context": context, "question": asked, "label": n % 4}
        return {**row, **{f"answer{at}": text for at, text in enumerate(answers)}}

    return _splits("default/{}/0000.parquet", columns, make, USUAL, 36, hidden={"label": -1})


def _boolq() -> dict[str, Part]:
    columns = schema(("question",), answer=pa.bool_(), passage=TEXT)

    def make(n: int, w: Words) -> Row:
        w = Words(n // 2 * 2)  # two questions a passage
        where = w.place if n % 2 else "moon"
        return {
            "question": f"was the {w.thing} left at the {where}",
            "answer": bool(n % 2),
            "passage": f"{w.tale}. It has been on show in the town hall ever since.",
        }

    return _splits(f"data/{SHARDED}", columns, make, ("train", "validation"))


def _amazon() -> dict[str, Part]:
    columns = schema((), label=NUMBER, title=TEXT, content=TEXT)

    def make(n: int, w: Words) -> Row:
        title, verdict = (("Broke at once", "Waste of money."), ("Great", "Buy it!"))[n % 2]
        return {"label": n % 2, "title": title, "content": f"{w.tale}. {verdict}"}

    parts = {
        f"amazon_polarity/train-{shard:05d}-of-00004.parquet": Part(
            columns, _rows(make, 100 * shard, 8)
        )
        for shard in range(4)
    }
    return {**parts, **_splits(f"amazon_polarity/{SHARDED}", columns, _later(make), ("test",))}


def _later(make: Callable[[int, Words], Row]) -> Callable[[int, Words], Row]:
    return lambda n, w: make(n + 500, Words(n + 500))


BUILDERS: dict[str, Callable[[], dict[str, Part]]] = {
    "facebook/anli": _anli,
    "nyu-mll/glue": _glue,
    "dataset-org/dream": _dream,
    "hendrycks/ethics": _ethics,
    "CogComp/mc_taco": _mc_taco,
    "Rowan/hellaswag": _hellaswag,
    "aps/super_glue": _super_glue,
    "allenai/openbookqa": _openbookqa,
    "google-research-datasets/paws": _paws,
    "baber/piqa": _piqa,
    "textmachinelab/quail": _quail,
    "allenai/quartz": _quartz,
    "lighteval/siqa": _siqa,
    "stanfordnlp/sst2": _sst2,
    "EleutherAI/twitter-sentiment": _twitter,
    "allenai/sciq": _sciq,
    "Anthropic/hh-rlhf": _hh,
    "allenai/cosmos_qa": _cosmos,
    "google/boolq": _boolq,
    "fancyzhx/amazon_polarity": _amazon,
}
REPOS = {repo: build() for repo, build in BUILDERS.items()}


def write_mirror(folder: Path, *repos: str, suffix: str = "") -> Path:
    """Write these repositories (none: all) in the hub's layout.

    `suffix` (".csv", ".csv.gz", ".jsonl", ...) replaces that of the data files.
    """
    for repo in repos or REPOS:
        place = folder / repo
        for name, part in REPOS[repo].items():
            path = place / name
            if suffix:
                path = path.with_name(path.name.partition(".")[0] + suffix)
            write_part(path, part.rows, part.schema)
        (place / "README.md").write_text("---\nlicense: unknown\n---\n", encoding="utf-8")
        (place / ".gitattributes").write_text("*.parquet filter=lfs\n", encoding="utf-8")
    return folder


def write_part(path: Path, rows: list[Row], columns: pa.Schema) -> None:
    """Write one data file as its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows, schema=columns), path)
        return
    with (
        gzip.open(path, "wt", encoding="utf-8", newline="")
        if path.suffix == ".gz"
        else path.open("w", encoding="utf-8", newline="") as file
    ):
        if kind == "csv":
            writer = csv.DictWriter(file, columns.names)
            writer.writeheader()
            writer.writerows(rows)
        elif kind == "jsonl":
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            json.dump(rows, file, ensure_ascii=False, indent=1)
