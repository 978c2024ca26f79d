import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from w2sprobe.assets import BIGBENCH_SCHEMA
from w2sprobe.data.bigbench import read_bigbench
from w2sprobe.data.bigbench_curated import CURATED
from w2sprobe.data.rows import SourceRows
from w2sprobe.errors import InputError, UnknownName

DEMO = "multiemo/all_sentence_en"
FRUIT = ["apple", "pear", "plum", "fig", "lime", "date"]


def put(folder: Path, task: str, examples: list[tuple[str, dict[str, float]]]) -> None:
    """A task of one's own in the asset's folder."""
    columns = {
        "input": [text for text, _ in examples],
        "target_scores": [list(scores.items()) for _, scores in examples],
    }
    path = folder / f"{task}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=BIGBENCH_SCHEMA), path)


def quiz(rows: int) -> list[tuple[str, dict[str, float]]]:
    """Open questions: the right answer is one of four, in no order."""
    drawn = random.Random(0)
    return [
        (f"Which one is {row}?", {name: float(at == 0) for at, name in enumerate(picked)})
        for row in range(rows)
        for picked in [drawn.sample(FRUIT, 4)]
    ]


def by_text(rows: SourceRows) -> dict[str, tuple[int, str | None]]:
    groups = rows.groups or [None] * len(rows.texts)
    return dict(zip(rows.texts, zip(rows.labels, groups, strict=True), strict=True))


# --- classes


def test_curated_classes(bigbench: Path) -> None:
    rows = read_bigbench(DEMO)
    assert list(zip(rows.texts, rows.labels, strict=True)) == [
        ("good", 1),
        ("bad", 0),
        ("good", 1),
        ("unclear", 1),
        ("unclear", 0),
        ("awful", 0),
    ]
    assert rows.dropped == {"other_class": 1, "no_single_class": 1, "empty_text": 1}
    assert rows.ids is rows.groups is rows.held_out is None
    assert (
        rows.made_of.items()
        >= {
            "asset": "bigbench",
            "task": DEMO,
            "mode": "classes",
            "positive": "positive",
            "negative": "negative",
        }.items()
    )


def test_swapping_the_classes_flips_the_labels(bigbench: Path) -> None:
    rows, swapped = (
        read_bigbench(DEMO, positive=p, negative=n)
        for p, n in (("positive", "negative"), ("negative", "positive"))
    )
    assert swapped.texts == rows.texts
    assert swapped.labels == [1 - label for label in rows.labels]
    assert swapped.made_of != rows.made_of


def test_one_class_may_replace_a_default(bigbench: Path) -> None:
    rows = read_bigbench(DEMO, positive="neutral")
    assert [t for t, label in zip(rows.texts, rows.labels, strict=True) if label] == ["so so"]
    assert (rows.made_of["positive"], rows.made_of["negative"]) == ("neutral", "negative")


def test_outer_whitespace_gives_no_class_away(bigbench: Path) -> None:
    put(bigbench, "claims", [("x ", {"True": 1, "False": 0}), ("\ny", {"True": 0, "False": 1})])
    assert read_bigbench("claims").texts == ["x", "y"]


@pytest.mark.parametrize(
    ("yes", "no"), [("yes", "no"), ("True", "False"), ("Yes.", "No."), ("plausible", "implausible")]
)
def test_opposites_need_no_choice(bigbench: Path, yes: str, no: str) -> None:
    put(bigbench, "own", [("a", {yes: 0, no: 1}), ("b", {yes: 1, no: 0}), ("c", {no: 1, yes: 0})])
    rows = read_bigbench("own")
    assert (rows.texts, rows.labels) == (["a", "b", "c"], [0, 1, 0])
    assert (rows.made_of["positive"], rows.made_of["negative"]) == (yes, no)


