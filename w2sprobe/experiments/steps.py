"""What each kind of stage does: inputs are files and rows, the output is one folder."""

import dataclasses
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from w2sprobe.atomic import write_json
from w2sprobe.audit import audit_splits
from w2sprobe.audit.tokens import count_tokens
from w2sprobe.cache import ActivationStore
from w2sprobe.curation import Action, Curated, explain, filter_at_random
from w2sprobe.data import Rows, Splits, truth_table
from w2sprobe.experiments.config import ProbeConfig, ZeroShotConfig
from w2sprobe.experiments.functions import CurationFunction
from w2sprobe.experiments.methods import Method, ProbeName
from w2sprobe.experiments.shared_runs import content_address, train_once
from w2sprobe.extraction import extract
from w2sprobe.labels import LabelTable
from w2sprobe.probes import make_probe
from w2sprobe.probing import ProbedRows, store_indicators
from w2sprobe.searches import StoredSearch
from w2sprobe.sweeps import SweepSettings, sweep
from w2sprobe.sweeps.choose import CHOICES, Choices, choose
from w2sprobe.training.classifiers import forget_base
from w2sprobe.training.iterations import FOLDS, change, copy_run, cross_fit, relabelled
from w2sprobe.training.saved import SavedModel
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.trainer import finetune
from w2sprobe.training.zero_shot import zero_shot
from w2sprobe.votes.judging import OUTSIDE

LABELS = "labels.parquet"  # of train, probe and zero_shot stages: predictions; else: new labels
CURATION = "curation.json"
OUTSIDE_COMPONENT = "outside_component"  # step of a filter; the others are named after their rule
RELABELLING = "relabelling.json"
AUDIT = "audit.json"
INDICATORS = "indicators.json"


def label_file(folder: Path) -> Path:
    """Return the LabelTable that a stage leaves."""
    return folder / LABELS


def audit_step(folder: Path, *, splits: Splits, weak: str, strong: str) -> None:
    """Audit the splits, contexts of the models included."""
    counts = {
        "the weak model": count_tokens(weak, splits),
        "the strong model": count_tokens(strong, splits, ("strong_train", "val", "test")),
    }
    audit_splits(splits, token_counts=counts).write(folder / AUDIT)


def train_step(
    folder: Path,
    *,
    model: str,
    rows: Rows,
    val: Rows,
    predicted: Rows,
    labels: Path | None,
    settings: TrainSettings,
    device: str,
    prefixes: Path,
    previous: Path | None,
    runs: Path,
    made_of: dict[str, Any],
    title: str,
) -> None:
    """Finetune on a table of labels, or on truth, and predict.

    Where iterations have stopped before these labels, be the student before instead; where another
    stage has learned from equal labels, take over its run.
    """
    if labels and previous and stopped(labels.parent):
        LabelTable.read(label_file(previous)).write(label_file(folder))
        copy_run(previous, folder)
        return
    table = LabelTable.read(labels) if labels else truth_table(rows, val)

    def train() -> None:
        options: dict[str, Any] = {"device": device, "prefixes": prefixes}
        trained = finetune(model, rows, table, val, folder, settings, **options)
        trained.predict(predicted, prefixes=prefixes).write(label_file(folder))

    address = content_address(made_of, table, rows, val)
    train_once(folder, runs, address, title, LABELS, train)


def stopped(folder: Path) -> bool:
    """Whether these labels, of any stage, are such that no student is trained on them."""
    file = folder / RELABELLING
    return file.is_file() and bool(json.loads(file.read_text(encoding="utf-8"))["stopped"])


