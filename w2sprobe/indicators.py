"""Numbers that are said to predict how much a strong student gains over its weak supervisor.

Computed from cached activations and weak labels, before any student is trained; none reads the
truth. Rows: X strong activations, Z weak activations, q weak soft labels, p the predictions of a
probe on X that was trained on q without the row's own label (`curation.relabel` with folds).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr, rel_entr

from w2sprobe.checks import check_activations, check_labels
from w2sprobe.errors import InputError

BLOCK_ROWS = 1024  # confident rows whose cosines are held at once
TIE_DECIMALS = 12  # values that agree so far are equal: rounding noise must not make a change point
RANK_TOLERANCE = float(np.finfo(np.float32).eps)  # of the largest singular value: float32's noise


class _Spectrum(NamedTuple):
    basis: np.ndarray  # (n, rank), orthonormal columns: principal directions in the space of rows
    variances: np.ndarray  # (rank,), descending: the eigenvalues of the covariance that are not 0


def indicators(
    X: ArrayLike,
    q: ArrayLike,
    p: ArrayLike,
    Z: ArrayLike | None = None,
    *,
    n_components: float = 0.9,
    beta: float = 0.01,
    clip: float | None = None,
) -> dict[str, float]:
    """All indicators of this module, by function name.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Strong activations.
    q : array_like of float, shape (n,)
        Weak soft labels in [0, 1].
    p : array_like of float, shape (n,)
        Cross-fitted predictions of a probe in [0, 1].
    Z : array_like of float, shape (n, e), optional
        Weak activations. None leaves out `subspace_overlap`, `representation_gap` and `cka`.
    n_components : int or float, default 0.9
        As in `subspace_overlap`.
    beta : float, default 0.01
        As in `representation_gap`.
    clip : float, optional
        As in `misfit_kl`.

    Returns
    -------
    dict of str to float
        nan where undefined; `misfit_kl` may be infinite. Each function says which way it points.

    Raises
    ------
    InputError
        Whatever the functions refuse.

    Notes
    -----
    `calibration_error` takes the hard predictions p > 0.5 as reference, which keeps it label-free.
    X and Z are decomposed once each, in float64: O(n d min(n, d)) time, O(n d) memory.
    The defaults of `n_components` and `beta` are ours, not a paper's.
    """
    _check_n_components(n_components)
    _check_beta(beta)
    points = check_activations(X)
    weak_points = None if Z is None else _check_weak(Z, len(points))
    found = {
        "misfit_squared": misfit_squared(p, q),
        "misfit_kl": misfit_kl(p, q, clip=clip),
        "label_entropy": label_entropy(q),
        "confidence_share": confidence_share(q),
        "calibration_error": calibration_error(q, np.asarray(p) > 0.5),
        "overlap_density": overlap_density(points, q),
    }
    strong = _spectrum(points)
    found["effective_rank"] = _effective_rank(strong)
    if weak_points is not None:
        weak = _spectrum(weak_points)
        found["subspace_overlap"] = _subspace_overlap(strong, weak, n_components)
        found["representation_gap"] = _representation_gap(strong, weak, beta)
        found["cka"] = cka(points, weak_points)
    return found


def misfit_squared(p: ArrayLike, q: ArrayLike) -> float:
    """Mean squared difference between the probe's predictions and the weak labels.

    Parameters
    ----------
    p, q : array_like of float, shape (n,)
        Probe predictions and weak soft labels in [0, 1].

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
    mean (p - q)^2. Source: Charikar, Pabbaraju & Shiragur, arXiv 2405.15116: error(weak) -
    error(student) is at least the misfit where the students form a convex set that holds the truth.
    A student that merely underfits has a large misfit, too, and no gain.

    Examples
    --------
    >>> misfit_squared([0.5, 1.0], [0.0, 0.5])
    0.25
    """
    labels = _check_soft(q)
    return float(np.mean((check_labels(p, len(labels)) - labels) ** 2))


def misfit_kl(p: ArrayLike, q: ArrayLike, *, clip: float | None = None) -> float:
    """Mean Kullback-Leibler divergence of the weak labels from the probe's predictions, in nats.

    Parameters
    ----------
    p, q : array_like of float, shape (n,)
        Probe predictions and weak soft labels in [0, 1].
    clip : float in (0, 0.5), optional
        Move p and q into [clip, 1 - clip] first. None: nothing is moved.

    Returns
    -------
    float
        0 or more. Higher = larger promised gain in KL from the truth. Infinite where a weak label
        is exactly 0 or 1 and the prediction is not.

    Raises
    ------
    InputError
        No rows, shapes differ, or a value is out of range.

    Notes
    -----
    mean KL(p || q) = mean p ln(p / q) + (1 - p) ln((1 - p) / (1 - q)), 0 ln 0 = 0. Source: Mulgund
    & Pabbaraju, arXiv 2501.19105, with the conditions of `misfit_squared`. Their student minimises
    this very order of the two; one trained by cross-entropy on q minimises KL(q || p).
    """
    labels = _check_soft(q)
    predicted = check_labels(p, len(labels))
    if clip is not None:
        if not 0 < clip < 0.5:
            raise InputError(
                f"clip is {clip!r}", allowed="above 0, below 0.5; None for no clipping"
            )
        labels, predicted = np.clip([labels, predicted], clip, 1 - clip)
    return float(np.mean(rel_entr(predicted, labels) + rel_entr(1 - predicted, 1 - labels)))


def label_entropy(q: ArrayLike) -> float:
    """Mean entropy of the weak labels, in bits.

    Parameters
    ----------
    q : array_like of float, shape (n,)
        Weak soft labels in [0, 1].

    Returns
    -------
    float
        In [0, 1]. 0: all labels hard; higher = less certain labels.

    Raises
    ------
    InputError
        No rows, or a value is outside [0, 1].

    Notes
    -----
    mean -q log2 q - (1 - q) log2(1 - q). A description, not a theory of the gain.

    Examples
    --------
    >>> label_entropy([0.5, 1.0])
    0.5
    """
    labels = _check_soft(q)
    return float(np.mean(entr(labels) + entr(1 - labels)) / np.log(2))


def confidence_share(q: ArrayLike, above: float = 0.9) -> float:
    """Share of the rows whose weak label is confident.

    Parameters
    ----------
    q : array_like of float, shape (n,)
        Weak soft labels in [0, 1].
    above : float in [0.5, 1), default 0.9
        max(q, 1 - q) of a confident label exceeds it.

    Returns
    -------
    float
        In [0, 1]. Higher = more confident labels.

    Raises
    ------
    InputError
        No rows, or a value is out of range.

    Notes
    -----
    mean [max(q, 1 - q) > above]. A description, not a theory of the gain.
    """
    labels = _check_soft(q)
    if not 0.5 <= above < 1:
        raise InputError(f"above is {above!r}", allowed="0.5 or more, below 1")
    return float(np.mean(np.maximum(labels, 1 - labels) > above))


def calibration_error(q: ArrayLike, reference: ArrayLike, *, n_bins: int = 10) -> float:
    """Expected calibration error of the weak labels.

    Parameters
    ----------
    q : array_like of float, shape (n,)
        Weak soft labels in [0, 1].
    reference : array_like of 0 and 1, shape (n,)
        The truth, on rows where it may be read (validation); or a cross-fitted probe's hard
        predictions, which makes the result label-free and only as good as the probe.
    n_bins : int, default 10
        Bins of equal width; each holds its lower edge, the last one both.

    Returns
    -------
    float
        In [0, 1]. 0: of the labels near v, a share v is 1; higher = worse calibrated.

    Raises
    ------
    InputError
        No rows, shapes differ, a value is out of range, or a reference is neither 0 nor 1.

    Notes
    -----
    sum over bins of (rows of the bin / n) * |mean reference - mean q|. Source: Naeini, Cooper &
    Hauskrecht, AAAI 2015, who bin P(label = 1) as here; Guo et al., arXiv 1706.04599, eq. 3, bin
    the confidence of the predicted class.

    Examples
    --------
    >>> calibration_error([0.25, 0.25, 0.75, 0.75], [0, 0, 0, 1])
    0.25
    """
    labels = _check_soft(q)
    truth = check_labels(reference, len(labels))
    soft = np.flatnonzero((truth != 0) & (truth != 1))
    if soft.size:
        raise InputError(
            f"reference is {float(truth[soft[0]])!r}, row {soft[0]} (and {soft.size - 1} more)",
            allowed="0 and 1",
        )
    if isinstance(n_bins, bool) or not isinstance(n_bins, (int, np.integer)) or n_bins < 1:
        raise InputError(f"n_bins is {n_bins!r}", allowed="an integer, 1 or more")
    in_bin = np.minimum((labels * n_bins).astype(np.int64), n_bins - 1)
    return float(np.abs(np.bincount(in_bin, weights=truth - labels)).sum() / len(labels))


def overlap_density(X: ArrayLike, q: ArrayLike) -> float:
    """Share of the confidently labelled rows that resemble a row labelled without confidence.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Strong activations, not centred.
    q : array_like of float, shape (n,)
        Weak soft labels in [0, 1].

    Returns
    -------
    float
        In (0, 1). Higher = more rows hold both a pattern that the weak model knows and one that
        only the strong model sees = more gain. nan where the confidences, or the resemblances,
        are all equal: there is no change point then (hard labels, duplicated rows).

    Raises
    ------
    InputError
        Shape, range, or a value that is not finite.

    Notes
    -----
    confidence = 2 |q - 1/2|; a change point of the sorted confidences splits the rows; alignment
    of a confident row = max over the others of |cos|; a change point of the sorted alignments
    splits the confident rows; the density is the share of those above. Source: Shin, Cooper & Sala,
    "Weak-to-Strong Generalization Through the Data-Centric Lens", arXiv 2412.03881. Their claim is
    about mixtures within one data set, not about the order of data sets.

    The change point is the least-squares one over all splits; their code (SprocketLab,
    datacentric_w2s) has ruptures.Binseg look at every fifth row only and counts the first row
    after the first change point as not confident. A row of zeros resembles nothing: |cos| = 0.
    O(n^2 d) time, memory for `BLOCK_ROWS` * n cosines.
    """
    points = check_activations(X).astype(np.float64)
    labels = check_labels(q, len(points))
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    unit = np.divide(points, lengths, out=np.zeros_like(points), where=lengths > 0)
    confident = _above_change_point(np.abs(2 * labels - 1))
    if not confident.any():
        return float("nan")
    easy, hard = unit[confident], unit[~confident]
    alignment = [
        np.abs(easy[start : start + BLOCK_ROWS] @ hard.T).max(axis=1)
        for start in range(0, len(easy), BLOCK_ROWS)
    ]
    overlapping = _above_change_point(np.concatenate(alignment))
    return float(overlapping.mean()) if overlapping.any() else float("nan")


def effective_rank(X: ArrayLike) -> float:
    """Number of directions among which the variance of the activations is spread.

    Parameters
    ----------
    X : array_like of float, shape (n, d)
        Activations; centred here.

    Returns
    -------
    float
        In [1, min(n - 1, d)]. Higher = variance spread more evenly. nan where all rows are equal.

    Raises
    ------
    InputError
        Shape, or a value that is not finite.

    Notes
    -----
    exp of the entropy of v / sum(v), v the eigenvalues of the covariance: the effective rank of
    the covariance matrix in the sense of Roy & Vetterli, EUSIPCO 2007. Theirs of X itself would
    take the singular values of X, the square roots of v, and be no smaller.

    Examples
    --------
    >>> effective_rank([[0, 1], [0, -1], [0, 1], [0, -1]])
    1.0
    """
    return _effective_rank(_spectrum(check_activations(X)))


def subspace_overlap(X: ArrayLike, Z: ArrayLike, *, n_components: float) -> float:
    """Share of the smaller principal subspace that lies in the other model's.

    Parameters
    ----------
    X, Z : array_like of float, shapes (n, d) and (n, e)
        Strong and weak activations of the same rows; centred here.
    n_components : int or float
        int: leading directions of each model, up to the smaller rank. float in (0, 1): of each
        model the fewest leading directions that hold this share of its variance.

    Returns
    -------
    float
        In [0, 1]. Lower = the models differ more = more gain. Subspaces drawn at random, a and b
        directions of n rows, overlap by about max(a, b) / (n - 1). nan where all rows of X or of Z
        are equal.

    Raises
    ------
    InputError
        Shape, a value that is not finite, or `n_components` out of range.

    Notes
    -----
    ||U_s^T U_w||_F^2 / min(a, b); U_s (n, a), U_w (n, b): left singular vectors of the centred
    matrices. An adaptation of the correlation dimension ||V_s^T V_w||_F^2 of Dong et al.,
    "Discrepancies are Virtue", arXiv 2502.05075, who take subspaces of fine-tuning gradients and do
    not divide. The subspace is ambiguous where the last direction and the next have equal variance.
    """
    _check_n_components(n_components)
    strong = check_activations(X)
    weak = _check_weak(Z, len(strong))
    return _subspace_overlap(_spectrum(strong), _spectrum(weak), n_components)


def representation_gap(X: ArrayLike, Z: ArrayLike, *, beta: float) -> float:
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
    ||P_s (I - P_w)||_2 with P = K (K + beta tr(K) I)^-1, K = X X^T / n. Source: Xue, Li &
    Mirzasoleiman, arXiv 2502.00620, whose error of the student is about ||P_s (I - P_w) y||^2 / n.
    The formula is from memory. They have a ridge for each model; tying both to the traces is ours
    and makes the result independent of the scales of X and Z. They keep leading principal
    components only; here the ridge alone damps the others. No n x n matrix is formed.
    """
    _check_beta(beta)
    strong = check_activations(X)
    weak = _check_weak(Z, len(strong))
    return _representation_gap(_spectrum(strong), _spectrum(weak), beta)


