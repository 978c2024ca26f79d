"""Extraction: from rows and a model to an activation store."""

from w2sprobe.extraction.cost import ExtractionCost, plan_extraction
from w2sprobe.extraction.identity import store_identity
from w2sprobe.extraction.job import extract, repair, run_extraction
from w2sprobe.extraction.request import ExtractionRequest
from w2sprobe.extraction.rows import task_columns
from w2sprobe.extraction.tensors import import_tensors

__all__ = [
    "ExtractionCost",
    "ExtractionRequest",
    "extract",
    "import_tensors",
    "plan_extraction",
    "repair",
    "run_extraction",
    "store_identity",
    "task_columns",
]