def relabel_step(
    folder: Path,
    *,
    model: str,
    given: Path,
    student: Path,
    rows: Rows,
    val: Rows,
    settings: TrainSettings,
    cv: int | None,
    stop_at: float | None,
    device: str,
    prefixes: Path,
) -> None:
    """Relabel the training rows with the student before, or cross-fitted ones of the same labels.

    Where iterations have stopped before, the labels stay.
    """
    # test rows that the weak model has predicted stay behind
    table = LabelTable.read(label_file(given)).align([*rows.ids.tolist(), *val.ids.tolist()])
    if stopped(given):
        new = table
    elif cv is None:
        predicted = SavedModel.open(student, device).predict(rows, prefixes=prefixes)
        new = relabelled(table, predicted)
    else:
        place = folder / FOLDS
        options: dict[str, Any] = {"cv": cv, "device": device, "prefixes": prefixes}
        new = relabelled(table, cross_fit(model, rows, table, val, place, settings, **options))
    new.write(label_file(folder))
    made = change(table, new, rows)  # nothing, after a stop: that is one again
    record = {**dataclasses.asdict(made), "stopped": made.ends(stop_at)}
    write_json(folder / RELABELLING, record)
    shutil.rmtree(folder / FOLDS, ignore_errors=True)


def extract_step(
    folder: Path,
    *,
    model: str,
    rows: Rows,
    truncate: bool,
    device: str,
    layers: str | int = "all",
    position: str = "last",
) -> None:
    """Compute the activations of all rows."""
    forget_base()  # the classifiers'; two models need twice the memory
    options: dict[str, Any] = {"layers": layers, "position": position, "device": device}
    extract(model, rows.records(), folder, truncate=truncate, **options)


def indicators_step(
    folder: Path, *, layer: int, store: Path, weak_store: Path, labels: Path, rows: Rows
) -> None:
    """Compute the indicators; what is not finite becomes null."""
    found = store_indicators(
        ActivationStore.open(store),
        layer,
        LabelTable.read(labels).align(rows.ids),
        weak_store=ActivationStore.open(weak_store),
        groups=rows.groups,
    )
    known = {name: value if math.isfinite(value) else None for name, value in found.items()}
    write_json(folder / INDICATORS, known)


def zero_shot_step(
    folder: Path, *, model: str, rows: Rows, settings: ZeroShotConfig, truncate: bool, device: str
) -> None:
    """Ask the model as it comes."""
    forget_base()
    options = {**dict(settings), "truncate": truncate, "device": device}
    zero_shot(model, rows, **options).write(label_file(folder))


def choose_step(
    folder: Path, *, store: Path, labels: Path, rows: Rows, device: str, **candidates: Any
) -> None:
    """Choose a layer and a setting by the weak labels of the training rows."""
    weak = LabelTable.read(labels).align(rows.ids)
    options: dict[str, Any] = {**candidates, "groups": rows.groups, "device": device}
    choose(ActivationStore.open(store), weak, rows.ids, folder, **options)


def chosen_settings(
    method: Method, settings: ProbeConfig, layer: int | None, choice: Path | None
) -> tuple[ProbeConfig, int]:
    """Settings of a method's probe and its layer, chosen ones filled in."""
    if choice is None:
        return settings, cast(int, layer)
    point = Choices.read(choice / CHOICES).of(cast(ProbeName, method.probe))
    values: dict[str, dict[str, Any]] = {
        "k": {"n_neighbors": int(point.value)},
        "l2": {"l2": point.value},
    }
    return settings.model_copy(update=values[point.setting]), point.layer


def probe_step(
    folder: Path,
    *,
    method: Method,
    settings: ProbeConfig,
    layer: int | None,
    choice: Path | None,
    store: Path,
    labels: Path | None,
    rows: Rows,
    predicted: Rows,
) -> None:
    """Fit a probe on a table of labels, or on truth, and predict."""
    settings, layer = chosen_settings(method, settings, layer, choice)
    activations = ActivationStore.open(store)
    X = activations.read(layer, activations.rows_of(rows.ids))
    Q = activations.read(layer, activations.rows_of(predicted.ids))
    table = LabelTable.read(labels) if labels else truth_table(rows)
    probe = _make_probe(method, settings, activations)
    probe.fit(X, table.align(rows.ids).soft_label)
    LabelTable(predicted.ids, probe.predict_proba(Q)[:, 1]).write(label_file(folder))


