"""A layer and a setting for every probe, by weak labels alone: what a study may do before it tests.

The training rows go in without truth and without other rows, so that nothing that is scored later
has a say.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from w2sprobe.atomic import write_json
from w2sprobe.cache import ActivationStore
from w2sprobe.errors import InputError, UnknownName
from w2sprobe.folds import FOLDS
from w2sprobe.labels import LabelTable
from w2sprobe.probes import Preprocess
from w2sprobe.probing import ProbedRows, ProbeName
from w2sprobe.sweeps.layer import CROSS_FIT
from w2sprobe.sweeps.run import sweep
from w2sprobe.sweeps.selection import RULES
from w2sprobe.sweeps.settings import SweepSettings

WeakRule = Literal["weak_auc", "weak_log_loss"]

CHOICES = "chosen.json"
# whose choice a probe takes; mass-mean has no penalty, and its probabilities, which are not
# calibrated, no log-loss: it takes the layer of the other linear probe
SWEPT: dict[ProbeName, str] = {
    "knn": "knn",
    "topofilter": "knn",
    "logistic": "logistic",
    "mass-mean": "logistic",
}


@dataclass(frozen=True)
class Choice:
    """A point of a sweep.

    Parameters
    ----------
    layer : int
    setting : {"k", "l2"}
    value : float
    criterion : float
        What the rule looked at: cross-fitted AUC or log-loss against the weak labels.
    """

    layer: int
    setting: str
    value: float
    criterion: float


@dataclass(frozen=True)
class Choices:
    """What was chosen, of each probe that was swept.

    Parameters
    ----------
    rule : {"weak_auc", "weak_log_loss"}
    points : dict of str to Choice
        By probe, "knn" and "logistic".
    """

    rule: WeakRule
    points: dict[str, Choice]

    def of(self, probe: ProbeName) -> Choice:
        """Return a probe's choice: topofilter takes that of kNN, mass-mean the logistic layer.

        Raises
        ------
        InputError
            There were no settings of it to choose from.
        """
        if SWEPT[probe] not in self.points:
            raise InputError(
                f"nothing was chosen for {probe}", allowed=f"probes that take {list(self.points)}"
            )
        return self.points[SWEPT[probe]]

    def write(self, path: Path) -> None:
        """Write JSON, atomically."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Choices":
        """Read what `write` wrote.

        Raises
        ------
        InputError
            No such file, or not one of choices.
        """
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
            points = {probe: Choice(**point) for probe, point in there["points"].items()}
            return cls(there["rule"], points)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(f"cannot read choices {str(path)!r}: {error}") from error


def choose(
    store: ActivationStore,
    labels: LabelTable,
    ids: np.ndarray,
    out: str | Path,
    *,
    layers: Sequence[int],
    ks: Sequence[int] = (),
    l2s: Sequence[float] = (),
    rule: WeakRule = "weak_log_loss",
    groups: np.ndarray | None = None,
    cv: int = FOLDS,
    preprocess: Preprocess = "none",
    device: str = "auto",
) -> Choices:
    """Sweep the training rows and choose each probe's layer and setting by their weak labels.

    Parameters
    ----------
    store : ActivationStore
    labels : LabelTable
        Weak labels of the training rows; those that it marks as filtered out are left out.
    ids : ndarray of str, shape (n,)
        Training rows.
    out : str or Path
        Folder of the sweep, which goes on where it stopped, and of `chosen.json`.
    layers : sequence of int
        Of the store.
    ks : sequence of int
        Neighbours of kNN; empty: nothing is chosen for it.
    l2s : sequence of float
        Penalties of logistic regression; empty: nothing is chosen for it.
    rule : {"weak_auc", "weak_log_loss"}, default "weak_log_loss"
        Largest AUC against the hard weak labels or least log-loss against the soft ones, of
        out-of-fold predictions; the AUC is the mean of those inside the folds. docs/probes.md has
        their regret.
    groups : ndarray of int, shape (n,), optional
        Rows of one value have no say in one another's labels.
    cv : int, default 5
        Folds of all probes.
    preprocess : {"none", "center", "standardize"}, default "none"
    device : str, default "auto"
        Of logistic regression.

    Returns
    -------
    Choices
        Also written to `out`. Of equal points the first, in the order of `layers` and settings.

    Raises
    ------
    InputError
        As `sweep`; or the rule has no number for any point of a probe.
    UnknownName
        No such rule, or one that needs truth.
    IdMismatch
        A row that is not in the labels or the store.
    OutputError
        `out` cannot be written to.
    """
    weak_rules = [name for name, (evaluation, _, _) in RULES.items() if evaluation == CROSS_FIT]
    if rule not in weak_rules:
        raise UnknownName("rule", rule, weak_rules)
    rows = ProbedRows("train", ids, {}, None, groups)
    settings = SweepSettings(ks=tuple(ks), l2s=tuple(l2s), cv=cv, preprocess=preprocess)
    done = sweep(store, labels, rows, out, layers=layers, settings=settings, device=device)
    found = {one.among: one for one in done.selections if one.rule == rule}
    points = {}
    for probe in dict.fromkeys(done.table["probe"].to_pylist()):
        if probe not in found:
            raise InputError(
                f"{rule} has no number for any setting of {probe}",
                allowed="weak labels of both classes in a fold; soft ones, or larger k, for a "
                "log-loss",
            )
        one = found[probe]
        points[probe] = Choice(one.layer, one.setting, one.value, one.criterion)
    choices = Choices(rule, points)
    choices.write(Path(out) / CHOICES)
    return choices
