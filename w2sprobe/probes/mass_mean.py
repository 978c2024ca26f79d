"""Mass-mean probe: the difference of the weighted class means."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from w2sprobe.checks import check_both_classes
from w2sprobe.devices import resolve_device, to_tensor
from w2sprobe.probes.estimator import LinearProbe
from w2sprobe.probes.preprocess import BLOCK_ROWS, Preprocess, Preprocessing


class MassMeanProbe(LinearProbe):
    """Direction from the mean of class 0 to the mean of class 1.

    Parameters
    ----------
    whiten : bool, default False
        Multiply the direction by the pseudo-inverse of the within-class covariance (linear
        discriminant analysis).
    preprocess : {"none", "center", "standardize"}, default "none"
        Fitted on the training rows; "center" changes nothing.
    device : str, default "auto"
        Where the covariance is multiplied and inverted: "cpu", "cuda", "cuda:1"; "auto" takes a
        GPU where there is one.

    Attributes
    ----------
    coef_ : ndarray of float64, shape (d,)
        Of X as given.
    intercept_ : float
        The point half-way between the means has P(label = 1) = 0.5.

    Notes
    -----
    theta = sum(q x) / sum(q) - sum((1 - q) x) / sum(1 - q), q the soft label; Marks & Tegmark,
    "The Geometry of Truth", arXiv 2310.06824, section 5, for hard labels. The within-class
    covariance is that of all rows less s (1 - s) theta theta', s = mean(q). Only the ranking of a
    direction without `whiten` means something: its length has the unit of the activations, so that
    its probabilities are not calibrated.
    """

    def __init__(
        self, *, whiten: bool = False, preprocess: Preprocess = "none", device: str = "auto"
    ) -> None:
        self.whiten = whiten
        self.preprocess = preprocess
        self.device = device

    def fit(self, X: ArrayLike, y: ArrayLike) -> "MassMeanProbe":
        """Compute the class means.

        Parameters
        ----------
        X : array_like of float, shape (n, d)
        y : array_like of float, shape (n,)
            Hard or soft labels in [0, 1].

        Returns
        -------
        MassMeanProbe

        Raises
        ------
        InputError
            Shape, range or a value that is not finite; all labels 0 or all 1.
        UnknownName
            No such preprocessing.
        """
        place = resolve_device(self.device)
        points, soft = self._start(X, y)
        check_both_classes(soft)
        moved = Preprocessing.fit(points, self.preprocess)
        points = moved.apply(points)
        weights = np.stack([soft / soft.sum(), (1 - soft) / (1 - soft).sum()])
        means = np.zeros((2, points.shape[1]))
        for start in range(0, len(points), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            means += weights[:, part] @ points[part].astype(np.float64)
        one, zero = means
        direction = one - zero
        if self.whiten:
            share = soft.mean()
            middle = share * one + (1 - share) * zero
            direction = self._whitened(points, middle, direction, share * (1 - share), place)
        self.coef_ = direction / moved.scale
        self.intercept_ = float(-direction @ (one + zero) / 2 - self.coef_ @ moved.centre)
        return self

    @staticmethod
    def _whitened(
        points: np.ndarray,
        mean: np.ndarray,
        direction: np.ndarray,
        between: float,
        place: torch.device,
    ) -> np.ndarray:
        """Within-class covariance, pseudo-inverted, times the direction."""
        centre, theta = (to_tensor(a, place) for a in (mean, direction))
        within = -between * torch.outer(theta, theta)
        for start in range(0, len(points), BLOCK_ROWS):
            block = to_tensor(points[start : start + BLOCK_ROWS], place).double() - centre
            within.addmm_(block.T, block, alpha=1 / len(points))
        whitened: np.ndarray = (torch.linalg.pinv(within, hermitian=True) @ theta).cpu().numpy()
        return whitened