def cka(X: ArrayLike, Z: ArrayLike) -> float:
    """Linear centred kernel alignment: how alike two models find the same rows.

    Parameters
    ----------
    X, Z : array_like of float, shapes (n, d) and (n, e)
        Strong and weak activations of the same rows; centred here.

    Returns
    -------
    float
        In [0, 1]. 1: equal up to rotation, shift and scale; higher = more alike. nan where all
        rows of X or of Z are equal.

    Raises
    ------
    InputError
        Shape, or a value that is not finite.

    Notes
    -----
    ||Z^T X||_F^2 / (||X^T X||_F ||Z^T Z||_F) of the centred matrices. Source: Kornblith et al.,
    arXiv 1905.00414, linear CKA. Biased upwards: near 1 for any two models where n is well below
    d and e. A description, not a theory of the gain.
    """
    points = check_activations(X)
    strong, weak = _centred(points), _centred(_check_weak(Z, len(points)))
    scale = float(np.linalg.norm(strong.T @ strong) * np.linalg.norm(weak.T @ weak))
    if scale == 0:
        return float("nan")
    return min(float(np.linalg.norm(weak.T @ strong) ** 2) / scale, 1.0)  # above by rounding only


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


def _check_n_components(n_components: float) -> None:
    whole = isinstance(n_components, (int, np.integer)) and not isinstance(n_components, bool)
    if not (n_components >= 1 if whole else 0 < n_components < 1):
        raise InputError(
            f"n_components is {n_components!r}", allowed="an integer from 1, or a share in (0, 1)"
        )


