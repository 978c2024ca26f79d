"""Curation of labels by a probe: relabel rows, filter them, and record what was done."""

from w2sprobe.curation.filters import (
    filter_by_confident_learning,
    filter_by_disagreement,
    filter_by_neighbors,
)
from w2sprobe.curation.relabelling import IN_SAMPLE, CrossFit, relabel
from w2sprobe.metrics import Scorecard, overlap, scorecard
from w2sprobe.votes.curated import Action, Curated, curate, filter_at_random
from w2sprobe.votes.provenance import Origin, predictions, provenance, untouched

__all__ = [
    "IN_SAMPLE",
    "Action",
    "CrossFit",
    "Curated",
    "Origin",
    "Scorecard",
    "curate",
    "filter_at_random",
    "filter_by_confident_learning",
    "filter_by_disagreement",
    "filter_by_neighbors",
    "overlap",
    "predictions",
    "provenance",
    "relabel",
    "scorecard",
    "untouched",
]