def curate_step(
    folder: Path,
    *,
    method: Method,
    action: Action,
    settings: ProbeConfig,
    layer: int | None,
    choice: Path | None,
    labels: Path,
    store: Path,
    rows: Rows,
    val: Rows,
) -> None:
    """Relabel or filter the weak labels of the training rows with a probe."""
    settings, layer = chosen_settings(method, settings, layer, choice)
    table, activations = LabelTable.read(labels), ActivationStore.open(store)
    weak = table.align(rows.ids)
    X = activations.read(layer, activations.rows_of(rows.ids))
    probe = _make_probe(method, settings, activations)
    curated = explain(
        probe,
        action,
        X,
        weak,
        rule=method.rule,
        contamination=settings.contamination,
        cv=method.folds(settings.cv),
        groups=rows.groups,
    )
    rule = "topofilter" if method.probe == "topofilter" else method.rule
    _write_curated(folder, table, curated.after, val, _steps(curated, rule))


def _steps(curated: Curated, rule: str) -> list[str]:
    """Which step of a filter each removed row fell to; the component comes first."""
    return [
        OUTSIDE_COMPONENT if reason == OUTSIDE else rule
        for reason, stays in zip(curated.reason, curated.after.keep, strict=True)
        if not stays
    ]


def function_step(
    folder: Path,
    *,
    function: CurationFunction,
    layer: int,
    labels: Path,
    store: Path,
    rows: Rows,
    val: Rows,
) -> None:
    """Let a function of the user's curate the weak labels of the training rows."""
    table, activations = LabelTable.read(labels), ActivationStore.open(store)
    X = activations.read(layer, activations.rows_of(rows.ids))
    curated = function(X, table.align(rows.ids), rows.texts)
    _write_curated(folder, table, curated, val, ["function"] * int((~curated.keep).sum()))


def random_filter_step(
    folder: Path, *, labels: Path, same_size_as: Path, rows: Rows, val: Rows, seed: int
) -> None:
    """Remove as many training rows as another filter did, whichever."""
    table = LabelTable.read(labels)
    removed = int((~LabelTable.read(same_size_as).align(rows.ids).keep).sum())
    keep = filter_at_random(len(rows), removed, seed=seed)
    weak = table.align(rows.ids)
    curated = LabelTable(rows.ids, weak.soft_label, keep, variance=weak.variance)
    _write_curated(folder, table, curated, val, ["random"] * removed)


def sweep_step(
    folder: Path,
    *,
    store: Path,
    labels: Path,
    rows: ProbedRows,
    layers: list[int],
    settings: SweepSettings,
    device: str,
) -> None:
    """Score probes on every layer and setting."""
    weak, activations = LabelTable.read(labels), ActivationStore.open(store)
    sweep(activations, weak, rows, folder, layers=layers, settings=settings, device=device)


def _write_curated(
    folder: Path, table: LabelTable, curated: LabelTable, val: Rows, steps: Sequence[str] = ()
) -> None:
    # validation rows keep their weak labels, so that all students stop by the same measure
    given = table.align([*curated.ids.tolist(), *val.ids.tolist()])
    given.replace(curated).write(label_file(folder))
    flipped = int((curated.hard_label != table.align(curated.ids).hard_label).sum())
    counts = {"offered": len(curated.ids), "kept": int(curated.keep.sum()), "flipped": flipped}
    # relabelling keeps what the given labels had kept; a filter's steps are told by id
    removed = curated.ids[~curated.keep].tolist() if steps else []
    write_json(folder / CURATION, {**counts, "steps": dict(zip(removed, steps, strict=True))})


def _make_probe(method: Method, settings: ProbeConfig, store: ActivationStore) -> Any:
    return make_probe(
        str(method.probe),
        n_neighbors=cast(int, settings.n_neighbors),  # auto is for those that do not read it
        l2=settings.l2,
        contamination=settings.contamination,
        search=StoredSearch(store),
    )