def test_two_classes_that_are_no_opposites_are_for_the_user(bigbench: Path) -> None:
    put(bigbench, "own", [("a", {"cat": 1, "dog": 0}), ("b", {"cat": 0, "dog": 1})])
    with pytest.raises(InputError, match=r"no negative class.*--positive.*cat 1, dog 1"):
        read_bigbench("own")
    assert read_bigbench("own", positive="dog", negative="cat").labels == [0, 1]


def test_curated_group_key(bigbench: Path) -> None:
    metaphors = ["He is a lion. <-->  He is brave.", "He is a  lion. <--> He roars.", "A <--> B"]
    put(bigbench, "metaphor_boolean", [(text, {"True": 1, "False": 0}) for text in metaphors])
    with pytest.raises(UnknownName, match="negative class 'False'"):
        read_bigbench("metaphor_boolean")
    put(
        bigbench,
        "metaphor_boolean",
        [
            (text, {"True": at, "False": 1 - at})
            for text, at in zip(metaphors, (1, 0, 0), strict=True)
        ],
    )
    groups = read_bigbench("metaphor_boolean").groups
    assert groups is not None
    assert groups[0] == groups[1] != groups[2]


# --- open choices


def test_a_text_is_a_question_and_a_right_or_wrong_choice(bigbench: Path) -> None:
    examples = quiz(400)
    put(bigbench, "quiz", examples)
    rows = read_bigbench("quiz")
    for (question, scores), text, label in zip(examples, rows.texts, rows.labels, strict=True):
        stem, candidate = text.split("\nAnswer: ")
        assert stem == question
        assert scores[candidate] == label
    assert 150 < sum(rows.labels) < 250
    assert rows.made_of["mode"] == "choices"
    assert rows.dropped == {"no_wrong_choice": 0}


