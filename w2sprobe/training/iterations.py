"""Strong-to-strong: students trained one after the other, each on the labels of the one before.

Source: EleutherAI, "Experiments in Weak-to-Strong Generalization", and its code: every student is
trained afresh from the base model, on the in-sample soft labels of the one before. Here validation
rows keep the labels that they were given, so that all students choose their epoch by the same
measure; the source's code relabels them too.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from w2sprobe.atomic import write_json
from w2sprobe.checks import optional_groups
from w2sprobe.data import Rows
from w2sprobe.devices import rank_and_world, resolve_device
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import fingerprint, fingerprint_strings
from w2sprobe.folds import folds_of
from w2sprobe.labels import LabelTable
from w2sprobe.models import describe_model
from w2sprobe.training.classifiers import ADAPTER, WEIGHTS
from w2sprobe.training.requirements import check_trainable, training_precision
from w2sprobe.training.saved import RECORD, VALIDATION, SavedModel, read_run
from w2sprobe.training.settings import VAL_SCORES, TrainSettings
from w2sprobe.training.trainer import finetune

ITERATIONS = "iterations.json"  # at once whose folder it is, at the end what was done
# of one iteration
GIVEN = "labels.parquet"  # what its student is trained on
STUDENT = "student"  # a finished run
FOLDS = "folds"  # only while its labels are made


@dataclass(frozen=True)
class Change:
    """What a relabelling did to the training rows that are kept.

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
        """Whether at most this share of the hard labels has changed; never for None."""
        return stop_at is not None and self.n_flipped <= stop_at * self.n_rows


def strong_to_strong(
    model: str,
    train: Rows,
    labels: LabelTable,
    val: Rows,
    out: str | Path,
    settings: TrainSettings,
    *,
    iterations: int,
    cv: int | None = None,
    stop_at: float | None = None,
    device: str = "auto",
    prefixes: Path | None = None,
) -> SavedModel:
    """Finetune a student, relabel its training rows, finetune the next one on them, and so on.

    Parameters
    ----------
    model, train, labels, val, settings, device, prefixes
        As in `finetune`; all students have the same settings, the seed included. Rows of `train`
        with keep False are relabelled too, and stay out of training.
    out : str or Path
        Folder. `iteration-0/`, `iteration-1/` ... each get `labels.parquet`, what that student was
        given, and `student/`, its finished run. What is there already is not computed again: a run
        that was killed goes on, and more iterations can be asked for later. At the end the last
        student's run is copied to `out` itself, for `SavedModel.open`, and `iterations.json` says
        what each relabelling did.
    iterations : int, at least 0
        Students after the first one.
    cv : int, optional, in [2, n], or up to the number of groups
        Cross-fit: a row is relabelled by a student that was not trained on it, one of `cv` that
        are trained for this alone and removed. Rows of one group share a fold. None: in-sample, as
        published.
    stop_at : float, optional, in [0, 1)
        Train no further student once a relabelling changes the hard labels of at most this share
        of the kept training rows.

    Returns
    -------
    SavedModel
        The last student, in `out`.

    Raises
    ------
    InputError
        `iterations`, `cv` or `stop_at` is out of range or missing beside the others; there are
        several processes; `out` belongs to another run; whatever `finetune` refuses.

    Notes
    -----
    Cross-fitting keeps a row's own label out of its next one. From the second relabelling on it
    has an indirect say: other rows' labels come from students that were trained on it.
    """
    check_iterations(iterations, cv, stop_at)
    if cv is not None:
        row_folds(train, cv)  # refuses what does not fit before anything is trained
    check_trainable(describe_model(model), settings)
    place = Path(out)
    given = labels.align([*train.ids.tolist(), *val.ids.tolist()])
    _claim(place, model, train, given, val, settings, cv=cv, device=device)
    shared = prefixes or place / "prefixes"
    student = _iteration(place, 0) / STUDENT
    given.write(_iteration(place, 0) / GIVEN)
    _finish(model, train, given, val, student, settings, device=device, prefixes=shared)
    changes: list[Change] = []
    for iteration in range(1, iterations + 1):
        folder = _iteration(place, iteration)
        if not (folder / GIVEN).is_file():
            if cv is None:
                predicted = SavedModel.open(student, device).predict(train)
            else:
                predicted = cross_fit(
                    model,
                    train,
                    given,
                    val,
                    folder / FOLDS,
                    settings,
                    cv=cv,
                    device=device,
                    prefixes=shared,
                )
            relabelled(given, predicted).write(folder / GIVEN)
        shutil.rmtree(folder / FOLDS, ignore_errors=True)
        before, given = given, LabelTable.read(folder / GIVEN)
        changes.append(change(before, given, train))
        if changes[-1].ends(stop_at):
            break
        student = folder / STUDENT
        _finish(model, train, given, val, student, settings, device=device, prefixes=shared)
    _record(place, changes, cv=cv, stop_at=stop_at)
    copy_run(student, place)
    shutil.rmtree(place / "prefixes", ignore_errors=True)
    return SavedModel.open(place, device)


