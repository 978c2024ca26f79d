"""The same computations without w2sprobe: with FAISS, torch, scikit-learn, or dense matrices."""

from typing import Any

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components
from sklearn.linear_model import LogisticRegression

from w2sprobe.probes.backends import import_faiss


def cdist_topk(X: np.ndarray, k: int) -> np.ndarray:
    """Neighbours from the whole matrix of distances, self included."""
    tensor = torch.from_numpy(X)
    indices: np.ndarray = torch.cdist(tensor, tensor).topk(k, largest=False).indices.numpy()
    return indices


def faiss_flat(X: np.ndarray, k: int) -> np.ndarray:
    """FAISS's exhaustive search on the CPU, self included."""
    index = import_faiss().IndexFlatL2(X.shape[1])
    index.add(X)
    indices: np.ndarray = index.search(X, k)[1]
    return indices


def lbfgs(X: np.ndarray, soft: np.ndarray, l2: float) -> tuple[np.ndarray, float]:
    """One penalty by torch's L-BFGS in float32, from zero, with a strong Wolfe line search."""
    data, target = torch.from_numpy(X), torch.from_numpy(soft.astype(np.float32))
    weights = torch.zeros(X.shape[1], requires_grad=True)
    intercept = torch.zeros(1, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, intercept], max_iter=10_000, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            data @ weights + intercept, target
        )
        loss = loss + l2 * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach().double().numpy(), float(intercept.detach())


def doubled_rows(X: np.ndarray, soft: np.ndarray, l2: float) -> tuple[np.ndarray, float]:
    """One penalty by scikit-learn: each row with either label, weighted by its probability."""
    fit = LogisticRegression(C=1 / (2 * len(X) * l2), max_iter=10_000).fit(
        np.vstack([X, X]),
        np.repeat([1, 0], len(X)),
        sample_weight=np.concatenate([soft, 1 - soft]).astype(np.float32),
    )
    return fit.coef_[0].astype(np.float64), float(fit.intercept_[0])


def dense_topofilter(
    X: np.ndarray, soft: np.ndarray, k: int, contamination: float
) -> tuple[np.ndarray, np.ndarray]:
    """Component mask and keep mask, from n x n distances and a dense adjacency matrix."""
    component = np.zeros(len(X), dtype=bool)
    near = _nearest_others(X, k)
    edges = np.zeros((len(X), len(X)), dtype=bool)
    edges[np.arange(len(X))[:, None], near] = True
    edges |= edges.T
    hard = soft > 0.5
    for label in (False, True):
        rows = np.flatnonzero(hard == label)
        _, names = connected_components(edges[np.ix_(rows, rows)], directed=False)
        component[rows[names == np.bincount(names).argmax()]] = True
    inside = np.flatnonzero(component)
    near = _nearest_others(X[inside], k)
    difference = np.abs(soft[inside] - soft[inside][near].mean(axis=1))
    n_more = max(0, round(contamination * len(X)) - int((~component).sum()))
    keep = component.copy()
    keep[inside[np.argsort(-difference, kind="stable")[:n_more]]] = False
    return component, keep


def _nearest_others(X: np.ndarray, k: int) -> Any:
    tensor = torch.from_numpy(X)
    distances = torch.cdist(tensor, tensor)
    distances.fill_diagonal_(float("inf"))
    return distances.topk(k, largest=False).indices.numpy()
