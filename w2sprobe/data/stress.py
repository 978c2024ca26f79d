"""Stress tests of a task: a salient text, unbalanced classes, training rows without an answer.

Canavan et al. 2026, arXiv 2602.20400: on the usual data sets often no feature is more salient than
truth, classes are balanced, and every row has an answer. Here a task loses one or more of these
properties.
"""

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from w2sprobe.data.rows import Rows
from w2sprobe.data.splits import Splits
from w2sprobe.errors import InputError
from w2sprobe.messages import conversation, messages_of

INDEPENDENT = 0.5  # agreement of a text with labels that it says nothing about
SHARE = 0.1  # of training rows without an answer
PLANTED = "+planted"  # at the end of an id: a row with another text is another row
UNANSWERED = "+no-answer"
DROPPED = "dropped_for_prior"


@dataclass(frozen=True)
class Stress:
    """What is changed about a task; nothing by default.

    Parameters
    ----------
    planted : str, optional
        Put before the texts of some rows, with a space. In a conversation, before the first message
        of the user.
    agreement : float, default .5
        Share of the training and validation rows in which it goes with the label: it is there if
        the label is 1, and is not there if the label is 0. At .5 it says nothing about the label
        and half of all rows have it; at 1 it gives the label away; at 0 it says the opposite.
    test_agreement : float, optional
        The same for test rows. Default: `agreement`.
    prior : float, optional
        Share of label 1 in every split; rows of the other label are dropped. Default: as without
        stress.
    without_answer : str, optional
        Task, or file of splits, whose texts are used as rows without an answer; its labels are
        not used.
    answerless_share : float, optional
        Share of weak-train and of strong-train rows that such rows replace. Default: .1.

    Raises
    ------
    InputError
        A share outside its range, a blank text, or a share without what it is a share of.
    """

    planted: str | None = None
    agreement: float | None = None
    test_agreement: float | None = None
    prior: float | None = None
    without_answer: str | None = None
    answerless_share: float | None = None

    def __post_init__(self) -> None:
        if self.planted is not None and not self.planted.strip():
            raise InputError(f"planted is {self.planted!r}", allowed="a text that is not blank")
        for name in ("agreement", "test_agreement"):
            share = getattr(self, name)
            if share is None:
                continue
            if self.planted is None:
                raise InputError(
                    f"planted_{name} is {share!r}, but no text is planted",
                    allowed="beside planted",
                    advice="Give the text: planted, or --planted.",
                )
            if not 0 <= share <= 1:
                raise InputError(f"planted_{name} is {share!r}", allowed="0 to 1")
        for name in ("prior", "answerless_share"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise InputError(f"{name} is {share!r}", allowed="above 0, below 1")
        if self.answerless_share is not None and self.without_answer is None:
            raise InputError(
                f"answerless_share is {self.answerless_share!r}, but there are no such rows",
                allowed="beside without_answer",
                advice="Name a task or file of rows: without_answer, or --without-answer.",
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What is changed, for records; empty if nothing is."""
        found: dict[str, Any] = {} if self.prior is None else {"prior": self.prior}
        if self.planted is not None:
            train, test = (self.agreement_in(split) for split in ("strong_train", "test"))
            found |= {"planted": self.planted, "planted_agreement": train}
            found |= {"planted_test_agreement": test}
        if self.without_answer is not None:
            found |= {"without_answer": self.without_answer, "answerless_share": self._share}
        return found

    @property
    def label(self) -> str:
        """What is changed, in few words, for the name of the task in results; empty if nothing."""
        parts = []
        if self.planted is not None:
            train, test = (self.agreement_in(split) for split in ("strong_train", "test"))
            parts.append(f"planted {self.planted!r} {train:g}")
            parts += [f"{test:g} in test"] if test != train else []
        parts += [] if self.prior is None else [f"prior {self.prior:g}"]
        if self.without_answer is not None:
            parts.append(f"without answer {self._share:g} of {self.without_answer}")
        return ", ".join(parts)

    @property
    def _share(self) -> float:
        return SHARE if self.answerless_share is None else self.answerless_share

    def agreement_in(self, split: str) -> float:
        """Agreement of the planted text with the labels of a split."""
        train = INDEPENDENT if self.agreement is None else self.agreement
        in_test = split == "test" and self.test_agreement is not None
        return float(self.test_agreement) if in_test and self.test_agreement is not None else train

    def thin(self, rows: Rows) -> tuple[Rows, int]:
        """Drop rows of one label, those with the largest hashes of their ids, to reach the prior.

        Returns
        -------
        Rows
            In their order. Rows that the source sets aside for testing are thinned apart.
        int
            Number of rows dropped.
        """
        if self.prior is None:
            return rows, 0
        held_out = np.zeros(len(rows), dtype=bool) if rows.held_out is None else rows.held_out
        hashes = np.array([_uniform("prior", name) for name in rows.ids.tolist()])
        kept = [
            _thinned(rows.labels, hashes, np.flatnonzero(held_out == part), self.prior)
            for part in (False, True)
        ]
        chosen = np.sort(np.concatenate(kept))
        return rows.select(chosen), len(rows) - len(chosen)

    def mix(self, splits: Splits, others: Rows) -> Splits:
        """Replace rows of both training splits by rows without an answer.

        Which rows, and by which, depends on hashes of ids. The label of a row without an answer is
        drawn at random from its id, as it has no right label.

        Raises
        ------
        InputError
            Too few rows without an answer; texts among conversations, or conversations among texts.
        """
        if others.chats != splits.test.chats:
            texts, answerless = ("conversations", "texts")[:: -1 if others.chats else 1]
            raise InputError(
                f"{answerless} without an answer in a task of {texts}",
                where=str(self.without_answer),
                allowed=f"{texts}, as in the task",
            )
        order = np.argsort([_uniform("answerless", name) for name in others.ids.tolist()])
        n_used, parts = 0, dict[str, Any]()
        for name in ("weak_train", "strong_train"):
            n = round(self._share * len(splits[name]))
            parts[name] = _replaced(splits[name], others.select(order[n_used : n_used + n]))
            n_used += n
        if n_used > len(others):
            raise InputError(
                f"{len(others)} rows without an answer",
                where=str(self.without_answer),
                allowed=f"at least {n_used}, {self._share:g} of the training rows",
            )
        return replace(splits, **parts)

    def plant(self, splits: Splits) -> Splits:
        """Put the text before some rows of each split, by the hash of their ids.

        Rows with it have another id: their text is another, so no stored activation or label of
        the original row is theirs.
        """
        if self.planted is None:
            return splits
        parts: dict[str, Any] = {name: self._planted(name, rows) for name, rows in splits.items()}
        return replace(splits, **parts)

    def _planted(self, split: str, rows: Rows) -> Rows:
        hashes = np.array([_uniform("planted", name) for name in rows.ids.tolist()])
        agrees = hashes < self.agreement_in(split)
        has_text = agrees == (rows.labels == 1)
        names = [
            f"{name}{PLANTED}" if has else name
            for name, has in zip(rows.ids.tolist(), has_text, strict=True)
        ]
        texts = [
            self._with_text(text, chats=rows.chats) if has else text
            for text, has in zip(rows.texts, has_text, strict=True)
        ]
        return replace(rows, ids=np.array(names, dtype=np.str_), texts=texts)

    def _with_text(self, text: str, *, chats: bool) -> str:
        if not chats:
            return f"{self.planted} {text}"
        messages = messages_of(text)
        first = next((one for one in messages if one["role"] == "user"), messages[0])
        first["content"] = f"{self.planted} {first['content']}"
        return conversation(messages)


def _thinned(
    labels: np.ndarray, hashes: np.ndarray, members: np.ndarray, prior: float
) -> np.ndarray:
    """Members that are left, so that a share `prior` of them has label 1."""
    by_hash = members[np.argsort(hashes[members], kind="stable")]
    zeros, ones = by_hash[labels[by_hash] == 0], by_hash[labels[by_hash] == 1]
    # the largest numbers in this proportion; 1e-9: .1 / .9 * 90 is 10, not 9.999...
    n_ones = min(len(ones), math.floor(len(zeros) * prior / (1 - prior) + 1e-9))
    n_zeros = min(len(zeros), math.floor(len(ones) * (1 - prior) / prior + 1e-9))
    return np.concatenate([zeros[:n_zeros], ones[:n_ones]])


def _replaced(rows: Rows, others: Rows) -> Rows:
    """Put other rows in the places of those with the smallest hashes."""
    hashes = [_uniform("replaced", name) for name in rows.ids.tolist()]
    places = np.sort(np.argsort(hashes)[: len(others)])
    names = [f"{name}{UNANSWERED}" for name in others.ids.tolist()]
    ids, texts, labels = rows.ids.astype(object), [*rows.texts], rows.labels.copy()
    ids[places] = names
    labels[places] = [_uniform("coin", name) < 0.5 for name in others.ids.tolist()]
    for place, text in zip(places.tolist(), others.texts, strict=True):
        texts[place] = text
    groups = rows.groups
    if groups is not None:
        groups = groups.astype(object)
        groups[places] = names
    return replace(rows, ids=ids, texts=texts, labels=labels, groups=groups)


def _uniform(purpose: str, name: str) -> float:
    """Number in [0, 1) that depends on a row's id alone."""
    digest = hashlib.sha256(f"{purpose}\0{name}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)