def check_iterations(iterations: int, cv: int | None, stop_at: float | None) -> None:
    """Refuse settings that do not go together, without looking at any rows.

    Parameters
    ----------
    iterations, cv, stop_at
        As in `strong_to_strong`.

    Raises
    ------
    InputError
        `iterations` is negative, `stop_at` is not a share, `iterations` is 0 beside one of the
        others, or more than 0 in one of several processes.
    """
    if iterations and rank_and_world()[1] > 1:
        raise InputError(
            f"--iterations {iterations} in {rank_and_world()[1]} processes",
            allowed="one",
            advice="Train, predict the training rows, and train again on their labels.",
        )
    if iterations < 0:
        raise InputError(f"--iterations is {iterations}", allowed="0 or more")
    for option, value in (("--cv", cv), ("--stop-at", stop_at)):
        if value is not None and not iterations:
            raise InputError(f"{option} without --iterations", advice="Pass both, or neither.")
    if stop_at is not None and not 0 <= stop_at < 1:
        raise InputError(f"--stop-at is {stop_at}", allowed="a share, from 0 to below 1")


def row_folds(train: Rows, cv: int) -> np.ndarray:
    """Number the fold of each row, groups whole.

    Parameters
    ----------
    train : Rows
        Labels are not looked at.
    cv : int

    Returns
    -------
    ndarray of int64, shape (n,)
        In [0, cv).

    Raises
    ------
    InputError
        `cv` is not between 2 and the number of rows, or of groups where there are any.
    """
    return folds_of(len(train), cv, optional_groups(train.groups, len(train)))


def cross_fit(
    model: str,
    train: Rows,
    labels: LabelTable,
    val: Rows,
    folder: Path,
    settings: TrainSettings,
    *,
    cv: int,
    device: str = "auto",
    prefixes: Path | None = None,
) -> LabelTable:
    """Predict each training row with a student that was trained on the other folds.

    Parameters
    ----------
    model, train, labels, val, settings, device, prefixes
        As in `finetune`.
    folder : Path
        Gets `fold-0.parquet` ..., the predictions; a student's run lies there only until its
        predictions do. What is there already is not computed again.
    cv : int
        Number of folds.

    Returns
    -------
    LabelTable
        Of all rows of `train`, in their order, those with keep False in `labels` too.

    Raises
    ------
    InputError
        `cv` is out of range; whatever `finetune` refuses.
    """
    folds = row_folds(train, cv)
    files = [folder / f"fold-{number}.parquet" for number in range(cv)]
    for number, file in enumerate(files):
        if file.is_file():
            continue
        left_out = train.select(np.flatnonzero(folds == number))
        # not trained on, but handed over: so all students of these rows share one prefix
        soft = labels.align(left_out.ids).soft_label
        table = labels.replace(LabelTable(left_out.ids, soft, np.zeros(len(left_out), dtype=bool)))
        run = folder / f"fold-{number}"
        _finish(model, train, table, val, run, settings, device=device, prefixes=prefixes)
        SavedModel.open(run, device).predict(left_out).write(file)
        shutil.rmtree(run)
    return LabelTable.concatenate([LabelTable.read(file) for file in files]).align(train.ids)


def relabelled(labels: LabelTable, predicted: LabelTable) -> LabelTable:
    """Labels of the next student: the rows predicted take their new soft label and keep their mark.

    Parameters
    ----------
    labels : LabelTable
        Of the student before.
    predicted : LabelTable
        Of the training rows; all others, validation rows among them, stay as they were.

    Returns
    -------
    LabelTable
    """
    keep = labels.align(predicted.ids).keep
    return labels.replace(LabelTable(predicted.ids, predicted.soft_label, keep))


