"""Rows and a model to an activation store; the only room that touches both."""

from w2sprobe.extraction.job import extract, plan_extraction, repair, store_identity
from w2sprobe.extraction.plan import Plan
from w2sprobe.extraction.tensors import import_tensors

__all__ = [
    "Plan",
    "extract",
    "import_tensors",
    "plan_extraction",
    "repair",
    "store_identity",
]
