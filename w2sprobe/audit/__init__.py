"""Audit of a task's splits: checks for artefacts that make its results misleading.

The checks need texts and labels only, no model: baselines that should fail, near-duplicates across
splits, rows longer than a model's context, label balance, and endings common to all rows.
"""

from w2sprobe.audit.report import render
from w2sprobe.audit.result import (
    Audit,
    Balance,
    Baseline,
    CrossDuplicates,
    Cue,
    Duplicates,
    ErasedCue,
    Overflow,
    Pair,
    Suffix,
    TextLengths,
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
    "ErasedCue",
    "Finding",
    "ModelLengths",
    "Overflow",
    "Pair",
    "Suffix",
    "TextLengths",
    "audit_splits",
    "render",
]