def change(before: LabelTable, after: LabelTable, train: Rows) -> Change:
    """Count what a relabelling has changed.

    Parameters
    ----------
    before, after : LabelTable
    train : Rows
        Only these are compared, and of these only what is kept.

    Returns
    -------
    Change
    """
    old, new = before.align(train.ids), after.align(train.ids)
    flipped = (old.hard_label != new.hard_label)[new.keep]
    moved = np.abs(old.soft_label - new.soft_label)[new.keep]
    return Change(int(new.keep.sum()), int(flipped.sum()), float(moved.mean()))


def copy_run(source: Path, target: Path, notes: dict[str, Any] | None = None) -> None:
    """Make `target` the finished run that `source` is; a copy that was cut short is visibly none.

    Parameters
    ----------
    source, target : Path
        Folders; what else lies in them stays as it is.
    notes : dict, optional
        Added to the record of the copy.
    """
    (target / RECORD).unlink(missing_ok=True)
    for name in (ADAPTER, WEIGHTS):
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
    (target / VALIDATION).unlink(missing_ok=True)  # of another student; the source may have none
    if (source / VALIDATION).is_file():
        shutil.copyfile(source / VALIDATION, target / VALIDATION)
    write_json(target / RECORD, read_run(source) | (notes or {}))


def _iteration(out: Path, number: int) -> Path:
    return out / f"iteration-{number}"


def _finish(
    model: str,
    train: Rows,
    labels: LabelTable,
    val: Rows,
    folder: Path,
    settings: TrainSettings,
    *,
    device: str,
    prefixes: Path | None,
) -> None:
    """Finetune, unless that was done; the model is not handed on, so that it leaves memory."""
    if not (folder / RECORD).is_file():
        finetune(model, train, labels, val, folder, settings, device=device, prefixes=prefixes)


def _claim(
    out: Path,
    model: str,
    train: Rows,
    labels: LabelTable,
    val: Rows,
    settings: TrainSettings,
    *,
    cv: int | None,
    device: str,
) -> None:
    """Refuse a folder in which students of other rows, labels or settings lie."""
    info = describe_model(model)
    made_of = fingerprint(
        {
            "model": info.identity,
            "settings": settings.identity,
            "precision": training_precision(info, settings, resolve_device(device)),
            "train": fingerprint_strings(train.ids.tolist(), train.texts),
            "groups": None if train.groups is None else train.groups.tolist(),
            "val": fingerprint_strings(val.ids.tolist(), val.texts),
            "labels": [labels.soft_label.tolist(), labels.keep.tolist()],
            "cv": cv,
        }
    )
    file = out / ITERATIONS
    # where a run was refused before it began there is no student, and it may be mended
    if file.is_file() and any(out.glob(f"iteration-*/{STUDENT}")):
        if json.loads(file.read_text(encoding="utf-8"))["fingerprint"] != made_of:
            raise InputError(
                "students of other rows, labels, model or settings",
                where=str(out),
                advice="Go on with those, choose another folder, or remove this one.",
            )
    else:
        write_json(file, {"fingerprint": made_of})


def _record(out: Path, changes: list[Change], *, cv: int | None, stop_at: float | None) -> None:
    """Say in `iterations.json` what each relabelling did, and how each student scores on val."""
    stopped = bool(changes) and changes[-1].ends(stop_at)
    last = len(changes) - stopped
    steps: list[dict[str, Any]] = []
    for number in range(len(changes) + 1):
        made = asdict(changes[number - 1]) if number else {}
        scores: dict[str, float | None] = dict.fromkeys(VAL_SCORES)
        if number <= last:
            run = read_run(_iteration(out, number) / STUDENT)
            kept = run["val_step"].index(run["chosen_step"])
            scores = {name: run[name][kept] for name in VAL_SCORES}
        steps.append({"iteration": number, **made, **scores})
    why = (
        f"{changes[-1].n_flipped} of {changes[-1].n_rows} hard labels changed" if stopped else None
    )
    file = out / ITERATIONS
    claim = json.loads(file.read_text(encoding="utf-8"))["fingerprint"]
    write_json(
        file,
        {
            "fingerprint": claim,
            "cv": cv,
            "stop_at": stop_at,
            "last": last,
            "stopped": why,
            "iterations": steps,
        },
    )
