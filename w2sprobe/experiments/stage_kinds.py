"""Kinds of stages: what each computes from its fields, and writes into its folder."""

import dataclasses
import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from w2sprobe.atomic import write_json
from w2sprobe.audit import audit_splits
from w2sprobe.audit.tokens import count_tokens
from w2sprobe.cache import ActivationStore
from w2sprobe.checks import check_both_classes
from w2sprobe.data import Rows, Splits, truth_table
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import ZeroShotConfig
from w2sprobe.experiments.functions import CurationFunction
from w2sprobe.experiments.shared_runs import content_address, train_once
from w2sprobe.experiments.stages import ASIDE, LABELS, Stage, Work
from w2sprobe.extraction import extract
from w2sprobe.folds import folds_of
from w2sprobe.indicators import indicators
from w2sprobe.labels import LabelTable
from w2sprobe.models import ModelInfo
from w2sprobe.probing.fitting import predict_layers
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.training.classifiers import forget_base
from w2sprobe.training.iterations import FOLDS_FOLDER, change, cross_fit, relabelled
from w2sprobe.training.saved import SavedModel, copy_run
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.trainer import finetune
from w2sprobe.training.zero_shot import zero_shot
from w2sprobe.votes.curated import (
    OUTSIDE,
    Action,
    Curated,
    curate,
    curate_by_masks,
    filter_at_random,
)
from w2sprobe.votes.picking import Pick
from w2sprobe.votes.table import COMPONENT, LEAVE_ONE_OUT, Votes

CURATION = "curation.json"
OUTSIDE_COMPONENT = "outside_component"  # step of TopoFilter; other steps have the rule's name
RELABELLING = "relabelling.json"
AUDIT = "audit.json"
INDICATORS = "indicators.json"
TRUTH = "truth"  # name of the label vector of true labels
HARD = ", hard"  # suffix of the name of a hardened label vector


def labels_of(stage: Stage) -> LabelTable:
    """Read the LabelTable that a stage has written."""
    return LabelTable.read(stage.folder / LABELS)


@dataclass(frozen=True)
class AuditTask(Work):
    """Audit the splits, also against the context lengths of the models."""

    KIND: ClassVar[str] = "audit"
    VERSION: ClassVar[int] = 3

    splits: Splits
    models: dict[str, ModelInfo]

    def run(self, folder: Path) -> None:
        """Write audit.json."""
        parts = {"the strong model": ("strong_train", "val", "test")}
        counts = {
            who: count_tokens(info.name, self.splits, *([parts[who]] if who in parts else []))
            for who, info in self.models.items()
        }
        audit_splits(self.splits, token_counts=counts).write(folder / AUDIT)


@dataclass(frozen=True)
class Train(Work):
    """Finetune on a table of labels, or on truth, and predict.

    If iterations have stopped, copy the previous student; if another stage was trained on equal
    labels, copy its run.
    """

    KIND: ClassVar[str] = "train"
    VERSION: ClassVar[int] = 2
    RESUMABLE: ClassVar[bool] = True

    model: ModelInfo
    settings: TrainSettings
    precision: str  # `auto` is resolved in the plan, whatever machine runs the stage
    rows: Rows
    val: Rows
    predicted: Rows
    labels: Stage | None = None
    previous: Stage | None = None
    device: str = field(metadata=ASIDE, kw_only=True)
    prefixes: Path = field(metadata=ASIDE, kw_only=True)
    runs: Path = field(metadata=ASIDE, kw_only=True)
    title: str = field(metadata=ASIDE, kw_only=True)

    def run(self, folder: Path) -> None:
        """Write a finished run and its predictions."""
        if self.labels and self.previous and stopped(self.labels.folder):
            labels_of(self.previous).write(folder / LABELS)
            copy_run(self.previous.folder, folder)
            return
        table = labels_of(self.labels) if self.labels else truth_table(self.rows, self.val)
        settings = self.settings.model_copy(update={"precision": self.precision})

        def train() -> None:
            options: dict[str, Any] = {"device": self.device, "prefixes": self.prefixes}
            trained = finetune(
                self.model.name, self.rows, table, self.val, folder, settings, **options
            )
            trained.predict(self.predicted, prefixes=self.prefixes).write(folder / LABELS)

        made_of = {
            "model": self.model.identity,
            "settings": self.settings.identity,
            "precision": self.precision,
            "train": self.rows.content,
            "val": self.val.content,
            "predicted": self.predicted.content,
            "version": 1,  # of training itself
        }
        address = content_address(made_of, table, self.rows, self.val)
        train_once(folder, self.runs, address, self.title, LABELS, train)


