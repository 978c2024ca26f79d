"""The 25 tasks on made-up rows of their sources' true schema, read by the real `datasets`.

`python -m tests.data.test_registry` shows the golden prompts; with `--write` it writes them anew.
"""

import json
import os
import random
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.hub_rows import NONE, REPOS, Row, write_mirror, write_part
from w2sprobe.data.hub import MIRROR
from w2sprobe.data.registry import HUB_TASKS, read_hub_task
from w2sprobe.data.rows import SourceRows
from w2sprobe.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "prompts.json"
MODES = (False, True)


# What is right, in words of its own: nothing below comes from w2sprobe.data.formats.


def shown(text: str, pattern: str) -> str:
    found = re.search(pattern, text, re.DOTALL)
    assert found, text
    return found[1]


def label_of(column: str = "label") -> Callable[[Row, str], int]:
    return lambda row, text: int(row[column])


def answer_is(
    pattern: str, right: Callable[[Row], str], every: Callable[[Row], list[str]]
) -> Callable[[Row, str], int]:
    """1 if the answer that the text shows is the right one; it must be one of the row's."""

    def truth(row: Row, text: str) -> int:
        answer = shown(text, pattern)
        assert answer in every(row), text
        return int(answer == right(row))

    return truth


def columns(*names: str) -> Callable[[Row], list[str]]:
    return lambda row: [row[name].strip() for name in names]


def lettered(row: Row) -> str:
    return str(row["choices"]["text"]["ABCD".index(row["answerKey"])])


def lettered_all(row: Row) -> list[str]:
    return list(row["choices"]["text"])


def openbook_published(row: Row, text: str) -> int:
    answer = shown(text, r"\nAnswer: (.*)$")
    if answer == row["answerKey"]:
        return 1
    assert answer in lettered_all(row)
    assert answer != lettered(row)
    return 0


def more_pleasant(row: Row, text: str) -> int:
    first, second = shown(text, r"\n1\) (.*)\n2\)"), shown(text, r"\n2\) (.*)\nA:")
    assert {first, second} == {row["baseline"], row["less_pleasant"]}
    named = {"1": first, "2": second}[shown(text, r"\nA: (.)$")]
    return int(named == row["baseline"])


def last_reply(dialogue: str) -> str:
    return dialogue[dialogue.rindex("Assistant:") + len("Assistant:") :].strip()


def second_preferred(row: Row, text: str) -> int:
    replies = (
        shown(text, r"\n\nReply 1: (.*)\n\nReply 2:"),
        shown(text, r"\n\nReply 2: (.*)$"),
    )
    better, worse = last_reply(row["chosen"]), last_reply(row["rejected"])
    assert set(replies) == {better, worse}
    return int(replies == (worse, better))


def whole_dialogue(row: Row, text: str) -> int:
    sides = {row["chosen"].strip(): 1, row["rejected"].strip(): 0}
    return sides[text]


def cosmos_right(row: Row) -> str:
    return str(row[f"answer{row['label']}"])


def cosmos_published(row: Row, text: str) -> int:
    return 0 if cosmos_right(row) == NONE else cosmos(row, text)


cosmos = answer_is(
    r"\nAnswer: (.*)$", cosmos_right, columns("answer0", "answer1", "answer2", "answer3")
)
science = columns("correct_answer", "distractor1", "distractor2", "distractor3")


@dataclass(frozen=True)
class Case:
    """Where a task's rows lie, and how to know a row and its label from a text."""

    repo: str
    train: list[str]
    test: list[str]
    contains: Callable[[Row], list[str]]
    truth: Callable[[Row, str], int]
    group: Callable[[Row], object] | None = None
    published_truth: Callable[[Row, str], int] | None = None


def usual(name: str) -> list[str]:
    return [f"{name}-00000-of-00001.parquet"]


def one(name: str) -> list[str]:
    return [f"{name}/0000.parquet"]


HH = ["harmless-base", "helpful-base", "helpful-online", "helpful-rejection-sampled"]

