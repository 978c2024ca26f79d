"""The methods that can be compared: which labels, which curation, which loss.

A method is an entry in this table; the trainer and the probes do not know which one they serve.
"""

from dataclasses import dataclass
from typing import Literal

Probe = Literal["knn", "logistic", "topofilter"]
Curation = Literal["relabel", "filter", "random_filter"]


@dataclass(frozen=True)
class Method:
    """How a method's test predictions come about.

    Parameters
    ----------
    predicts : {"weak", "ceiling", "student", "probe"}
        Who predicts the test rows: the weak model, the strong model trained on truth, the strong
        model trained on weak labels, or a probe fitted on them.
    loss : str
        Of a student.
    probe : {"knn", "logistic", "topofilter"}, optional
        Predicts itself, or curates the weak labels; TopoFilter only filters.
    curation : {"relabel", "filter", "random_filter"}, optional
        What is done to the weak labels before a student sees them. A random filter removes as
        many rows as TopoFilter.
    iterations : int
        Students after the first, each trained on the labels of the one before it.
    cross_fit : bool
        These labels come from students that were not trained on the row, instead of in-sample.
    """

    predicts: Literal["weak", "ceiling", "student", "probe"]
    loss: str = "xent"
    probe: Probe | None = None
    curation: Curation | None = None
    iterations: int = 0
    cross_fit: bool = False


# what the source compares, and a control; run where a config names no methods
DEFAULT_METHODS = {
    "weak": Method("weak"),
    "ceiling": Method("ceiling"),
    "student": Method("student"),
    "student_logconf": Method("student", loss="logconf"),
    "student_entropy": Method("student", loss="entropy"),
    "student_window": Method("student", loss="window"),
    "strong_to_strong_1": Method("student", iterations=1),
    "strong_to_strong_2": Method("student", iterations=2),
    "knn_probe": Method("probe", probe="knn"),
    "logistic_probe": Method("probe", probe="logistic"),
    "knn_relabel": Method("student", probe="knn", curation="relabel"),
    "logistic_relabel": Method("student", probe="logistic", curation="relabel"),
    "knn_filter": Method("student", probe="knn", curation="filter"),
    "logistic_filter": Method("student", probe="logistic", curation="filter"),
    "topofilter": Method("student", probe="topofilter", curation="filter"),
    "random_filter": Method("student", curation="random_filter"),
}
METHODS = {
    **DEFAULT_METHODS,
    "student_reverse": Method("student", loss="reverse"),
    "student_generalised": Method("student", loss="generalised"),
    "student_logconf_balanced": Method("student", loss="logconf_balanced"),
    "student_logconf_published": Method("student", loss="logconf_published"),
    "student_entropy_published": Method("student", loss="entropy_published"),
    "strong_to_strong_1_cross_fit": Method("student", iterations=1, cross_fit=True),
    "strong_to_strong_2_cross_fit": Method("student", iterations=2, cross_fit=True),
    # the loss of the source's own iterations
    "strong_to_strong_1_logconf": Method("student", loss="logconf", iterations=1),
    "strong_to_strong_2_logconf": Method("student", loss="logconf", iterations=2),
}
