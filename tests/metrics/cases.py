"""Models with shared noise, and how laws are searched for counterexamples."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

laws = settings(deadline=None, max_examples=60, derandomize=True)


def models(n, seed=0, noise=(3.0, 1.5, 0.8)):
    """Truth, and scores of a weak model, a student and a ceiling that share part of their noise."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 2, n)
    shared = generator.normal(size=n)
    return truth, *(truth + s * (shared + generator.normal(size=n)) / 2 for s in noise)


@st.composite
def predicted(draw, both=False):
    """Truth and probabilities: some with ties, on edges of bins, exactly 0 or 1."""
    n = draw(st.integers(2, 60))
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    truth = random.integers(0, 2, n)
    if both:
        truth[:2] = 0, 1
    p = random.random(n)
    kind = draw(st.sampled_from(["smooth", "tenths", "small", "hard"]))
    p = {"smooth": p, "tenths": np.round(p, 1), "small": p / 5, "hard": np.round(p)}[kind]
    return truth, p
