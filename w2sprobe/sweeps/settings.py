"""What is swept, and how."""

from dataclasses import dataclass

from w2sprobe.probes import Preprocess
from w2sprobe.probes._folds import FOLDS


@dataclass(frozen=True)
class SweepSettings:
    """Settings of the probes and how they are judged; layers are not among them.

    Parameters
    ----------
    ks : tuple of int
        Neighbours of kNN; empty: no kNN.
    l2s : tuple of float
        Penalties of logistic regression; empty: none.
    cv : int, default 5
        Folds of the cross-fitted logistic predictions; kNN leaves each row, and its copies, out.
    preprocess : {"none", "center", "standardize"}, default "none"
    in_sample : bool, default False
        Also score the fits on the rows that they were fitted on, a row among its own neighbours,
        as the source experiments did.
    ceiling : bool, default False
        Also fit on the truth of the training rows: what the same probes could reach.
    n_true_labels : int, default 0
        Training rows whose truth may be used to choose a setting; they are not scored with the
        others.
    """

    ks: tuple[int, ...] = ()
    l2s: tuple[float, ...] = ()
    cv: int = FOLDS
    preprocess: Preprocess = "none"
    in_sample: bool = False
    ceiling: bool = False
    n_true_labels: int = 0
