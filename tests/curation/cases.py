"""Two clouds with a few labels flipped: what a filter should find is known."""

import numpy as np

N, N_FLIPPED = 120, 12


def planted(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Activations, soft labels with no two alike, truth; flips in both classes."""
    random = np.random.default_rng(seed)
    truth = np.arange(N) % 2
    X = random.normal(size=(N, 6)) + 2 * truth[:, None]
    hard = truth.copy()
    hard[:N_FLIPPED] = 1 - hard[:N_FLIPPED]
    soft = np.where(hard == 1, 1, 0) + np.where(hard == 1, -1, 1) * random.uniform(0, 0.4, N)
    order = random.permutation(N)
    return X[order], soft[order], truth[order]


X, SOFT, TRUTH = planted(0)
Y = (SOFT > 0.5).astype(float)
FLIPPED = np.flatnonzero(Y != TRUTH)