def stopped(folder: Path) -> bool:
    """Whether the iterations ended with these labels, so that no student is trained on them."""
    file = folder / RELABELLING
    return file.is_file() and bool(json.loads(file.read_text(encoding="utf-8"))["stopped"])


@dataclass(frozen=True)
class Relabel(Work):
    """Relabel the training rows with the previous student, or with cross-fitted students.

    If iterations have stopped, the labels are kept.
    """

    KIND: ClassVar[str] = "relabel"
    VERSION: ClassVar[int] = 2
    RESUMABLE: ClassVar[bool] = True

    labels: Stage
    student: Stage | None  # None if cross-fitted students label the rows
    model: ModelInfo
    settings: TrainSettings
    precision: str
    rows: Rows
    val: Rows
    cv: int
    stop_at: float | None
    device: str = field(metadata=ASIDE, kw_only=True)
    prefixes: Path = field(metadata=ASIDE, kw_only=True)

    def run(self, folder: Path) -> None:
        """Write the new labels and what changed."""
        rows, val = self.rows, self.val
        # the supervisor also predicts the test rows, which are left out here
        table = labels_of(self.labels).align([*rows.ids.tolist(), *val.ids.tolist()])
        if stopped(self.labels.folder):
            new = table
        elif self.student is not None:
            student = SavedModel.open(self.student.folder, self.device)
            new = relabelled(table, student.predict(rows, prefixes=self.prefixes))
        else:
            new = relabelled(
                table, cross_fit(self._fit, rows, table, folder / FOLDS_FOLDER, cv=self.cv)
            )
        new.write(folder / LABELS)
        made = change(table, new, rows)  # no change after a stop, so later iterations stop too
        record = {**dataclasses.asdict(made), "stopped": made.ends(self.stop_at)}
        write_json(folder / RELABELLING, record)
        shutil.rmtree(folder / FOLDS_FOLDER, ignore_errors=True)

    def _fit(self, labels: LabelTable, out: Path) -> SavedModel:
        settings = self.settings.model_copy(update={"precision": self.precision})
        options: dict[str, Any] = {"device": self.device, "prefixes": self.prefixes}
        return finetune(self.model.name, self.rows, labels, self.val, out, settings, **options)


@dataclass(frozen=True)
class Extract(Work):
    """Compute the activations of all rows."""

    KIND: ClassVar[str] = "extract"
    RESUMABLE: ClassVar[bool] = True

    store: dict[str, Any]  # `store_identity` of `rows`
    layers: str | int
    model: ModelInfo
    rows: Rows = field(metadata=ASIDE, kw_only=True)
    device: str = field(metadata=ASIDE, kw_only=True)

    def run(self, folder: Path) -> None:
        """Write the store."""
        forget_base()  # free the cached model of the classifiers: two need twice the memory
        options: dict[str, Any] = {"layers": self.layers, "device": self.device}
        options |= {name: self.store[name] for name in ("position", "truncate")}
        extract(self.model.name, self.rows, folder, **options)


@dataclass(frozen=True)
class ZeroShot(Work):
    """Predict labels by prompting a language model, without finetuning."""

    KIND: ClassVar[str] = "zero_shot"
    VERSION: ClassVar[int] = 2

    model: ModelInfo
    rows: Rows
    settings: ZeroShotConfig
    truncate: bool
    device: str = field(metadata=ASIDE, kw_only=True)

    def run(self, folder: Path) -> None:
        """Write its predictions as labels."""
        forget_base()
        options = {**dict(self.settings), "truncate": self.truncate, "device": self.device}
        zero_shot(self.model.name, self.rows, **options).write(folder / LABELS)