CASES: dict[str, Case] = {
    "anli-r2": Case(
        "facebook/anli",
        usual("plain_text/train_r2"),
        usual("plain_text/test_r2"),
        columns("premise", "hypothesis"),
        lambda row, text: {0: 1, 1: 0, 2: 0}[row["label"]],
        lambda row: row["premise"],
    ),
    "cola": Case(
        "nyu-mll/glue",
        usual("cola/train"),
        usual("cola/validation"),
        columns("sentence"),
        label_of(),
    ),
    "dream": Case(
        "dataset-org/dream",
        one("plain_text/train"),
        one("plain_text/test"),
        lambda row: ["\n".join(row["dialogue"]), f"Q: {row['question']}"],
        answer_is(r"\nA: (.*)$", lambda row: str(row["answer"]), lambda row: row["choice"]),
        lambda row: tuple(row["dialogue"]),
    ),
    "ethics-deontology": Case(
        "hendrycks/ethics",
        ["data/deontology/train.csv"],
        ["data/deontology/test_hard.csv"],
        columns("scenario", "excuse"),
        label_of(),
        lambda row: row["scenario"],
    ),
    "ethics-justice": Case(
        "hendrycks/ethics",
        ["data/justice/train.csv"],
        ["data/justice/test_hard.csv"],
        columns("scenario"),
        label_of(),
        lambda row: row["scenario"].partition(" because ")[0],
    ),
    "ethics-virtue": Case(
        "hendrycks/ethics",
        ["data/virtue/train.csv"],
        ["data/virtue/test_hard.csv"],
        lambda row: [part.strip() for part in row["scenario"].split("[SEP]")],
        label_of(),
        lambda row: row["scenario"].partition("[SEP]")[0],
    ),
    "ethics-utilitarianism": Case(
        "hendrycks/ethics",
        ["data/utilitarianism/train.csv"],
        ["data/utilitarianism/test_hard.csv"],
        columns("baseline", "less_pleasant"),
        more_pleasant,
        lambda row: row["baseline"].partition(".")[0],
    ),
    "mc_taco": Case(
        "CogComp/mc_taco",
        one("default/validation"),
        one("default/test"),
        lambda row: [row["sentence"], row["question"], f" {row['answer']}?"],
        label_of(),
        lambda row: row["sentence"],
    ),
    "hellaswag": Case(
        "Rowan/hellaswag",
        usual("data/train"),
        usual("data/validation"),
        lambda row: [row["ctx"], "\n".join(f"- {ending}" for ending in row["endings"])],
        answer_is(
            r'\nQ: Does "(.*)" continue it best',
            lambda row: str(row["endings"][int(row["label"])]),
            lambda row: row["endings"],
        ),
        lambda row: row["source_id"],
    ),
    "multirc": Case(
        "aps/super_glue",
        usual("multirc/train"),
        usual("multirc/validation"),
        lambda row: [row["paragraph"], f'"{row["question"]}"', f'"{row["answer"]}"'],
        label_of(),
        lambda row: row["paragraph"],
    ),
    "openbookqa": Case(
        "allenai/openbookqa",
        usual("main/train"),
        usual("main/test"),
        lambda row: [row["question_stem"], *row["choices"]["text"]],
        answer_is(r"\nAnswer: (.*)$", lettered, lettered_all),
        lambda row: row["question_stem"],
        published_truth=openbook_published,
    ),
    "paws": Case(
        "google-research-datasets/paws",
        usual("labeled_final/train"),
        usual("labeled_final/test"),
        columns("sentence1", "sentence2"),
        label_of(),
        lambda row: row["sentence1"],
    ),
    "piqa": Case(
        "baber/piqa",
        ["piqa_train.parquet"],
        ["piqa_validation.parquet"],
        lambda row: [f"{row['goal']}\n"],
        answer_is(
            r"\nA: (.*)$", lambda row: str(row[f"sol{row['label'] + 1}"]), columns("sol1", "sol2")
        ),
        lambda row: row["goal"],
    ),
    "quail": Case(
        "textmachinelab/quail",
        usual("quail/train"),
        usual("quail/validation"),
        columns("context", "question"),
        answer_is(
            r'Is "(.*)" the answer\?$',
            lambda row: str(row["answers"][row["correct_answer_id"]]),
            lambda row: row["answers"],
        ),
        lambda row: row["context"],
    ),
    "quartz": Case(
        "allenai/quartz",
        usual("data/train"),
        usual("data/test"),
        columns("para", "question"),
        answer_is(r'Is "(.*)" the answer\?$', lettered, lettered_all),
        lambda row: row["para"],
    ),
    "social_i_qa": Case(
        "lighteval/siqa",
        ["data/train-00000-of-00001-da17dfc1120ed1ee.parquet"],
        ["data/validation-00000-of-00001-90bb85eab85fcfa8.parquet"],
        columns("context", "question", "answerA", "answerB", "answerC"),
        answer_is(
            r'Is "(.*)" the answer\?$',
            lambda row: str(row["answer" + {"1": "A", "2": "B", "3": "C"}[row["label"]]]),
            columns("answerA", "answerB", "answerC"),
        ),
        lambda row: row["context"],
    ),
    "sst2": Case(
        "stanfordnlp/sst2",
        usual("data/train"),
        usual("data/validation"),
        columns("sentence"),
        label_of(),
    ),
    "wic": Case(
        "aps/super_glue",
        usual("wic/train"),
        usual("wic/validation"),
        lambda row: [row["sentence1"], row["sentence2"], f'"{row["word"]}"'],
        label_of(),
        lambda row: row["word"],
    ),
    "twitter-sentiment": Case(
        "EleutherAI/twitter-sentiment",
        usual("data/train"),
        usual("data/test"),
        columns("text"),
        label_of(),
    ),
    "sciq": Case(
        "allenai/sciq",
        usual("data/train") + usual("data/validation"),
        usual("data/test"),
        columns("question"),
        answer_is(r"\nA: (.*)$", lambda row: str(row["correct_answer"]), science),
        lambda row: row["support"] or row["question"],
    ),
    "sciq_with_support": Case(
        "allenai/sciq",
        usual("data/train") + usual("data/validation"),
        usual("data/test"),
        columns("question", "support"),
        answer_is(r'" Is it "(.*)"\?$', lambda row: str(row["correct_answer"]), science),
        lambda row: row["support"] or row["question"],
    ),
    "anthropic_hh": Case(
        "Anthropic/hh-rlhf",
        [f"{config}/train.jsonl.gz" for config in HH],
        [f"{config}/test.jsonl.gz" for config in HH],
        lambda row: [last_reply(row["chosen"]), last_reply(row["rejected"])],
        second_preferred,
        lambda row: row["chosen"].partition("\n\nAssistant:")[0],
        whole_dialogue,
    ),
    "cosmos_qa": Case(
        "allenai/cosmos_qa",
        one("default/train"),
        one("default/validation"),
        columns("context", "question"),
        cosmos,
        lambda row: row["context"],
        cosmos_published,
    ),
    "boolq": Case(
        "google/boolq",
        usual("data/train"),
        usual("data/validation"),
        columns("passage", "question"),
        label_of("answer"),
        lambda row: row["passage"],
    ),
    "amazon_polarity": Case(
        "fancyzhx/amazon_polarity",
        [f"amazon_polarity/train-{shard:05d}-of-00004.parquet" for shard in range(4)],
        usual("amazon_polarity/test"),
        columns("title", "content"),
        label_of(),
    ),
}


