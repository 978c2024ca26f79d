"""What each kind of stage does: inputs are files and rows, the output is one folder."""

from pathlib import Path

from w2sprobe.atomic import write_json
from w2sprobe.cache import ActivationStore
from w2sprobe.curation import filter_at_random, filter_by_disagreement, relabel
from w2sprobe.data import Rows, truth_table
from w2sprobe.experiments.config import ExperimentConfig
from w2sprobe.experiments.methods import Method
from w2sprobe.extraction import extract
from w2sprobe.labels import LabelTable
from w2sprobe.probes import KNNProbe, LogisticProbe, TopoFilter
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.trainer import finetune

LABELS = "labels.parquet"  # of train and probe stages: predictions; of curate stages: new labels
CURATION = "curation.json"


def label_file(folder: Path) -> Path:
    """Return the LabelTable that a train, probe or curate stage leaves."""
    return folder / LABELS


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
) -> None:
    """Finetune on a table of labels, or on truth, and predict."""
    table = LabelTable.read(labels) if labels else truth_table(rows, val)
    trained = finetune(model, rows, table, val, folder, settings, device=device)
    trained.predict(predicted).write(label_file(folder))


def extract_step(folder: Path, *, model: str, rows: Rows, truncate: bool, device: str) -> None:
    """Compute the activations of all rows, every layer."""
    extract(model, rows.records(), folder, truncate=truncate, device=device)


def probe_step(
    folder: Path,
    *,
    method: Method,
    config: ExperimentConfig,
    layer: int,
    store: Path,
    labels: Path,
    rows: Rows,
    predicted: Rows,
) -> None:
    """Fit a probe on weak labels and predict."""
    activations = ActivationStore.open(store)
    X = activations.read(layer, activations.rows_of(rows.ids))
    Q = activations.read(layer, activations.rows_of(predicted.ids))
    probe = _make_probe(method, config).fit(X, LabelTable.read(labels).align(rows.ids).soft_label)
    LabelTable(predicted.ids, probe.predict_proba(Q)[:, 1]).write(label_file(folder))


def curate_step(
    folder: Path,
    *,
    method: Method,
    config: ExperimentConfig,
    layer: int,
    labels: Path,
    store: Path | None,
    same_size_as: Path | None,
    rows: Rows,
    val: Rows,
) -> None:
    """Relabel or filter the weak labels of the training rows."""
    table = LabelTable.read(labels)
    weak = table.align(rows.ids)
    keep, soft = weak.keep, weak.soft_label
    if same_size_as:
        like = LabelTable.read(same_size_as).align(rows.ids)
        keep = filter_at_random(len(rows), int((~like.keep).sum()), seed=config.task.seed)
    elif store:
        activations = ActivationStore.open(store)
        X = activations.read(layer, activations.rows_of(rows.ids))
        if method.curation == "relabel":
            cv = config.probes.cv if method.probe == "logistic" else None
            soft = relabel(_make_probe(method, config), X, soft, cv=cv)
        elif method.curation == "filter":
            keep = filter_by_disagreement(
                _make_probe(method, config), X, soft, contamination=config.probes.contamination
            )
        else:
            k = config.probes.n_neighbors
            topo = TopoFilter(k_cc=k, k_zeta=k, contamination=config.probes.contamination)
            keep = topo.fit(X, soft).keep_mask_
    curated = LabelTable(weak.ids, soft, keep)
    # validation rows keep their weak labels, so that all students stop by the same measure
    table.align([*rows.ids.tolist(), *val.ids.tolist()]).replace(curated).write(label_file(folder))
    changed = int((curated.hard_label != weak.hard_label).sum())
    write_json(
        folder / CURATION, {"offered": len(rows), "kept": int(keep.sum()), "flipped": changed}
    )


def _make_probe(method: Method, config: ExperimentConfig) -> KNNProbe | LogisticProbe:
    if method.probe == "knn":
        return KNNProbe(n_neighbors=config.probes.n_neighbors)
    return LogisticProbe(l2=config.probes.l2)
