"""Numbers that the source experiments published, as read from their plots."""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from w2sprobe.comparison.scores import Score, complete_scores

AXIS_END = -1.5  # end of the plots' PGR axis, taken for bars beyond it, null in the file


@dataclass(frozen=True)
class Published:
    """Scores and their origin.

    Parameters
    ----------
    scores : tuple of Score
        13 methods on 21 tasks, and one method on four more, which are saturated.
    about : dict
        title, urls, how, uncertainty, check, notes.
    """

    scores: tuple[Score, ...]
    about: dict[str, Any]


def published() -> Published:
    """Read the reference numbers that come with the package.

    Examples
    --------
    >>> published().about["uncertainty"]
    'about .002 in AUC and .003 in PGR, .007 in PGR of probes and relabelling'
    """
    text = files("w2sprobe.comparison").joinpath("published.json").read_text(encoding="utf-8")
    file = json.loads(text)
    scores = []
    for task, row in file["tasks"].items():
        shared = {**file["pair"], "weak_auc": row["weak_auc"], "ceiling_auc": row["ceiling_auc"]}
        if row["pgr"] is None:
            scores.append(Score(task, "logconf", auc=row["logconf_auc"], **shared))
            continue
        for method, pgr in zip(file["pgr_of"], row["pgr"], strict=True):
            scores.append(Score(task, method, pgr=AXIS_END if pgr is None else pgr, **shared))
    return Published(tuple(complete_scores(scores)), file["about"])
