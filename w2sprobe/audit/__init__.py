"""Audit of a task's splits: what could make its numbers mean something else than they seem to.

Texts and labels only, no model: simple baselines that should fail, rows that two splits share,
rows that a model cannot read whole, label balance, and endings that all rows have.
"""

from w2sprobe.audit.report import render
from w2sprobe.audit.result import (
    Audit,
    Balance,
    Baseline,
    CrossDuplicates,
    Cue,
    Duplicates,
    Lengths,
    Overflow,
    Pair,
    Suffix,
)
from w2sprobe.audit.run import audit_splits
from w2sprobe.audit.texts import ModelLengths
from w2sprobe.results import Finding

__all__ = [
    "Audit",
    "Balance",
    "Baseline",
    "CrossDuplicates",
    "Cue",
    "Duplicates",
    "Finding",
    "Lengths",
    "ModelLengths",
    "Overflow",
    "Pair",
    "Suffix",
    "audit_splits",
    "render",
]
