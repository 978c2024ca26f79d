"""What is swept, and how."""

from dataclasses import dataclass

from w2sprobe.folds import FOLDS
from w2sprobe.probes import Preprocess


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
        Folds of the cross-fitted predictions. Their AUC is the mean of the AUCs inside the folds.
    preprocess : {"none", "center", "standardize"}, default "none"
    in_sample : bool, default False
        Also score the fits on the rows that they were fitted on, a row among its own neighbours,
        as the source experiments did.
    ceiling : bool, default False
        Also fit on the truth of the training rows: what the same probes could reach.
    n_true_labels : int, default 0
        Training rows whose truth may be used to choose a setting; they are not scored with the
        others.
    leave_one_out : bool, default False
        kNN leaves out each row, and its copies, instead of a fold, and all rows are ranked
        together: the AUC is biased downwards, by more the larger k is beside the number of rows.
    """

    ks: tuple[int, ...] = ()
    l2s: tuple[float, ...] = ()
    cv: int = FOLDS
    preprocess: Preprocess = "none"
    in_sample: bool = False
    ceiling: bool = False
    n_true_labels: int = 0
    leave_one_out: bool = False
