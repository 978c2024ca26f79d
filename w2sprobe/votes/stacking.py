"""Weights of a stack: how much each layer counts in a mean of several layers' predictions."""

import numpy as np
from scipy.optimize import minimize

RIDGE = 0.01  # the weights move away from equal ones if that lowers the squared error by more


def stack_weights(P: np.ndarray, labels: np.ndarray, ridge: float = RIDGE) -> np.ndarray:
    """Weights that bring a weighted mean of predictions closest to labels.

    Breiman, "Stacked Regressions" (Machine Learning 24, 1996): weights are at least 0, and
    predictions are held out. Here they also sum to 1, so that the mean is a probability, and a
    ridge draws them to equal weights: minimise mean((y - P'w)^2) + ridge sum((w - 1/L)^2).

    Parameters
    ----------
    P : ndarray of float64, shape (L, n)
        Held-out P(label = 1) by layer.
    labels : ndarray of float64, shape (n,)
        Soft labels, in [0, 1].

    Returns
    -------
    ndarray of float64, shape (L,)

    Examples
    --------
    >>> good, bad = [0.1, 0.9, 0.2, 0.8], [0.5, 0.5, 0.5, 0.5]
    >>> stack_weights(np.array([good, bad]), np.array([0.0, 1.0, 0.0, 1.0])).round(3)
    array([1., 0.])
    """
    equal = np.full(len(P), 1 / len(P))
    gram, towards = P @ P.T / P.shape[1], P @ labels / P.shape[1]

    def loss(w: np.ndarray) -> float:
        return float(w @ gram @ w - 2 * w @ towards + ridge * ((w - equal) ** 2).sum())

    def gradient(w: np.ndarray) -> np.ndarray:
        found: np.ndarray = 2 * (gram @ w - towards + ridge * (w - equal))
        return found

    done = minimize(
        loss,
        equal,
        jac=gradient,
        method="SLSQP",
        bounds=[(0, 1)] * len(P),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    weights = np.clip(done.x, 0, 1)
    summing_to_1: np.ndarray = weights / weights.sum()
    return summing_to_1
