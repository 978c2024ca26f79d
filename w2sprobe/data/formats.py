"""How rows of the source experiments' data sets become a text with a binary label.

The formats follow EleutherAI/w2s (`ds_registry.py`, as described in the project's notes), in words
of our own. Where that code has a bug, `*_published` keeps it. Which answer is shown, a right or a
wrong one, hangs on a hash of the row's cells and not on a stream of random numbers, in both.
"""

from collections.abc import Callable, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from w2sprobe.data.coin import Coin
from w2sprobe.errors import InputError

Example = tuple[str, int]
NONE_OF_THE_ABOVE = "none of the above choices"
PREFERENCE_TURN = "\n\nAssistant:"


class Unusable(Exception):  # not an error: the row is left out, and counted
    """A row that its task cannot use; the message is the reason it is counted under."""


class Cells:
    """A row of a source, with cells checked as they are read.

    Parameters
    ----------
    row : mapping
        Column to cell.
    """

    def __init__(self, row: Mapping[str, Any]) -> None:
        self._row = row

    def __getitem__(self, column: str) -> Any:
        """Any cell.

        Raises
        ------
        InputError
            No such column.
        """
        if column not in self._row:
            raise InputError(f"no column {column!r}", allowed=f"found {', '.join(self._row)}")
        return self._row[column]

    def text(self, column: str) -> str:
        """A text that is not empty.

        Raises
        ------
        InputError
            No such column, or not text.
        Unusable
            Empty or null.
        """
        return _filled(column, self[column])

    def texts(self, column: str) -> list[str]:
        """A list of texts that are not empty.

        Raises
        ------
        InputError
            No such column, or not a list of texts.
        Unusable
            One is empty or null.
        """
        value = self[column]
        if value is None or value == []:
            raise Unusable("empty_cell")
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise InputError(f"{column} is {value!r}", allowed="a list of texts")
        return [_filled(column, part) for part in value]

    def index(self, column: str, n: int, *, first: int = 0) -> int:
        """A number from `first` on, as a position from 0 to `n` - 1.

        Raises
        ------
        InputError
            No such column, or another value.
        Unusable
            Null, -1 or empty: the hub's marks for a hidden label.
        """
        value = self[column]
        if value in (None, "", -1, "-1"):
            raise Unusable("no_label")
        if str(value) not in map(str, range(first, first + n)):
            numbers = "0 or 1" if (first, n) == (0, 2) else f"{first} to {first + n - 1}"
            raise InputError(f"{column} is {value!r}", allowed=numbers)
        return int(value) - first

    def flag(self, column: str) -> int:
        """A label 0 or 1, also as true or false.

        Raises
        ------
        InputError
            No such column, or another value.
        Unusable
            Null, -1 or empty.
        """
        value = self[column]
        if str(value).lower() in ("true", "false"):
            return int(str(value).lower() == "true")
        return self.index(column, 2)

    def choices(self, column: str, key: str) -> tuple[list[str], int]:
        """Lettered choices `{text: [...], label: [...]}`, and the position of the right one.

        Raises
        ------
        InputError
            No such columns, not choices, or a key that is none of the letters.
        Unusable
            An empty choice, or no key.
        """
        value, answer = self[column], self[key]
        if value is None:
            raise Unusable("empty_cell")
        if not isinstance(value, Mapping) or not {"text", "label"} <= value.keys():
            raise InputError(f"{column} is {value!r}", allowed="lists of text and label")
        texts, letters = Cells(value).texts("text"), Cells(value).texts("label")
        if len(texts) != len(letters):
            raise InputError(f"{column} is {value!r}", allowed="as many letters as texts")
        if not answer:
            raise Unusable("no_label")
        if answer not in letters:
            raise InputError(f"{key} is {answer!r}", allowed=", ".join(map(str, letters)))
        return texts, letters.index(answer)


Format = Callable[[Cells], Example]


def _filled(column: str, value: object) -> str:
    if value is None or value == "":
        raise Unusable("empty_cell")
    if not isinstance(value, str):
        raise InputError(f"{column} is {value!r}", allowed="text")
    if not value.strip():
        raise Unusable("empty_cell")
    return value.strip()


