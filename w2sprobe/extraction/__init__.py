"""Extraction: from rows and a model to an activation store."""

from w2sprobe.extraction.cost import ExtractionCost, plan_extraction
from w2sprobe.extraction.drift import Drift, LayerDrift
from w2sprobe.extraction.identity import store_identity
from w2sprobe.extraction.importing import import_activations
from w2sprobe.extraction.job import extract, repair, run_extraction
from w2sprobe.extraction.request import ExtractionRequest
from w2sprobe.extraction.rows import task_columns
from w2sprobe.extraction.store_audit import audit_store

__all__ = [
    "Drift",
    "ExtractionCost",
    "ExtractionRequest",
    "LayerDrift",
    "audit_store",
    "extract",
    "import_activations",
    "plan_extraction",
    "repair",
    "run_extraction",
    "store_identity",
    "task_columns",
]
