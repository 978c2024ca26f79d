"""Projections of a layer to two dimensions."""

import importlib
from types import ModuleType

import numpy as np
from sklearn.decomposition import PCA

from w2sprobe.errors import MissingDependency

SEED = 0


def pca(
    X: np.ndarray, fitted: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, tuple[float, float]]:
    """Project all rows on the first two principal components of the fitted rows.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d), d >= 2
    fitted : ndarray of bool, shape (n,)
        Rows that the components are computed from.
    labels : ndarray of float64, shape (n,)
        Soft labels. Each axis points towards larger labels of the fitted rows, so that the sign of
        a component differs neither between machines nor between neighbouring layers.

    Returns
    -------
    points : ndarray of float32, shape (n, 2)
    explained : tuple of float
        Shares of the fitted rows' variance; 0 where they are all equal.
    """
    centre = X[fitted].mean(axis=0, dtype=np.float64).astype(np.float32)
    # centred here: scikit-learn may do so after squaring, which float32 does not forgive
    known = X[fitted] - centre
    if (known == known[0]).all():
        return np.zeros((len(X), 2), dtype=np.float32), (0.0, 0.0)
    components = PCA(2, random_state=SEED).fit(known)
    points: np.ndarray = (X - centre) @ components.components_.T
    weights = labels[fitted] - labels[fitted].mean()
    points *= np.where(weights @ points[fitted] < 0, -1, 1).astype(np.float32)
    first, second = components.explained_variance_ratio_.tolist()
    return points, (first, second)


def umap(X: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """UMAP fitted on some rows; the others are transformed.

    Parameters
    ----------
    X : ndarray of float32, shape (n, d)
    fitted : ndarray of bool, shape (n,)

    Returns
    -------
    ndarray of float32, shape (n, 2)

    Raises
    ------
    MissingDependency
        umap-learn is not installed.
    """
    # one job: a seed allows no more
    fit = umap_module().UMAP(n_components=2, random_state=SEED, n_jobs=1).fit(X[fitted])
    points = np.empty((len(X), 2), dtype=np.float32)
    points[fitted] = fit.embedding_
    if not fitted.all():
        points[~fitted] = fit.transform(X[~fitted])
    return points


def umap_module() -> ModuleType:
    """The package umap-learn.

    Raises
    ------
    MissingDependency
        It is not installed.
    """
    try:
        return importlib.import_module("umap")
    except ImportError as error:
        raise MissingDependency(
            "projection 'umap' needs umap-learn", advice="pip install w2sprobe[umap]"
        ) from error