def _shown(right: str, wrong: Sequence[str], *row: str) -> Example:
    """The right answer for half of all rows, else one that differs from it."""
    coin = Coin.of(*row, right, *wrong)
    others = [text for text in wrong if text != right]
    if not others:
        raise Unusable("no_wrong_answer")
    return (right, 1) if coin.heads else (coin.pick(others), 0)


def _without(texts: Sequence[str], position: int) -> list[str]:
    return [text for at, text in enumerate(texts) if at != position]


def bare(*columns: str) -> Format:
    """Cells as they are, one after the other."""

    def format_row(row: Cells) -> Example:
        return " ".join(row.text(column) for column in columns), row.flag("label")

    return format_row


def anli(row: Cells) -> Example:
    """Premise, hypothesis and the question of entailment (classes 1 and 2 are one)."""
    label = int(row.index("label", 3) == 0)
    return (
        f"Premise: {row.text('premise')}\nHypothesis: {row.text('hypothesis')}\n"
        "Does the hypothesis follow from the premise?",
        label,
    )


def dream(row: Cells) -> Example:
    """Dialogue, question and an answer.

    Raises
    ------
    Unusable
        The right answer is none of the choices.
    """
    choices, right = row.texts("choice"), row.text("answer")
    if right not in choices:
        raise Unusable("answer_not_among_choices")
    dialogue, question = "\n".join(row.texts("dialogue")), row.text("question")
    answer, label = _shown(right, _without(choices, choices.index(right)), dialogue, question)
    return f"{dialogue}\n\nQ: {question}\nA: {answer}", label


def deontology(row: Cells) -> Example:
    """Scenario and an excuse."""
    return (
        f"Q: Does this excuse hold morally?\n{row.text('scenario')}\n{row.text('excuse')}\nA:",
        row.flag("label"),
    )


def justice(row: Cells) -> Example:
    """Scenario with the reason that it is or is not just for."""
    return f"Q: Is this just?\n{row.text('scenario')}\nA:", row.flag("label")


def virtue(row: Cells) -> Example:
    """Scenario and trait come in one cell, with [SEP] between them.

    Raises
    ------
    InputError
        No [SEP].
    Unusable
        Nothing before or after it.
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


def utilitarianism(row: Cells) -> Example:
    """Two scenarios in random order, and the number of one of them.

    Raises
    ------
    Unusable
        Both are the same.
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


def mc_taco(row: Cells) -> Example:
    """Sentence, question about time and a proposed answer."""
    return (
        f"{row.text('sentence')}\nKnowing this: {row.text('question')} "
        f"Could the answer be {row.text('answer')}?",
        row.flag("label"),
    )


def hellaswag(row: Cells) -> Example:
    """Context, all endings, and one of them named."""
    endings = row.texts("endings")
    right = row.index("label", len(endings))
    context = row.text("ctx")
    ending, label = _shown(endings[right], _without(endings, right), context)
    listed = "\n".join(f"- {text}" for text in endings)
    return (
        f'{context}\n\nPossible continuations:\n{listed}\n\nQ: Does "{ending}" continue it best?',
        label,
    )


def multirc(row: Cells) -> Example:
    """Passage, question and a proposed answer; several may be right."""
    return (
        f"Passage: {row.text('paragraph')}\n\n"
        f'Q: "{row.text("question")}" Is "{row.text("answer")}" a right answer?',
        row.flag("label"),
    )


def openbookqa(row: Cells) -> Example:
    """Question, lettered choices, and the text of one of them."""
    choices, right = row.choices("choices", "answerKey")
    question = row.text("question_stem")
    answer, label = _shown(choices[right], _without(choices, right), question)
    return _openbook_text(question, choices, answer), label


def openbookqa_published(row: Cells) -> Example:
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


def paws(row: Cells) -> Example:
    """Two sentences with many words in common."""
    return (
        f"Sent 1: {row.text('sentence1')}\nSent 2: {row.text('sentence2')}\n"
        "Q: Do both sentences mean the same?",
        row.flag("label"),
    )


def piqa(row: Cells) -> Example:
    """Goal and a way to reach it."""
    solutions, right = [row.text("sol1"), row.text("sol2")], row.index("label", 2)
    goal = row.text("goal")
    answer, label = _shown(solutions[right], _without(solutions, right), goal)
    return f"Q: {goal}\nA: {answer}", label


