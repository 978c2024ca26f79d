"""How alike the errors of two models are, beyond what their accuracies explain."""

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.metrics._checks import check_labels, check_probabilities


def capa(truth: ArrayLike, p: ArrayLike, q: ArrayLike) -> float:
    """Chance-adjusted probabilistic agreement (CAPA) of two models, also written κ_p.

    Parameters
    ----------
    truth : array_like of 0 and 1, shape (n,)
    p, q : array_like of float, shape (n,)
        P(label = 1) of each model, in [0, 1]. Hard predictions, 0 and 1, give the discrete variant.

    Returns
    -------
    float
        In [-1, 1]; the order of the models does not matter. 0: they agree as independent models of
        the same accuracies would. Higher = more alike errors = less for the student to learn. 1
        only for equal and certain predictions: a model that is unsure stays below 1 even beside
        itself. nan where both models are certain and right on every row, or wrong on every row.

    Raises
    ------
    InputError
        No rows, shapes differ, `truth` is not 0 or 1, or a probability is outside [0, 1].

    Notes
    -----
    Goel et al., "Great Models Think Alike and this Undermines AI Oversight", arXiv 2502.04313,
    definition of κ_p, for two options; the same as `get_probkappa_mcqs` of the authors' code
    (github.com/model-similarity/lm-similarity, applications/Annotators/src/metrics.py). Their
    section 4: students gain more where weak supervisor and strong model are less similar.

    Examples
    --------
    >>> round(capa([1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]), 3)
    0.5
    """
    positive, first = check_probabilities(truth, p)
    second = check_labels(q, "q", len(first))
    # Probability that each model gives the true label. Agreement is the same in these terms, since
    # a label flip swaps p with 1 - p and q with 1 - q.
    a, b = (np.where(positive, values, 1 - values) for values in (first, second))
    observed = float(np.mean(a * b + (1 - a) * (1 - b)))  # c_obs^p: both draw the same option
    # c_exp^p: independent models that have the same mean a and b on every row
    a_mean, b_mean = float(a.mean()), float(b.mean())
    expected = a_mean * b_mean + (1 - a_mean) * (1 - b_mean)
    return (observed - expected) / (1 - expected) if expected < 1 else float("nan")  # κ_p