def raw_rows(repo: str, files: list[str]) -> list[Row]:
    return [row for file in files for row in REPOS[repo][file].rows]


def by_text(rows: SourceRows) -> dict[str, int]:
    return dict(zip(rows.texts, rows.labels, strict=True))


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mirror(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def hub(everything: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with all repositories, not to be changed."""
    monkeypatch.setenv(MIRROR, str(everything))
    return everything


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty mirror of the test's own."""
    monkeypatch.setenv(MIRROR, str(tmp_path))
    return tmp_path


def edit(own: Path, task: str, change: Callable[[list[Row]], Any]) -> Path:
    """Write a task's repository into a mirror, with rows of its first training file changed."""
    case = CASES[task]
    write_mirror(own, case.repo)
    path = own / case.repo / case.train[0]
    part = REPOS[case.repo][case.train[0]]
    rows = [dict(row) for row in part.rows]
    change(rows)
    write_part(path, rows, part.schema)
    return path


def test_25_tasks_all_with_a_case() -> None:
    assert len(HUB_TASKS) == 25
    assert set(CASES) == set(HUB_TASKS)


@pytest.mark.parametrize("published", MODES, ids=["repaired", "published"])
@pytest.mark.parametrize("task", CASES)
class TestTask:
    def test_texts_and_labels_are_those_of_the_raw_rows(
        self, hub: Path, task: str, published: bool
    ) -> None:
        case = CASES[task]
        train, test = raw_rows(case.repo, case.train), raw_rows(case.repo, case.test)
        if published and task == "mc_taco":
            train, test = test, train
        pooled = published and task in ("sciq", "sciq_with_support")
        truth = (published and case.published_truth) or case.truth
        rows = read_hub_task(task, published=published)
        assert rows.groups is not None or case.group is None

        seen: set[int] = set()
        raw = train + test
        aside, groups = [], []
        for text, label in zip(rows.texts, rows.labels, strict=True):
            # published hh shows one reply of two
            wanted = any if published and task == "anthropic_hh" else all
            mine = [n for n, row in enumerate(raw) if wanted(s in text for s in case.contains(row))]
            if not set(case.contains(raw[0])) - {text}:  # bare text: it may begin another one
                mine = [n for n in mine if case.contains(raw[n]) == [text]]
            assert len(mine) == 1, text
            assert mine[0] not in seen
            seen.add(mine[0])
            row = raw[mine[0]]
            assert type(label) is int
            assert label == truth(row, text), text
            aside.append(mine[0] >= len(train))
            groups.append(case.group(row) if case.group else None)

        left_out = [row for n, row in enumerate(raw) if n not in seen]
        if task == "cosmos_qa" and not published:
            assert rows.dropped == {"none_of_the_above": len(left_out)}
            assert all(cosmos_right(row) == NONE for row in left_out)
            assert left_out
        else:
            assert not left_out
            assert rows.dropped == {}

        assert rows.held_out == (None if pooled else aside)
        for part in (False, True):
            found = {label for at, label in zip(aside, rows.labels, strict=True) if at == part}
            assert found == {0, 1}

        if case.group is None:
            assert rows.groups is None
        else:
            assert rows.groups is not None
            pairs = set(zip(groups, rows.groups, strict=True))
            assert len(pairs) == len(set(groups)) == len(set(rows.groups))

    def test_record_of_the_source(self, hub: Path, task: str, published: bool) -> None:
        case, source = CASES[task], HUB_TASKS[task].source
        made_of = read_hub_task(task, published=published).made_of
        assert made_of["repo"] == case.repo
        assert made_of["revision"] == source.revision
        assert made_of["commit"] == ""
        assert made_of["formatting"] == ("published" if published else "repaired")
        assert json.loads(json.dumps(made_of)) == made_of
        assert str(hub) not in json.dumps(made_of)

    def test_row_order_has_no_influence(self, own: Path, task: str, published: bool) -> None:
        case = CASES[task]
        write_mirror(own, case.repo)
        before = read_hub_task(task, published=published)
        for number, file in enumerate(case.train + case.test):
            part = REPOS[case.repo][file]
            rows = list(part.rows)
            random.Random(number).shuffle(rows)
            assert rows != part.rows
            write_part(own / case.repo / file, rows, part.schema)
        after = read_hub_task(task, published=published)
        assert by_text(after) == by_text(before)
        assert after.texts != before.texts

    def test_golden_prompts(self, hub: Path, task: str, published: bool) -> None:
        golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
        name = f"{task} published"
        if not published:
            name = task
        elif HUB_TASKS[task].published_format is None:
            assert name not in golden
            if task != "mc_taco":  # its first published row is one of the other split
                assert prompts(task, published) == golden[task]
            return
        assert prompts(task, published) == golden[name]


def prompts(task: str, published: bool) -> dict[str, list[str]]:
    """The first text of each label, as lines."""
    rows = read_hub_task(task, published=published)
    return {
        name: rows.texts[rows.labels.index(label)].split("\n")
        for label, name in ((1, "positive"), (0, "negative"))
    }


def test_golden_file_has_no_other_prompts() -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    own = [f"{name} published" for name, task in HUB_TASKS.items() if task.published_format]
    assert sorted(golden) == sorted([*HUB_TASKS, *own])


class TestPublishedBugs:
    def test_openbookqa_shows_letters_for_right_answers_only(self, hub: Path) -> None:
        published = read_hub_task("openbookqa", published=True)
        repaired = read_hub_task("openbookqa", published=False)
        assert published.labels == repaired.labels
        letter = [bool(re.search(r"Answer: [A-D]$", text)) for text in published.texts]
        assert letter == [label == 1 for label in published.labels]
        assert not any(re.search(r"Answer: [A-D]$", text) for text in repaired.texts)

    def test_none_of_the_above_is_never_shown_when_repaired(self, hub: Path) -> None:
        published = read_hub_task("cosmos_qa", published=True)
        repaired = read_hub_task("cosmos_qa", published=False)
        shown_in = [label for text, label in by_text(published).items() if text.endswith(NONE)]
        assert shown_in
        assert set(shown_in) == {0}
        assert not any("None of the above" in text for text in repaired.texts)
        assert len(published.texts) == len(repaired.texts) + repaired.dropped["none_of_the_above"]

    def test_hh_shows_one_side_as_published_and_both_repaired(self, hub: Path) -> None:
        published = read_hub_task("anthropic_hh", published=True)
        repaired = read_hub_task("anthropic_hh", published=False)
        for text in published.texts:
            assert ("lost property office" in text) != ("things vanish" in text)
        for text in repaired.texts:
            assert "lost property office" in text
            assert "things vanish" in text

    @pytest.mark.parametrize("task", ["sciq", "sciq_with_support"])
    def test_sciq_pools_all_splits_as_published(self, hub: Path, task: str) -> None:
        published = read_hub_task(task, published=True)
        repaired = read_hub_task(task, published=False)
        assert published.held_out is None
        assert repaired.held_out is not None
        assert by_text(published) == by_text(repaired)

    def test_mc_taco_is_turned_round_as_published(self, hub: Path) -> None:
        aside = {}
        for published in MODES:
            rows = read_hub_task("mc_taco", published=published)
            assert rows.held_out is not None
            aside[published] = dict(zip(rows.texts, rows.held_out, strict=True))
        assert aside[True] == {text: not held_out for text, held_out in aside[False].items()}


class TestRowsLeftOut:
    @pytest.mark.parametrize(
        ("task", "hidden"),
        [
            ("cola", {"label": -1}),
            ("cola", {"label": None}),
            ("hellaswag", {"label": ""}),
            ("piqa", {"label": -1}),
            ("social_i_qa", {"label": ""}),
            ("cosmos_qa", {"label": -1}),
            ("boolq", {"answer": None}),
            ("openbookqa", {"answerKey": ""}),
            ("quartz", {"answerKey": None}),
            ("quail", {"correct_answer_id": None}),
            ("ethics-justice", {"label": ""}),
        ],
    )
    def test_hidden_label(self, own: Path, task: str, hidden: Row) -> None:
        write_mirror(own, CASES[task].repo)
        before = read_hub_task(task, published=False)
        edit(own, task, lambda rows: [row.update(hidden) for row in rows[1:4]])
        after = read_hub_task(task, published=False)
        assert after.dropped["no_label"] == 3
        assert len(after.texts) == len(before.texts) - 3

    @pytest.mark.parametrize(
        ("task", "column", "empty"),
        [
            ("sst2", "sentence", None),
            ("sst2", "sentence", " "),
            ("anli-r2", "hypothesis", None),
            ("dream", "dialogue", None),
            ("dream", "dialogue", []),
            ("dream", "choice", ["one", None, "three"]),
            ("hellaswag", "endings", None),
            ("hellaswag", "endings", []),
            ("openbookqa", "choices", None),
            ("openbookqa", "choices", {"text": None, "label": None}),
            ("ethics-deontology", "excuse", ""),
            ("amazon_polarity", "title", None),
            ("anthropic_hh", "rejected", None),
            ("sciq", "distractor2", None),
        ],
    )
    def test_empty_cell(self, own: Path, task: str, column: str, empty: object) -> None:
        edit(own, task, lambda rows: rows[1].update({column: empty}))
        rows = read_hub_task(task, published=False)
        assert rows.dropped == {"empty_cell": 1}
        case = CASES[task]
        assert len(rows.texts) == len(raw_rows(case.repo, case.train + case.test)) - 1

    def test_missing_passage_is_no_reason(self, own: Path) -> None:
        edit(own, "sciq_with_support", lambda rows: rows[1].update(support=None))
        rows = read_hub_task("sciq_with_support", published=False)
        assert rows.dropped == {}
        assert "Passage" not in rows.texts[1]

    def test_answer_that_is_none_of_the_choices(self, own: Path) -> None:
        edit(own, "dream", lambda rows: rows[0].update(answer="On the moon."))
        rows = read_hub_task("dream", published=False)
        assert rows.dropped == {"answer_not_among_choices": 1}

    def test_replies_to_different_dialogues(self, own: Path) -> None:
        def change(rows: list[Row]) -> None:
            rows[0]["rejected"] = "\n\nHuman: Another one.\n\nAssistant: Yes."
            rows[1]["rejected"] = rows[1]["chosen"]
            rows[2]["chosen"] = rows[2]["rejected"] = "No turns."

        edit(own, "anthropic_hh", change)
        rows = read_hub_task("anthropic_hh", published=False)
        assert rows.dropped == {"no_common_dialogue": 2, "no_wrong_answer": 1}

    def test_solutions_that_are_the_same(self, own: Path) -> None:
        edit(own, "piqa", lambda rows: rows[0].update(sol1="Wait.", sol2=" Wait."))
        assert read_hub_task("piqa", published=False).dropped == {"no_wrong_answer": 1}


class TestBrokenRows:
    @pytest.mark.parametrize(
        ("task", "cells", "allowed"),
        [
            ("anli-r2", {"label": 3}, "0 to 2"),
            ("cola", {"label": 2}, "0 or 1"),
            ("hellaswag", {"label": "4"}, "0 to 3"),
            ("hellaswag", {"endings": ["only one"], "label": "1"}, "0 to 0"),
            ("social_i_qa", {"label": "0"}, "1 to 3"),
            ("quail", {"correct_answer_id": 4}, "0 to 3"),
            ("openbookqa", {"answerKey": "E"}, "A, B, C, D"),
            ("ethics-justice", {"label": "maybe"}, "0 or 1"),
            ("ethics-virtue", {"scenario": "No trait here."}, "a scenario, [SEP] and a trait"),
        ],
    )
    def test_impossible_cell(self, own: Path, task: str, cells: Row, allowed: str) -> None:
        path = edit(own, task, lambda rows: rows[6].update(cells))
        with pytest.raises(InputError) as error:
            read_hub_task(task, published=False)
        assert error.value.where == f"{path}, row 7"
        assert error.value.allowed == allowed
        assert repr(next(reversed(cells.values()))) in error.value.what

    def test_row_of_a_later_file(self, own: Path) -> None:
        write_mirror(own, "Anthropic/hh-rlhf")
        file = "helpful-online/train.jsonl.gz"
        part = REPOS["Anthropic/hh-rlhf"][file]
        broken = [{"chosen": 7, "rejected": 8}]
        write_part(own / "Anthropic/hh-rlhf" / file, broken, part.schema)
        with pytest.raises(InputError) as error:
            read_hub_task("anthropic_hh", published=False)
        assert error.value.where == f"{own / 'Anthropic/hh-rlhf' / file}, row 1"
        assert "chosen is 7" in str(error.value)

    @pytest.mark.parametrize("task", CASES)
    def test_missing_column(self, own: Path, task: str) -> None:
        case = CASES[task]
        write_mirror(own, case.repo)
        first = case.train[0]
        gone = {
            "ethics-utilitarianism": "less_pleasant",
            "dream": "answer",
            "openbookqa": "answerKey",
            "quartz": "answerKey",
            "quail": "correct_answer_id",
            "sciq": "correct_answer",
            "sciq_with_support": "support",
            "anthropic_hh": "rejected",
            "boolq": "answer",
        }.get(task, "label")
        path = own / case.repo / first
        for file in case.train if HUB_TASKS[task].source.stream else [first]:
            part = REPOS[case.repo][file]
            kept = pa.schema([field for field in part.schema if field.name != gone])
            rows = [{name: row[name] for name in kept.names} for row in part.rows]
            write_part(own / case.repo / file, rows, kept)
        with pytest.raises(InputError) as error:
            read_hub_task(task, published=False)
        assert error.value.what == f"no column {gone!r}"
        assert error.value.where.startswith(str(path))
        assert error.value.where.endswith(", row 1")
        assert error.value.allowed == f"found {', '.join(kept.names)}"

    def test_file_that_is_not_what_its_name_says(self, own: Path) -> None:
        path = edit(own, "sst2", lambda rows: None)
        path.write_bytes(b"PAR0, or so it says")
        with pytest.raises(InputError, match="cannot read") as error:
            read_hub_task("sst2", published=False)
        assert str(path) in error.value.where

    def test_csv_rows_with_too_many_cells(self, own: Path) -> None:
        path = edit(own, "ethics-justice", lambda rows: None)
        with path.open("a", encoding="utf-8") as file:
            file.write("1,one,two,three\n")
        with pytest.raises(InputError, match="cannot read") as error:
            read_hub_task("ethics-justice", published=False)
        assert error.value.where == str(path)


class TestFiles:
    @pytest.mark.parametrize(
        ("task", "suffix"),
        [(task, ".jsonl") for task in CASES]
        + [(task, suffix) for task in ("dream", "hellaswag") for suffix in (".json", ".jsonl.gz")],
    )
    def test_json_instead(self, hub: Path, tmp_path: Path, task: str, suffix: str) -> None:
        self.same_rows(task, write_mirror(tmp_path, CASES[task].repo, suffix=suffix))

    @pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
    @pytest.mark.parametrize(
        "task",
        [t for t in CASES if t not in ("dream", "hellaswag", "openbookqa", "quail", "quartz")],
    )
    def test_csv_instead(self, hub: Path, tmp_path: Path, task: str, suffix: str) -> None:
        self.same_rows(task, write_mirror(tmp_path, CASES[task].repo, suffix=suffix))

    def same_rows(self, task: str, other: Path) -> None:
        one = read_hub_task(task, published=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(MIRROR, str(other))
            two = read_hub_task(task, published=False)
        if HUB_TASKS[task].source.stream:  # only Parquet files are read in the order of a hash
            assert by_text(two) == by_text(one)
        else:
            assert two == one

    def test_csv_with_lists_in_its_cells(self, own: Path) -> None:
        write_mirror(own, "dataset-org/dream", suffix=".csv")
        with pytest.raises(InputError, match="a list of texts"):
            read_hub_task("dream", published=False)

    def test_csv_texts_that_look_like_something_else(self, own: Path) -> None:
        words = ["NA", "null", "007", "1.50", "True", "2024-01-01"]

        def change(rows: list[Row]) -> None:
            for row, word in zip(rows[:6], words, strict=True):
                row["scenario"] = word

        path = edit(own, "ethics-justice", change)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # as Excel saves it
        rows = read_hub_task("ethics-justice", published=False)
        inside = [text.split("\n")[1] for text in rows.texts[:6]]
        assert inside == words
        assert rows.dropped == {}

    def test_shard_that_is_missing(self, own: Path) -> None:
        write_mirror(own, "fancyzhx/amazon_polarity")
        shard = "amazon_polarity/train-00002-of-00004.parquet"
        (own / "fancyzhx/amazon_polarity" / shard).unlink()
        with pytest.raises(InputError, match=r"fancyzhx/amazon_polarity.*tasks mirror"):
            read_hub_task("amazon_polarity", published=False)

    def test_folder_of_a_split_that_is_missing(self, own: Path) -> None:
        write_mirror(own, "Anthropic/hh-rlhf")
        (own / "Anthropic/hh-rlhf/helpful-online/test.jsonl.gz").unlink()
        with pytest.raises(InputError, match=r"Anthropic/hh-rlhf.*tasks mirror"):
            read_hub_task("anthropic_hh", published=False)

    @pytest.mark.parametrize("task", CASES)
    def test_repository_that_is_missing(self, own: Path, task: str) -> None:
        with pytest.raises(InputError) as error:
            read_hub_task(task, published=False)
        assert CASES[task].repo in error.value.what
        assert MIRROR in error.value.where
        assert "w2sprobe tasks mirror" in error.value.advice

    def test_other_config_is_not_taken_instead(self, own: Path) -> None:
        """sst2 of GLUE has the columns of cola."""
        for file, part in REPOS["nyu-mll/glue"].items():
            if file.startswith("sst2/"):
                write_part(own / "nyu-mll/glue" / file, part.rows, part.schema)
        with pytest.raises(InputError, match="the mirror lacks data files of nyu-mll/glue"):
            read_hub_task("cola", published=False)

    @pytest.mark.parametrize("group", [10, 1000])
    def test_stream_takes_rows_from_all_over(
        self, own: Path, monkeypatch: pytest.MonkeyPatch, group: int
    ) -> None:
        repo = "EleutherAI/twitter-sentiment"
        write_mirror(own, repo)
        texts = [f"text {n}" for n in range(1000)]
        labels = [int(n >= 500) for n in range(1000)]  # sorted by label
        path = own / repo / usual("data/train")[0]
        pq.write_table(pa.table({"text": texts, "label": labels}), path, row_group_size=group)
        source = HUB_TASKS["twitter-sentiment"].source
        assert source.stream is not None
        monkeypatch.setitem(dict_of(source.stream), "train", 205)
        rows = read_hub_task("twitter-sentiment", published=False)
        assert rows.held_out is not None
        train = [text for text, aside in zip(rows.texts, rows.held_out, strict=True) if not aside]
        numbers = [int(text.split()[1]) for text in train]
        assert len(numbers) == len(set(numbers)) == 205
        groups = [number // 10 for number in numbers]
        assert len(set(groups)) >= 30
        assert max(groups) - min(groups) > 50
        ones = sum(number >= 500 for number in numbers)
        assert 40 < ones < 165
        assert rows.labels[:205] == [int(number >= 500) for number in numbers]
        assert rows.made_of["rows_read"]["train"] == 205


def dict_of(mapping: object) -> dict[str, int]:
    assert isinstance(mapping, dict)
    return mapping


def main() -> None:
    """Show the golden prompts as they are made now; write them, if asked to."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[MIRROR] = str(write_mirror(Path(folder)))
        made = {}
        for name, task in HUB_TASKS.items():
            made[name] = prompts(name, published=False)
            if task.published_format:
                made[f"{name} published"] = prompts(name, published=True)
    for name, both in made.items():
        for label, lines in both.items():
            print(f"===== {name}, {label}", *lines, sep="\n")
    if "--write" in sys.argv:
        text = json.dumps(made, ensure_ascii=False, indent=1)
        GOLDEN.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