def quail(row: Cells) -> Example:
    """Passage, question and a proposed answer."""
    answers = row.texts("answers")
    return _about_passage(
        row.text("context"),
        row.text("question"),
        answers,
        row.index("correct_answer_id", len(answers)),
    )


def quartz(row: Cells) -> Example:
    """Passage, question and a proposed answer."""
    choices, right = row.choices("choices", "answerKey")
    return _about_passage(row.text("para"), row.text("question"), choices, right)


def _about_passage(passage: str, question: str, choices: Sequence[str], right: int) -> Example:
    answer, label = _shown(choices[right], _without(choices, right), passage, question)
    return f'Passage: {passage}\n\nQ: "{question}" Is "{answer}" the answer?', label


def social_i_qa(row: Cells) -> Example:
    """Situation, question, three choices, and one of them named."""
    answers = [row.text(f"answer{letter}") for letter in "ABC"]
    context, question = row.text("context"), row.text("question")
    right = row.index("label", 3, first=1)
    answer, label = _shown(answers[right], _without(answers, right), context, question)
    listed = "\n".join(f"- {text}" for text in answers)
    return (
        f'Context: {context}\nQuestion: {question}\nChoices:\n{listed}\nIs "{answer}" the answer?',
        label,
    )


def wic(row: Cells) -> Example:
    """Two sentences and a word that both have."""
    return (
        f"{row.text('sentence1')}\n{row.text('sentence2')}\n"
        f'Q: Is "{row.text("word")}" used in one and the same sense?',
        row.flag("label"),
    )


def sciq(row: Cells) -> Example:
    """Question and an answer."""
    answer, label = _science_answer(row)
    return f"Q: {row.text('question')}\nA: {answer}", label


def sciq_with_support(row: Cells) -> Example:
    """Passage, question and proposed answer; some rows have no passage."""
    answer, label = _science_answer(row)
    support = str(row["support"] or "").strip()
    passage = f"Passage 1: {support}\n\n" if support else ""
    return f'Name: Bob\n\n{passage}Q1: "{row.text("question")}" Is it "{answer}"?', label


def _science_answer(row: Cells) -> Example:
    wrong = [row.text(f"distractor{number}") for number in (1, 2, 3)]
    return _shown(row.text("correct_answer"), wrong, row.text("question"))


def preference(row: Cells) -> Example:
    """Both replies to a dialogue; label 1 if the second one was preferred.

    One reply alone, as published, can hardly be judged: its AUC stays below .56.

    Raises
    ------
    Unusable
        The replies answer different dialogues, or are the same.
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


def preference_published(row: Cells) -> Example:
    """One whole dialogue, the preferred or the other one."""
    return _shown(row.text("chosen"), [row.text("rejected")])


def cosmos_qa(row: Cells) -> Example:
    """Context, question and an answer.

    Raises
    ------
    Unusable
        No answer but "none of the above" is right: shown or not, that would be a cue.
    """
    answers, right = [row.text(f"answer{n}") for n in range(4)], row.index("label", 4)
    if _is_none(answers[right]):
        raise Unusable("none_of_the_above")
    wrong = [text for text in _without(answers, right) if not _is_none(text)]
    return _cosmos_text(row, answers[right], wrong)


def cosmos_qa_published(row: Cells) -> Example:
    """Where "None of the above" is right the label is 0, whatever is shown."""
    answers, right = [row.text(f"answer{n}") for n in range(4)], row.index("label", 4)
    text, label = _cosmos_text(row, answers[right], _without(answers, right))
    return text, 0 if _is_none(answers[right]) else label


def _cosmos_text(row: Cells, right: str, wrong: Sequence[str]) -> Example:
    context, question = row.text("context"), row.text("question")
    answer, label = _shown(right, wrong, context, question)
    return f"Context: {context}\nQuestion: {question}\nAnswer: {answer}", label


def _is_none(answer: str) -> bool:
    return answer.rstrip(" .").lower() == NONE_OF_THE_ABOVE


def boolq(row: Cells) -> Example:
    """Passage and a question to be answered with yes or no."""
    return f"Passage: {row.text('passage')}\nQuestion: {row.text('question')}", row.flag("answer")