@dataclass(frozen=True)
class CastVotes(Work):
    """Fit probes to all label vectors on all layers, and store their predictions."""

    KIND: ClassVar[str] = "votes"
    VERSION: ClassVar[int] = 2
    RESUMABLE: ClassVar[bool] = True

    store: Stage
    spec: VoteSpec
    train: Rows
    others: dict[str, Rows]
    labels: dict[str, Stage]  # by name of the label vector
    hard: tuple[str, ...]  # names of label vectors that are also fitted as hard labels
    truth: bool  # whether to also fit to true labels
    device: str = field(metadata=ASIDE, kw_only=True)

    def run(self, folder: Path) -> None:
        """Write one file per layer."""
        rows = ProbedRows.of_rows(self.train, self.others)
        tables = {name: labels_of(stage) for name, stage in self.labels.items()}
        for name in self.hard:
            table = tables[name]
            tables[name + HARD] = LabelTable(table.ids, table.hard_label, table.keep)
        if self.truth:
            tables[TRUTH] = truth_table(self.train)
        store = ActivationStore.open(self.store.folder)
        usable = self._usable(tables, rows)
        predict_layers(
            store,
            self.spec,
            rows,
            usable,
            folder,
            every_row=True,
            elsewhere=self.other_stores,
            device=self.device,
        )

    @property
    def other_stores(self) -> dict[str, ActivationStore]:
        """Stores of those of `others` that are not in `store`."""
        return {}

    def _usable(self, tables: dict[str, LabelTable], rows: ProbedRows) -> dict[str, LabelTable]:
        """Select the label vectors that have both classes outside every fold.

        The others get no votes, and the methods that read them report that; they must not stop the
        methods of other supervisors.

        Raises
        ------
        InputError
            No label vector is left.
        """
        if not self.spec.needs_classes:
            return tables
        folds = folds_of(len(rows.train), self.spec.cv, rows.groups)
        usable, reason = {}, ""
        for name, table in tables.items():
            given = table.align(rows.train)
            try:
                for fold in range(self.spec.cv):
                    check_both_classes(given.soft_label[given.keep & (folds != fold)])
            except (InputError, ValueError) as error:
                reason = f"labels outside fold {fold}: {error}"
            else:
                usable[name] = table
        if not usable:
            raise InputError(reason)
        return usable


@dataclass(frozen=True)
class Noise(Work):
    """Positive control: labels as noisy as the supervisor's, with noise independent of the texts.

    Hard: each true label is flipped with the supervisor's error rate on the training rows. Soft:
    the supervisor's soft labels are permuted within each true class, which keeps their
    distribution and leaves no information about a row beyond its class.
    """

    KIND: ClassVar[str] = "noise"

    labels: Stage
    rows: Rows
    val: Rows
    soft: bool
    seed: int

    def run(self, folder: Path) -> None:
        """Write labels of the training and validation rows."""
        given, generator = labels_of(self.labels), np.random.default_rng(self.seed)
        rate = float((given.align(self.rows.ids).hard_label != self.rows.labels).mean())
        parts = [
            deal_out(given.align(part.ids).soft_label, part.labels, generator)
            if self.soft
            else flip(part.labels, rate, generator)
            for part in (self.rows, self.val)
        ]
        ids = np.concatenate([self.rows.ids, self.val.ids])
        LabelTable(ids, np.concatenate(parts)).write(folder / LABELS)


def flip(truth: np.ndarray, rate: float, generator: np.random.Generator) -> np.ndarray:
    """Flip each label independently with probability `rate`: float64, 0 or 1."""
    flipped: np.ndarray = np.where(generator.random(len(truth)) < rate, 1.0 - truth, truth)
    return flipped


