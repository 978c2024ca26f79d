"""Extraction: from rows and a model to an activation store."""

from w2sprobe.extraction.cost import ExtractionCost, plan_extraction
from w2sprobe.extraction.identity import store_identity
from w2sprobe.extraction.job import extract, repair
from w2sprobe.extraction.tensors import import_tensors

__all__ = [
    "ExtractionCost",
    "extract",
    "import_tensors",
    "plan_extraction",
    "repair",
    "store_identity",
]
