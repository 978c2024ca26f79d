"""Prompts of the source experiments' tasks: a row of a data set to a text with a binary label.

The formats follow EleutherAI/w2s (`ds_registry.py`); the wording is our own. Where that code has a
bug, `*_published` keeps it. Whether a text shows a right or a wrong answer depends on a hash of the
row's cells, not on a random generator.
"""

from collections.abc import Callable, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from w2sprobe.data.coin import Coin
from w2sprobe.errors import InputError

Example = tuple[str, int]
NONE_OF_THE_ABOVE = "none of the above choices"
PREFERENCE_TURN = "\n\nAssistant:"


class Unusable(Exception):  # not an error: the row is dropped and counted
    """Raised for a row that a task cannot use; the message is the reason in `dropped`."""


class HubRow:
    """A row of a data set whose cells are checked when they are read."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    def __getitem__(self, column: str) -> Any:
        """Return any cell.

        Raises
        ------
        InputError
            Unknown column.
        """
        if column not in self._row:
            raise InputError(f"no column {column!r}", allowed=f"found {', '.join(self._row)}")
        return self._row[column]

    def text(self, column: str) -> str:
        """Return a text that is not empty.

        Raises
        ------
        InputError
            Unknown column, or not text.
        Unusable
            Empty or null.
        """
        return _filled(column, self[column])

    def texts(self, column: str) -> list[str]:
        """Return a list of texts that are not empty.

        Raises
        ------
        InputError
            Unknown column, or not a list of texts.
        Unusable
            A text is empty or null.
        """
        value = self[column]
        if value is None or value == []:
            raise Unusable("empty_cell")
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise InputError(f"{column} is {value!r}", allowed="a list of texts")
        return [_filled(column, part) for part in value]

    def index(self, column: str, n: int, *, first: int = 0) -> int:
        """Return a number from `first` to `first` + `n` - 1 as an index from 0.

        Raises
        ------
        InputError
            Unknown column, or another value.
        Unusable
            Null, -1 or empty: labels that the data set hides.
        """
        value = self[column]
        if value in (None, "", -1, "-1"):
            raise Unusable("no_label")
        if str(value) not in map(str, range(first, first + n)):
            numbers = "0 or 1" if (first, n) == (0, 2) else f"{first} to {first + n - 1}"
            raise InputError(f"{column} is {value!r}", allowed=numbers)
        return int(value) - first

    def flag(self, column: str) -> int:
        """Return a label 0 or 1, also written as true or false.

        Raises
        ------
        InputError
            Unknown column, or another value.
        Unusable
            Null, -1 or empty.
        """
        value = self[column]
        if str(value).lower() in ("true", "false"):
            return int(str(value).lower() == "true")
        return self.index(column, 2)

    def choices(self, column: str, key: str) -> tuple[list[str], int]:
        """Return lettered choices `{text: [...], label: [...]}` and the index of the right one.

        Raises
        ------
        InputError
            Unknown columns, not choices, or a key that is none of the letters.
        Unusable
            An empty choice, or no key.
        """
        value, answer = self[column], self[key]
        if value is None:
            raise Unusable("empty_cell")
        if not isinstance(value, Mapping) or not {"text", "label"} <= value.keys():
            raise InputError(f"{column} is {value!r}", allowed="lists of text and label")
        texts, letters = HubRow(value).texts("text"), HubRow(value).texts("label")
        if len(texts) != len(letters):
            raise InputError(f"{column} is {value!r}", allowed="as many letters as texts")
        if not answer:
            raise Unusable("no_label")
        if answer not in letters:
            raise InputError(f"{key} is {answer!r}", allowed=", ".join(map(str, letters)))
        return texts, letters.index(answer)


Format = Callable[[HubRow], Example]


def _filled(column: str, value: object) -> str:
    if value is None or value == "":
        raise Unusable("empty_cell")
    if not isinstance(value, str):
        raise InputError(f"{column} is {value!r}", allowed="text")
    if not value.strip():
        raise Unusable("empty_cell")
    return value.strip()


def _shown(right: str, wrong: Sequence[str], *row: str) -> Example:
    """Choose the right answer for half of the rows, else a different one; with the label."""
    coin = Coin.of(*row, right, *wrong)
    others = [text for text in wrong if text != right]
    if not others:
        raise Unusable("no_wrong_answer")
    return (right, 1) if coin.heads else (coin.pick(others), 0)


def _without(texts: Sequence[str], index: int) -> list[str]:
    return [*texts[:index], *texts[index + 1 :]]


def bare(*columns: str) -> Format:
    """Format that joins the cells with a blank."""

    def format_row(row: HubRow) -> Example:
        return " ".join(row.text(column) for column in columns), row.flag("label")

    return format_row


def anli(row: HubRow) -> Example:
    """Premise, hypothesis and the question of entailment (class 0 against 1 and 2)."""
    label = int(row.index("label", 3) == 0)
    return (
        f"Premise: {row.text('premise')}\nHypothesis: {row.text('hypothesis')}\n"
        "Does the hypothesis follow from the premise?",
        label,
    )


def dream(row: HubRow) -> Example:
    """Dialogue, question and an answer.

    Raises
    ------
    Unusable
        The right answer is not among the choices.
    """
    choices, right = row.texts("choice"), row.text("answer")
    if right not in choices:
        raise Unusable("answer_not_among_choices")
    dialogue, question = "\n".join(row.texts("dialogue")), row.text("question")
    answer, label = _shown(right, _without(choices, choices.index(right)), dialogue, question)
    return f"{dialogue}\n\nQ: {question}\nA: {answer}", label


def deontology(row: HubRow) -> Example:
    """Scenario and an excuse."""
    return (
        f"Q: Does this excuse hold morally?\n{row.text('scenario')}\n{row.text('excuse')}\nA:",
        row.flag("label"),
    )


def justice(row: HubRow) -> Example:
    """Scenario with the reason why it is or is not just."""
    return f"Q: Is this just?\n{row.text('scenario')}\nA:", row.flag("label")


def virtue(row: HubRow) -> Example:
    """Scenario and trait, which the data set joins with [SEP].

    Raises
    ------
    InputError
        No [SEP].
    Unusable
        No scenario or no trait.
    """
    scenario, separator, trait = row.text("scenario").partition("[SEP]")
    if separator and not (scenario.strip() and trait.strip()):
        raise Unusable("empty_cell")
    if not separator:
        raise InputError(f"scenario is {scenario!r}", allowed="a scenario, [SEP] and a trait")
    return (
        f"Q: Does the trait named last fit this behavior?\n{scenario.strip()}\n{trait.strip()}\nA:",
        row.flag("label"),
    )


def utilitarianism(row: HubRow) -> Example:
    """Two scenarios in random order, and the number of one of them.

    Raises
    ------
    Unusable
        The scenarios are the same.
    """
    better, worse = row.text("baseline"), row.text("less_pleasant")
    if better == worse:
        raise Unusable("no_wrong_answer")
    coin = Coin.of(better, worse)
    first, second = coin.pick([(better, worse), (worse, better)])
    named = 1 if (first == better) == coin.heads else 2
    return (
        f"Which of the two is more pleasant?\n1) {first}\n2) {second}\nA: {named}",
        int(coin.heads),
    )


def mc_taco(row: HubRow) -> Example:
    """Sentence, question about time and a proposed answer."""
    return (
        f"{row.text('sentence')}\nKnowing this: {row.text('question')} "
        f"Could the answer be {row.text('answer')}?",
        row.flag("label"),
    )


def hellaswag(row: HubRow) -> Example:
    """Context, all endings, and a proposed one."""
    endings = row.texts("endings")
    right = row.index("label", len(endings))
    context = row.text("ctx")
    ending, label = _shown(endings[right], _without(endings, right), context)
    listed = "\n".join(f"- {text}" for text in endings)
    return (
        f'{context}\n\nPossible continuations:\n{listed}\n\nQ: Does "{ending}" continue it best?',
        label,
    )


def multirc(row: HubRow) -> Example:
    """Passage, question and a proposed answer; several may be right."""
    return (
        f"Passage: {row.text('paragraph')}\n\n"
        f'Q: "{row.text("question")}" Is "{row.text("answer")}" a right answer?',
        row.flag("label"),
    )


def openbookqa(row: HubRow) -> Example:
    """Question, lettered choices, and the text of a proposed one."""
    choices, right = row.choices("choices", "answerKey")
    question = row.text("question_stem")
    answer, label = _shown(choices[right], _without(choices, right), question)
    return _openbook_text(question, choices, answer), label


def openbookqa_published(row: HubRow) -> Example:
    """Right answers appear as their letter, wrong ones as their text: the label leaks."""
    text, label = openbookqa(row)
    if not label:
        return text, label
    choices, right = row.choices("choices", "answerKey")
    return _openbook_text(row.text("question_stem"), choices, ascii_uppercase[right]), label


def _openbook_text(question: str, choices: Sequence[str], answer: str) -> str:
    lettered = zip(ascii_uppercase, choices, strict=False)
    listed = "\n".join(f"{letter}) {text}" for letter, text in lettered)
    return f"Q: {question}\n\nChoices:\n{listed}\n\nAnswer: {answer}"


def paws(row: HubRow) -> Example:
    """Two sentences with many words in common."""
    return (
        f"Sent 1: {row.text('sentence1')}\nSent 2: {row.text('sentence2')}\n"
        "Q: Do both sentences mean the same?",
        row.flag("label"),
    )


def piqa(row: HubRow) -> Example:
    """Goal and a way to reach it."""
    solutions, right = [row.text("sol1"), row.text("sol2")], row.index("label", 2)
    goal = row.text("goal")
    answer, label = _shown(solutions[right], _without(solutions, right), goal)
    return f"Q: {goal}\nA: {answer}", label


def quail(row: HubRow) -> Example:
    """Passage, question and a proposed answer."""
    answers = row.texts("answers")
    return _about_passage(
        row.text("context"),
        row.text("question"),
        answers,
        row.index("correct_answer_id", len(answers)),
    )


def quartz(row: HubRow) -> Example:
    """Passage, question and a proposed answer."""
    choices, right = row.choices("choices", "answerKey")
    return _about_passage(row.text("para"), row.text("question"), choices, right)


def _about_passage(passage: str, question: str, choices: Sequence[str], right: int) -> Example:
    answer, label = _shown(choices[right], _without(choices, right), passage, question)
    return f'Passage: {passage}\n\nQ: "{question}" Is "{answer}" the answer?', label


def social_i_qa(row: HubRow) -> Example:
    """Situation, question, three choices, and a proposed one."""
    answers = [row.text(f"answer{letter}") for letter in "ABC"]
    context, question = row.text("context"), row.text("question")
    right = row.index("label", 3, first=1)
    answer, label = _shown(answers[right], _without(answers, right), context, question)
    listed = "\n".join(f"- {text}" for text in answers)
    return (
        f'Context: {context}\nQuestion: {question}\nChoices:\n{listed}\nIs "{answer}" the answer?',
        label,
    )


def wic(row: HubRow) -> Example:
    """Two sentences and a word that occurs in both."""
    return (
        f"{row.text('sentence1')}\n{row.text('sentence2')}\n"
        f'Q: Is "{row.text("word")}" used in one and the same sense?',
        row.flag("label"),
    )


def sciq(row: HubRow) -> Example:
    """Question and an answer."""
    answer, label = _science_answer(row)
    return f"Q: {row.text('question')}\nA: {answer}", label


def sciq_with_support(row: HubRow) -> Example:
    """Passage, question and proposed answer; some rows have no passage."""
    answer, label = _science_answer(row)
    support = str(row["support"] or "").strip()
    passage = f"Passage 1: {support}\n\n" if support else ""
    return f'Name: Bob\n\n{passage}Q1: "{row.text("question")}" Is it "{answer}"?', label


def _science_answer(row: HubRow) -> Example:
    wrong = [row.text(f"distractor{number}") for number in (1, 2, 3)]
    return _shown(row.text("correct_answer"), wrong, row.text("question"))


def preference(row: HubRow) -> Example:
    """Both replies to a dialogue; label 1 if the second one was preferred.

    A single reply, as published, can hardly be judged: the AUC stays below .56.

    Raises
    ------
    Unusable
        The replies belong to different dialogues, or are the same.
    """
    chosen, rejected = row.text("chosen"), row.text("rejected")
    better, worse = chosen.rpartition(PREFERENCE_TURN), rejected.rpartition(PREFERENCE_TURN)
    if better[0] != worse[0] or not better[1]:
        raise Unusable("no_common_dialogue")
    if better[2] == worse[2]:
        raise Unusable("no_wrong_answer")
    coin = Coin.of(chosen, rejected)
    first, second = (worse[2], better[2]) if coin.heads else (better[2], worse[2])
    return (
        "Is the second of the two replies to this dialogue the better one?\n\n"
        f"{better[0]}\n\nReply 1:{first}\n\nReply 2:{second}",
        int(coin.heads),
    )


def preference_published(row: HubRow) -> Example:
    """A whole dialogue with the preferred or the rejected reply."""
    return _shown(row.text("chosen"), [row.text("rejected")])


def cosmos_qa(row: HubRow) -> Example:
    """Context, question and an answer.

    Raises
    ------
    Unusable
        "None of the above" is the right answer: shown or not, that would give the label away.
    """
    answers, right = [row.text(f"answer{n}") for n in range(4)], row.index("label", 4)
    if _is_none(answers[right]):
        raise Unusable("none_of_the_above")
    wrong = [text for text in _without(answers, right) if not _is_none(text)]
    return _cosmos_text(row, answers[right], wrong)


def cosmos_qa_published(row: HubRow) -> Example:
    """If "None of the above" is right, the label is 0 whatever answer is shown."""
    answers, right = [row.text(f"answer{n}") for n in range(4)], row.index("label", 4)
    text, label = _cosmos_text(row, answers[right], _without(answers, right))
    return text, 0 if _is_none(answers[right]) else label


def _cosmos_text(row: HubRow, right: str, wrong: Sequence[str]) -> Example:
    context, question = row.text("context"), row.text("question")
    answer, label = _shown(right, wrong, context, question)
    return f"Context: {context}\nQuestion: {question}\nAnswer: {answer}", label


def _is_none(answer: str) -> bool:
    return answer.rstrip(" .").lower() == NONE_OF_THE_ABOVE


def boolq(row: HubRow) -> Example:
    """Passage and a yes-no question."""
    return f"Passage: {row.text('passage')}\nQuestion: {row.text('question')}", row.flag("answer")