def deal_out(soft: np.ndarray, truth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Permute soft labels within each true class."""
    dealt = soft.copy()
    for label in (0, 1):
        rows = np.flatnonzero(truth == label)
        dealt[rows] = soft[generator.permutation(rows)]
    return dealt


@dataclass(frozen=True)
class Curate(Work):
    """Relabel or filter the labels of the training rows by votes."""

    KIND: ClassVar[str] = "curate"
    VERSION: ClassVar[int] = 5

    votes: Stage
    pick: Pick
    labels: Stage
    split: str  # how training rows are predicted: a split of `w2sprobe.votes.table`
    action: Action
    rule: str
    contamination: float | None
    per_class: bool
    rows: Rows
    val: Rows

    def run(self, folder: Path) -> None:
        """Write the new labels, and the step that removed each removed row."""
        table = labels_of(self.labels)
        votes = Votes.open(self.votes.folder)
        points = self.pick.points(self.pick.choices(votes, table.align(self.rows.ids)))
        given, p = _kept(table, self.rows), self.pick.predict(votes, points, self.split)
        if self.pick.probe == "topofilter":
            component = dataclasses.replace(self.pick, probe=COMPONENT)
            masks = (p, component.predict(votes, points, LEAVE_ONE_OUT))
            curated = curate_by_masks(
                given, *(one.align(given.ids).soft_label > 0 for one in masks)
            )
        else:
            curated = curate(
                self.action,
                given,
                p.align(given.ids).soft_label,
                rule=self.rule,
                contamination=self.contamination,
                per_class=self.per_class,
            )
        rule = "topofilter" if self.pick.probe == "topofilter" else self.rule
        write_curated(folder, table, curated.after, self.rows, self.val, _steps(curated, rule))


def _kept(table: LabelTable, rows: Rows) -> LabelTable:
    """Labels of the rows that the supervisor keeps; curation cannot bring others back."""
    given = table.align(rows.ids)
    return given.align(given.ids[given.keep])


def _steps(curated: Curated, rule: str) -> list[str]:
    """Step of a filter that removed each removed row."""
    return [
        OUTSIDE_COMPONENT if reason == OUTSIDE else rule
        for reason, stays in zip(curated.reason, curated.after.keep, strict=True)
        if not stays
    ]


@dataclass(frozen=True)
class CurateByFunction(Work):
    """Curate the labels of the training rows with a user's function."""

    KIND: ClassVar[str] = "curate"
    VERSION: ClassVar[int] = 5

    store: Stage
    labels: Stage
    function: CurationFunction
    layer: int
    rows: Rows
    val: Rows

    def run(self, folder: Path) -> None:
        """Write the new labels."""
        table, store = labels_of(self.labels), ActivationStore.open(self.store.folder)
        X = store.read(self.layer, store.rows_of(self.rows.ids))
        curated = self.function(X, table.align(self.rows.ids), self.rows.texts)
        steps = ["function"] * int((~curated.keep).sum())
        write_curated(folder, table, curated, self.rows, self.val, steps)


@dataclass(frozen=True)
class FilterAtRandom(Work):
    """Remove as many training rows at random as another filter removed."""

    KIND: ClassVar[str] = "curate"
    VERSION: ClassVar[int] = 5

    labels: Stage
    same_size_as: Stage
    rows: Rows
    val: Rows
    seed: int

    def run(self, folder: Path) -> None:
        """Write the labels, with `keep` false for removed rows."""
        table = labels_of(self.labels)
        given = _kept(table, self.rows)
        removed = int((~labels_of(self.same_size_as).align(given.ids).keep).sum())
        keep = filter_at_random(len(given), removed, seed=self.seed)
        curated = LabelTable(given.ids, given.soft_label, keep, variance=given.variance)
        write_curated(folder, table, curated, self.rows, self.val, ["random"] * removed)


def write_curated(
    folder: Path,
    table: LabelTable,
    curated: LabelTable,
    rows: Rows,
    val: Rows,
    steps: Sequence[str] = (),
) -> None:
    """Write labels of the training and validation rows, and counts of what changed.

    Validation labels are never curated: all students use the weak labels for early stopping.
    """
    given = table.align([*rows.ids.tolist(), *val.ids.tolist()])
    given.replace(curated).write(folder / LABELS)
    flipped = int((curated.hard_label != table.align(curated.ids).hard_label).sum())
    counts = {"offered": len(curated.ids), "kept": int(curated.keep.sum()), "flipped": flipped}
    # relabelling removes no row, so it has no steps
    removed = curated.ids[~curated.keep].tolist() if steps else []
    write_json(folder / CURATION, {**counts, "steps": dict(zip(removed, steps, strict=True))})


@dataclass(frozen=True)
class Indicators(Work):
    """Compute the label-free indicators; non-finite values become null."""

    KIND: ClassVar[str] = "indicators"
    VERSION: ClassVar[int] = 3

    store: Stage
    weak_store: Stage | None
    weak_layer: int | None
    votes: Stage
    pick: Pick
    split: str
    labels: Stage
    rows: Rows

    def run(self, folder: Path) -> None:
        """Write indicators.json."""
        ids, votes = self.rows.ids, Votes.open(self.votes.folder)
        given = labels_of(self.labels).align(ids)
        points = self.pick.points(self.pick.choices(votes, given))
        p = self.pick.predict(votes, points, self.split).align(ids).soft_label
        (layer,) = self.pick.layers
        store = ActivationStore.open(self.store.folder)
        Z = None
        if self.weak_store is not None and self.weak_layer is not None:
            weak = ActivationStore.open(self.weak_store.folder)
            Z = weak.read(self.weak_layer, weak.rows_of(ids))
        values = indicators(store.read(layer, store.rows_of(ids)), given.soft_label, p, Z)
        finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
        write_json(folder / INDICATORS, finite)