def _check_beta(beta: float) -> None:
    if not 0 < beta < np.inf:
        raise InputError(f"beta is {beta!r}", allowed="a finite number above 0")


def _centred(points: np.ndarray) -> np.ndarray:
    """Float64 and without the mean; exactly 0 in constant columns."""
    wide = points.astype(np.float64)
    return np.asarray(wide - wide.mean(axis=0))


def _spectrum(points: np.ndarray) -> _Spectrum:
    basis, singular, _ = np.linalg.svd(_centred(points), full_matrices=False)
    rank = int(np.sum(singular > RANK_TOLERANCE * singular[0]))
    return _Spectrum(basis[:, :rank], singular[:rank] ** 2 / len(points))


def _effective_rank(spectrum: _Spectrum) -> float:
    if not spectrum.variances.size:
        return float("nan")
    return float(np.exp(entr(spectrum.variances / spectrum.variances.sum()).sum()))


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
    return min(overlap / min(len(part.T) for part in leading), 1.0)  # above by rounding only


def _representation_gap(strong: _Spectrum, weak: _Spectrum, beta: float) -> float:
    learned_s, learned_w = (
        variances / (variances + beta * variances.sum()) for _, variances in (strong, weak)
    )
    # P = U diag(learned) U^T, so that M = P_s (I - P_w) has, in the basis U_s,
    # M M^T = diag(s) (I - C diag(1 - (1 - w)^2) C^T) diag(s) with C = U_s^T U_w
    cross = learned_s[:, np.newaxis] * (strong.basis.T @ weak.basis)
    gram = np.diag(learned_s**2) - (cross * (1 - (1 - learned_w) ** 2)) @ cross.T
    return float(np.sqrt(np.linalg.eigvalsh(gram).max(initial=0.0)))


def _above_change_point(values: np.ndarray) -> np.ndarray:
    """Rows above the split of the sorted values in two that leaves the least squared error."""
    rounded = np.round(values, TIE_DECIMALS)
    ordered = np.sort(rounded)
    n = len(ordered)
    below = np.arange(1, n)
    # what a split after so many rows explains, up to the factor n; not to split comes last
    explained = np.cumsum(ordered - ordered.mean())[:-1] ** 2 / (below * (n - below))
    return np.asarray(rounded > ordered[np.argmax(np.append(explained, 0.0))])
