"""Ensembles: average the predictions of several models or seeds for the same rows."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from scipy.special import expit, logit

from w2sprobe.errors import IdMismatch, InputError, UnknownName, first_few
from w2sprobe.labels import LabelTable

How = Literal["mean", "logit_mean"]
HOW: tuple[str, ...] = get_args(How)
# Probabilities are clipped to [CLIP, 1 - CLIP], which bounds log-odds to +-36.74 (53 ln 2).
# 2^-53 is the distance from 1 to the next smaller float64: the smallest value that clips both
# ends alike.
CLIP = 2.0**-53


def ensemble(tables: Sequence[LabelTable], *, how: str = "mean") -> LabelTable:
    """Average the predictions of the members of an ensemble.

    Parameters
    ----------
    tables : sequence of LabelTable
        One per member, of the same rows in any order.
    how : {"mean", "logit_mean"}, default "mean"
        "mean": mean of P(label = 1), as in deep ensembles (Lakshminarayanan et al., arXiv
        1612.01474, section 2.4). "logit_mean": mean of the log-odds, as a probability; a confident
        member weighs more than an undecided one.

    Returns
    -------
    LabelTable
        Rows in the order of the first table; `variance` is the population variance of the members'
        P(label = 1), whatever `how` is; a row is kept if all members keep it.

    Raises
    ------
    UnknownName
        No such `how`.
    InputError
        No tables.
    IdMismatch
        Two tables differ in their rows: names the ids that each lacks.
    """
    if how not in HOW:
        raise UnknownName("ensemble", how, HOW)
    if not tables:
        raise InputError("an ensemble of no tables", allowed="one or more")
    first = tables[0]
    for number, table in enumerate(tables[1:], start=2):
        _check_same_rows(first, table, number)
    members = [table.align(first.ids) for table in tables]
    p = np.stack([member.soft_label for member in members])
    soft = (
        p.mean(axis=0) if how == "mean" else expit(logit(np.clip(p, CLIP, 1 - CLIP)).mean(axis=0))
    )
    keep = np.all([member.keep for member in members], axis=0)
    return LabelTable(first.ids, soft, keep, variance=p.var(axis=0))


def _check_same_rows(first: LabelTable, other: LabelTable, number: int) -> None:
    first_ids, other_ids = set(first.ids.tolist()), set(other.ids.tolist())
    missing = [name for name in first.ids.tolist() if name not in other_ids]
    extra = [name for name in other.ids.tolist() if name not in first_ids]
    problems = []
    if missing:
        problems.append(f"table {number} lacks ids {first_few(missing)} of table 1")
    if extra:
        problems.append(f"table 1 lacks ids {first_few(extra)} of table {number}")
    if problems:
        raise IdMismatch(
            "; ".join(problems),
            advice="Predict the same rows with every member: same task, sizes and seed.",
        )
