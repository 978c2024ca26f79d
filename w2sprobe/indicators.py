"""Label-free indicators of how much a strong student gains over its weak supervisor.

Each has a theory or an experiment on weak-to-strong gains behind it, named in its docstring. They
are computed from cached activations and weak labels, before any student is trained. How alike the
errors of supervisor and student are needs the truth: `w2sprobe.metrics.capa`.

Rows: X strong activations, Z weak activations, q weak soft labels, p the out-of-fold predictions of
a probe on X that was fitted to q (`curation.relabel` with folds).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from w2sprobe.checks import check_activations, check_labels
from w2sprobe.errors import InputError

# Singular values below this share of the largest are rounding noise of float32 activations.
RANK_TOLERANCE = float(np.finfo(np.float32).eps)
N_COMPONENTS = 0.9  # share of the variance that a principal subspace holds; our choice
BETA = 0.01  # ridge as a share of the total variance; our choice


class _Spectrum(NamedTuple):
    """Principal directions of centred activations in the space of rows."""

    basis: np.ndarray  # (n, rank), orthonormal columns
    variances: np.ndarray  # (rank,), descending: the nonzero eigenvalues of the covariance


def indicators(
    X: ArrayLike, q: ArrayLike, p: ArrayLike, Z: ArrayLike | None = None
) -> dict[str, float]:
    """Compute all indicators of this module, by function name.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Strong activations.
    q : array_like of float, shape (n,)
        Weak soft labels in [0, 1].
    p : array_like of float, shape (n,)
        Out-of-fold predictions of a probe in [0, 1].
    Z : array_like of float, shape (n, e), optional
        Weak activations. None leaves out `subspace_overlap` and `representation_gap`.

    Returns
    -------
    dict of str to float
        nan where undefined; `misfit_kl` may be infinite.

    Raises
    ------
    InputError
        A shape, range or non-finite value that one of the functions refuses.
    """
    strong_points = check_activations(X)
    labels = check_labels(q, len(strong_points))
    values = {"misfit_squared": misfit_squared(p, labels), "misfit_kl": misfit_kl(p, labels)}
    if Z is not None:
        weak_points = _check_weak(Z, len(strong_points))
        # one decomposition per model serves both indicators
        strong, weak = _spectrum(strong_points), _spectrum(weak_points)
        values["subspace_overlap"] = _subspace_overlap(strong, weak, N_COMPONENTS)
        values["representation_gap"] = _representation_gap(strong, weak, BETA)
    return values


def misfit_squared(p: ArrayLike, q: ArrayLike) -> float:
    """Mean squared difference between the probe's predictions p and the weak labels q.

    Returns
    -------
    float
        In [0, 1]. Higher = larger promised gain in squared error.

    Raises
    ------
    InputError
        No rows, shapes differ, or a value is outside [0, 1].

    Notes
    -----
    Charikar, Pabbaraju & Shiragur, "Quantifying the Gain in Weak-to-Strong Generalization", arXiv
    2405.15116: error(weak) - error(student) is at least the misfit where the students form a convex
    set that holds the truth. A student that merely underfits has a large misfit and no gain.

    Examples
    --------
    >>> misfit_squared([0.5, 1.0], [0.0, 0.5])
    0.25
    """
    labels = _check_soft(q)
    return float(np.mean((check_labels(p, len(labels)) - labels) ** 2))


def misfit_kl(p: ArrayLike, q: ArrayLike) -> float:
    """Mean Kullback-Leibler divergence KL(p || q), in nats, of the probe from the weak labels.

    Returns
    -------
    float
        0 or more. Higher = larger promised gain in KL from the truth. Infinite where a weak label
        is 0 or 1 and the prediction is not.

    Raises
    ------
    InputError
        No rows, shapes differ, or a value is outside [0, 1].

    Notes
    -----
    Mulgund & Pabbaraju, "Relating Misfit to Gain in Weak-to-Strong Generalization Beyond the
    Squared Loss", arXiv 2501.19105, with the conditions of `misfit_squared`. Their student
    minimises KL(p || q); one that is trained by cross-entropy on q minimises KL(q || p).
    """
    labels = _check_soft(q)
    predicted = check_labels(p, len(labels))
    # rel_entr(a, b) = a ln(a / b), with 0 ln 0 = 0
    return float(np.mean(rel_entr(predicted, labels) + rel_entr(1 - predicted, 1 - labels)))


def subspace_overlap(X: ArrayLike, Z: ArrayLike, *, n_components: float = N_COMPONENTS) -> float:
    """Share of the smaller principal subspace that lies in the other model's.

    Parameters
    ----------
    X, Z : array_like of float, shapes (n, d) and (n, e)
        Strong and weak activations of the same rows; centred here.
    n_components : int or float
        int: leading directions of each model, at most the smaller rank. float in (0, 1): of each
        model the fewest leading directions that hold this share of its variance.

    Returns
    -------
    float
        In [0, 1]. Lower = the models differ more = more gain. Random subspaces of a and b
        directions overlap by about max(a, b) / (n - 1). nan where all rows of X or Z are equal.

    Raises
    ------
    InputError
        Shape, a value that is not finite, or `n_components` out of range.

    Notes
    -----
    ||U_s^T U_w||_F^2 / min(a, b), with the left singular vectors U_s (n, a) and U_w (n, b) of the
    centred matrices. Adapted from the correlation dimension ||V_s^T V_w||_F^2 of Dong et al.,
    "Discrepancies are Virtue", arXiv 2502.05075: the student inherits the supervisor's variance in
    the intersection of their subspaces and averages it out elsewhere. They take subspaces of
    finetuning gradients and do not divide.
    """
    whole = isinstance(n_components, (int, np.integer)) and not isinstance(n_components, bool)
    if not (n_components >= 1 if whole else 0 < n_components < 1):
        raise InputError(
            f"n_components is {n_components!r}", allowed="an integer from 1, or a share in (0, 1)"
        )
    strong = check_activations(X)
    weak = _check_weak(Z, len(strong))
    return _subspace_overlap(_spectrum(strong), _spectrum(weak), n_components)


def representation_gap(X: ArrayLike, Z: ArrayLike, *, beta: float = BETA) -> float:
    """How well the strong model learns what the weak model cannot, in the worst direction.

    Parameters
    ----------
    X, Z : array_like of float, shapes (n, d) and (n, e)
        Strong and weak activations of the same rows; centred here.
    beta : float, above 0
        Ridge, as a share of the total variance of each model: a direction with this share of the
        variance is half learned.

    Returns
    -------
    float
        In [0, 1). Higher = weak supervision keeps more from the student = less gain. At most 1/4
        for Z = X; 0 where all rows of X are equal.

    Raises
    ------
    InputError
        Shape, a value that is not finite, or `beta` not a positive number.

    Notes
    -----
    ||P_s (I - P_w)||_2 with P = K (K + beta tr(K) I)^-1 and K = X X^T / n. Xue, Li & Mirzasoleiman,
    "Representations Shape Weak-to-Strong Generalization", arXiv 2502.00620: the student's error is
    about ||P_s (I - P_w) y||^2 / n, and the norm followed the gains of 52 language models on five
    tasks. The formula was not checked against the paper. They use leading principal components and
    a ridge per model; one ridge tied to the traces is ours and makes the result independent of the
    scales of X and Z.
    """
    if not 0 < beta < np.inf:
        raise InputError(f"beta is {beta!r}", allowed="a finite number above 0")
    strong = check_activations(X)
    weak = _check_weak(Z, len(strong))
    return _representation_gap(_spectrum(strong), _spectrum(weak), beta)


def _check_soft(q: ArrayLike) -> np.ndarray:
    labels = check_labels(q, np.size(q))
    if not labels.size:
        raise InputError("no labels", allowed="one row or more")
    return labels


def _check_weak(Z: ArrayLike, n: int) -> np.ndarray:
    weak = check_activations(Z, "Z")
    if len(weak) != n:
        raise InputError(f"Z has {len(weak)} rows", allowed=f"{n}, the rows of X")
    return weak


def _spectrum(points: np.ndarray) -> _Spectrum:
    # float64: in float32 the mean of a constant column may differ from its values
    wide = points.astype(np.float64)
    basis, singular, _ = np.linalg.svd(wide - wide.mean(axis=0), full_matrices=False)
    rank = int(np.sum(singular > RANK_TOLERANCE * singular[0]))
    return _Spectrum(basis[:, :rank], singular[:rank] ** 2 / len(points))


def _subspace_overlap(strong: _Spectrum, weak: _Spectrum, n_components: float) -> float:
    rank = min(len(strong.variances), len(weak.variances))
    if rank == 0:
        return float("nan")
    if n_components > rank:
        raise InputError(
            f"n_components is {n_components!r}", allowed=f"1 to {rank}, the smaller rank"
        )
    leading = []
    for basis, variances in (strong, weak):
        share = np.cumsum(variances) / variances.sum()
        count = int(n_components) if n_components >= 1 else np.searchsorted(share, n_components) + 1
        leading.append(basis[:, :count])
    overlap = float(np.linalg.norm(leading[0].T @ leading[1]) ** 2)
    return min(overlap / min(len(part.T) for part in leading), 1.0)  # above 1 by rounding only


def _representation_gap(strong: _Spectrum, weak: _Spectrum, beta: float) -> float:
    learned_s, learned_w = (
        variances / (variances + beta * variances.sum()) for _, variances in (strong, weak)
    )
    # No n x n matrix is formed. P = U diag(learned) U^T, so M = P_s (I - P_w) has, in the basis
    # U_s, M M^T = diag(s) (I - C diag(1 - (1 - w)^2) C^T) diag(s) with C = U_s^T U_w.
    cross = learned_s[:, np.newaxis] * (strong.basis.T @ weak.basis)
    gram = np.diag(learned_s**2) - (cross * (1 - (1 - learned_w) ** 2)) @ cross.T
    return float(np.sqrt(np.linalg.eigvalsh(gram).max(initial=0.0)))