def test_every_choice_gets_its_turn(bigbench: Path) -> None:
    scores = {"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.5}
    put(bigbench, "quiz", [(f"{row}?", {**scores, f"x{row}": 0.0}) for row in range(400)])
    shown = [text.split("\nAnswer: ")[1][0] for text in read_bigbench("quiz").texts]
    for choice, least in [("a", 70), ("b", 70), ("c", 40), ("d", 40), ("x", 40)]:
        assert shown.count(choice) > least


def test_neither_row_order_nor_choice_order_matters(bigbench: Path) -> None:
    examples = quiz(100)
    put(bigbench, "quiz", examples)
    expected = by_text(read_bigbench("quiz"))
    drawn = random.Random(1)
    shuffled = [(text, dict(drawn.sample(list(s.items()), len(s)))) for text, s in examples]
    drawn.shuffle(shuffled)
    put(bigbench, "quiz", shuffled)
    assert by_text(read_bigbench("quiz")) == expected


def test_rows_of_one_question_share_a_group(bigbench: Path) -> None:
    put(bigbench, "quiz", [(t, s) for t, s in quiz(3)] + [("Which one  is 1?", {"a": 1, "b": 0})])
    groups = read_bigbench("quiz").groups
    assert groups is not None
    assert groups[1] == groups[3]
    assert len(set(groups)) == 3
    put(bigbench, "quiz", quiz(3))
    assert read_bigbench("quiz").groups is None


def test_rows_without_a_wrong_choice_are_counted(bigbench: Path) -> None:
    one_sided = [("all right?", {"a": 1.0, "b": 1.0}), ("all wrong?", {"c": 0.0}), ("?", {"": 1.0})]
    put(bigbench, "quiz", [*quiz(5), *one_sided])
    rows = read_bigbench("quiz")
    assert rows.dropped == {"no_wrong_choice": 3}
    assert len(rows.texts) == 5


@pytest.mark.parametrize(
    ("question", "start"),
    [
        ("What is it?", "What is it?\nAnswer: "),
        ("Q: What is it?\nA:", "Q: What is it?\nA: "),
        ("The answer is: ", "The answer is: "),
        ("Two metres in feet is ", "Two metres in feet is "),
        ("It fell. ", "It fell.\nAnswer: "),
        ("It fell", "It fell\nAnswer: "),
        ("", ""),
    ],
)
def test_wording(bigbench: Path, question: str, start: str) -> None:
    put(bigbench, "quiz", [(question, {"one ": 1, "two": 0}), ("x?", {"three": 1, "four": 0})])
    assert read_bigbench("quiz").texts[0] in (start + "one", start + "two")


def test_choices_known_by_their_wording_are_never_shown(bigbench: Path) -> None:
    task = "bbq_lite_json/age_disambig"
    people = [{f"The {age}-year-old": 1.0, "The boy": 0.0, "Not known": 0.0} for age in range(40)]
    put(bigbench, task, [(f"It was {age}. Who?", s) for age, s in enumerate(people)])
    rows = read_bigbench(task)
    assert len(set(rows.labels)) == 2
    assert "Not known" not in " ".join(rows.texts)
    assert CURATED[task].never


def test_classes_may_be_chosen_where_choices_are_open(bigbench: Path) -> None:
    put(bigbench, "quiz", quiz(60))
    rows = read_bigbench("quiz", positive="fig", negative="lime")
    assert rows.made_of["mode"] == "classes"
    assert set(rows.labels) == {0, 1}
    assert len(rows.texts) + sum(rows.dropped.values()) == 60
    with pytest.raises(InputError, match="no negative class"):
        read_bigbench("quiz", positive="fig")


def test_many_shared_names_are_answers_not_classes(bigbench: Path) -> None:
    names = [f"element {number}" for number in range(50)]
    examples = [(f"Z={at}?", {n: float(n == name) for n in names}) for at, name in enumerate(names)]
    put(bigbench, "elements", examples)
    assert read_bigbench("elements").made_of["mode"] == "choices"


def test_always_wrong_names_are_no_classes(bigbench: Path) -> None:
    put(bigbench, "sums", [(f"{n}+1?", {str(n + 1): 1, "house": 0, "tree": 0}) for n in range(20)])
    assert read_bigbench("sums").made_of["mode"] == "choices"


# --- errors

ERRORS = [
    ("multiemo/all_sentence_dee", {}, UnknownName, ["Did you mean 'multiemo/all_sentence_de'"]),
    ("../escape", {}, UnknownName, ["unknown BIG-bench task '../escape'", "2 tasks in all"]),
    (
        "multiemo/all_sentence_de",
        {},
        InputError,
        ["no negative class", "--positive and --negative", "positive 4", "negative 3", "neutral 1"],
    ),
    (
        "multiemo/all_sentence_de",
        {"negative": "neutral"},
        InputError,
        ["no positive class", "--positive and --negative"],
    ),
    (
        DEMO,
        {"positive": "positiv"},
        UnknownName,
        ["unknown positive class 'positiv'", "Did you mean 'positive'", "negative 3"],
    ),
    (DEMO, {"positive": "negative"}, InputError, ["both 'negative'"]),
]


@pytest.mark.parametrize(("task", "classes", "kind", "parts"), ERRORS)
def test_errors(
    bigbench: Path, task: str, classes: dict[str, str], kind: type, parts: list[str]
) -> None:
    with pytest.raises(kind) as error:
        read_bigbench(task, **classes)
    for part in parts:
        assert part in str(error.value)


def test_long_lists_are_cut_to_the_nearest(bigbench: Path) -> None:
    names = [f"class {number}" for number in range(50)]
    put(bigbench, "many", [(name, {name: 1.0}) for name in names])
    with pytest.raises(UnknownName, match="Did you mean 'class 4") as error:
        read_bigbench("many", positive="class 1", negative="clas 4")
    assert len(error.value.allowed.split(", ")) == 8


def test_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("W2SPROBE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="has not been fetched") as error:
        read_bigbench(DEMO)
    assert "w2sprobe fetch bigbench" in str(error.value)
    assert list(tmp_path.iterdir()) == []
