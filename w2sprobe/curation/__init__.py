"""Curation of labels by a probe: relabel rows, filter them, and record what was done."""

from w2sprobe.curation.filters import (
    filter_by_confident_learning,
    filter_by_disagreement,
    filter_by_neighbors,
)
from w2sprobe.curation.relabelling import IN_SAMPLE, CrossFit, relabel
from w2sprobe.metrics import Scorecard, overlap, scorecard
from w2sprobe.votes.judging import Action, Curated, filter_at_random, judge
from w2sprobe.votes.provenance import Origin, predictions, provenance, untouched

__all__ = [
    "IN_SAMPLE",
    "Action",
    "CrossFit",
    "Curated",
    "Origin",
    "Scorecard",
    "filter_at_random",
    "filter_by_confident_learning",
    "filter_by_disagreement",
    "filter_by_neighbors",
    "judge",
    "overlap",
    "predictions",
    "provenance",
    "relabel",
    "scorecard",
    "untouched",
]
