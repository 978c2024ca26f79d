"""Strong-to-strong: relabel the training rows by a student, for the next one to be trained on.

Source: EleutherAI, "Experiments in Weak-to-Strong Generalization", and its code: every student is
trained afresh from the base model, on the in-sample soft labels of the one before. Here validation
rows keep the labels that they were given, so that all students choose their checkpoint by the
same measure; the source's code relabels them too.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from w2sprobe.checks import optional_groups
from w2sprobe.data import Rows
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.training.saved import SavedModel

FOLDS_FOLDER = "folds"  # folder of `cross_fit`, removed once the new labels are written


@dataclass(frozen=True)
class Change:
    """How much a relabelling changed the labels of the training rows that are kept.

    Parameters
    ----------
    n_rows : int
        Rows that are kept.
    n_flipped : int
        Those of them whose hard label has changed.
    mean_change : float
        Mean absolute difference of their soft labels, in [0, 1].
    """

    n_rows: int
    n_flipped: int
    mean_change: float

    def ends(self, stop_at: float | None) -> bool:
        """Whether to stop iterating: at most a share `stop_at` of the hard labels has changed.

        With None, never stop.
        """
        return stop_at is not None and self.n_flipped <= stop_at * self.n_rows


def cross_fit(
    fit: Callable[[LabelTable, Path], SavedModel],
    train: Rows,
    labels: LabelTable,
    folder: Path,
    *,
    cv: int,
) -> LabelTable:
    """Predict each training row with a student that was trained on the other folds.

    A row's label does not influence its prediction directly. From the second relabelling on it
    does indirectly: labels of other rows then come from students that were trained on it.

    Parameters
    ----------
    fit : callable
        `finetune` on all rows of `train`, called with labels and a folder; rows with keep False are
        not trained on.
    train : Rows
        Rows of one group share a fold.
    labels : LabelTable
        Labels of `train`; those of other rows are passed to `fit` unchanged.
    folder : Path
        For predictions, `fold-0.parquet` ...; those that exist are reused.
    cv : int
        Folds, from 2 to the number of rows, or of groups if there are any.

    Returns
    -------
    LabelTable
        All rows of `train` in their order, those with keep False too.

    Raises
    ------
    InputError
        `cv` is out of range; whatever `finetune` refuses.
    """
    folds = folds_of(len(train), cv, optional_groups(train.groups, len(train)))
    files = [folder / f"fold-{number}.parquet" for number in range(cv)]
    for number, file in enumerate(files):
        if file.is_file():
            continue
        held_out = train.select(np.flatnonzero(folds == number))
        # left out of training by keep=False, not by selection, so that all students share a prefix
        soft = labels.align(held_out.ids).soft_label
        without = LabelTable(held_out.ids, soft, np.zeros(len(held_out), dtype=bool))
        run = folder / f"fold-{number}"
        fit(labels.replace(without), run).predict(held_out).write(file)
        shutil.rmtree(run)
    return LabelTable.concatenate([LabelTable.read(file) for file in files]).align(train.ids)


def relabelled(labels: LabelTable, predicted: LabelTable) -> LabelTable:
    """Replace soft labels by a student's predictions; rows that were left out stay left out.

    Parameters
    ----------
    labels : LabelTable
        What the student was trained on.
    predicted : LabelTable
        Its predictions of the training rows. Other rows, validation rows among them, keep their
        labels.
    """
    keep = labels.align(predicted.ids).keep
    return labels.replace(LabelTable(predicted.ids, predicted.soft_label, keep))


def change(before: LabelTable, after: LabelTable, train: Rows) -> Change:
    """Count what a relabelling has changed among the training rows that are kept."""
    old, new = before.align(train.ids), after.align(train.ids)
    flipped = (old.hard_label != new.hard_label)[new.keep]
    moved = np.abs(old.soft_label - new.soft_label)[new.keep]
    return Change(int(new.keep.sum()), int(flipped.sum()), float(moved.mean()))
