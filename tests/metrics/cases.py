"""Models with shared noise, and how laws are searched for counterexamples."""

import numpy as np
from hypothesis import settings

laws = settings(deadline=None, max_examples=60, derandomize=True)


def models(n, seed=0, noise=(3.0, 1.5, 0.8)):
    """Truth, and scores of a weak model, a student and a ceiling that share part of their noise."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, n)
    shared = generator.normal(size=n)
    return truth, *(truth + s * (shared + generator.normal(size=n)) / 2 for s in noise)
