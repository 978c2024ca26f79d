"""Card of a saved probe: what it was fitted on, how it was evaluated, and on which rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

Interval = tuple[float, float]
TRAIN, TEST = "train", "test"


class _Part(BaseModel):
    """Fields of a card; those that a later version adds are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class TrainingRows(_Part):
    """Rows that the probe was fitted on."""

    name: str = Field(description="Name of the task, or of the label file.")
    rows: str = Field(description="Fingerprint of the ids.")
    labels: str = Field(description="Fingerprint of ids and soft labels.")
    n_rows: int
    n_ones: int = Field(description="Rows with a soft label above one half.")


class Recall(_Part):
    """Recall at a false-positive rate; fields as in `w2sprobe.metrics.RecallAtFPR`."""

    fpr: float
    recall: float
    interval: Interval
    threshold: float


class Threshold(_Part):
    """Threshold that was chosen at a false-positive rate, and the rates of the evaluation there."""

    p: float = Field(description="A row is flagged if its P(label = 1) is larger.")
    chosen_at: float = Field(description="Largest false-positive rate that was asked for.")
    fpr: float = Field(description="Share of the rows of class 0 that are flagged.")
    fpr_interval: Interval
    recall: float = Field(description="Share of the rows of class 1 that are flagged.")
    recall_interval: Interval


class Evaluation(_Part):
    """Scores on rows that the predicting fit had not seen."""

    on: Literal["test", "cross-fit", "leave-one-out"] = Field(
        description="Test rows, predicted by the saved probe; or its training rows, each predicted "
        "by a fit without it. The AUC of a cross-fit is the mean of the AUCs inside folds."
    )
    against: Literal["truth", "labels"] = Field(
        description="Labels that predictions are compared with; labels: those it was fitted on."
    )
    n_rows: int
    n_ones: int
    auc: float
    auc_interval: Interval | None = Field(
        None, description="95 % interval over rows; None where a class has too few rows."
    )
    auc_se: float | None = Field(None, description="Standard error over rows.")
    recalls: tuple[Recall, ...] = Field(
        (), description="At those of the usual false-positive rates that have enough rows."
    )
    threshold: Threshold | None = None


class ProbeCard(_Part):
    """What a user of a saved probe should know beside the origin of its activations."""

    w2sprobe: str = Field(description="Version that saved the probe.")
    parameters: dict[str, Any] = Field(description="Hyperparameters and preprocessing.")
    states: dict[str, Any] = Field(
        description="How the states were computed and stored, as far as known: store (address), "
        "computed_in, dtype, max_tokens, truncate."
    )
    training: TrainingRows
    evaluation: Evaluation


@dataclass(frozen=True)
class CardRows:
    """Ids of the training and test rows of a probe, with held-out predictions.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
    split : ndarray of str, shape (n,)
        "train" or "test".
    p : ndarray of float64, shape (n,)
        Held-out P(label = 1); nan where there is none.
    truth : ndarray of float64, shape (n,)
        Labels of the evaluation, 0 or 1; nan for rows that are not evaluated.
    groups : ndarray of str, shape (n,), optional
        Rows that share a value depend on one another.
    """

    ids: np.ndarray
    split: np.ndarray
    p: np.ndarray
    truth: np.ndarray
    groups: np.ndarray | None = None

    def of(self, split: str) -> "CardRows":
        """Rows of a split."""
        mask = self.split == split
        groups = None if self.groups is None else self.groups[mask]
        return CardRows(self.ids[mask], self.split[mask], self.p[mask], self.truth[mask], groups)

    def write(self, path: Path) -> None:
        """Write a Parquet file; unknown values are null."""
        columns: dict[str, Any] = {
            "id": self.ids.tolist(),
            "split": self.split.tolist(),
            "p": pa.array(self.p, from_pandas=True),
            "truth": pa.array(self.truth, from_pandas=True),
        }
        if self.groups is not None:
            columns["group"] = self.groups.astype(np.str_).tolist()
        pq.write_table(pa.table(columns), path)

    @classmethod
    def read(cls, path: Path) -> "CardRows":
        """Read a file of `write`."""
        table = pq.read_table(path)

        def column(name: str, kind: type) -> np.ndarray:
            return np.array(table[name].to_pylist(), dtype=kind)  # null becomes nan

        return cls(
            column("id", np.str_),
            column("split", np.str_),
            column("p", np.float64),
            column("truth", np.float64),
            column("group", np.str_) if "group" in table.column_names else None,
        )


def card_text(kind: str, origin: dict[str, Any] | None, card: ProbeCard) -> str:
    """Card as Markdown, for people."""
    known = origin or {}
    model = "unknown"
    if known:
        identity = known.get("model") or {}
        details = ", ".join(f"{name} {value}" for name, value in identity.items())
        model = f"{known.get('name') or 'without a name'} ({details or 'without hashes'})"
    training, evaluation = card.training, card.evaluation
    settings = ", ".join(f"{name} {value}" for name, value in card.parameters.items())
    states = ", ".join(f"{name} {value}" for name, value in card.states.items())
    lines = [
        f"# {kind}: layer {known.get('layer', 'unknown')} of {known.get('name') or 'a model'}",
        "",
        "A probe saved by w2sprobe. It reads hidden states and returns P(label = 1).",
        "",
        "| | |",
        "|---|---|",
        f"| Model | {model} |",
        f"| Layer, position | {known.get('layer')}, {known.get('position')} |",
        f"| Chat template | {known.get('chat_template', 'none')} |",
        f"| States | {states} |",
        f"| Settings | {settings} |",
        f"| Fitted on | {training.n_rows} rows of {training.name}, {training.n_ones} of class 1 |",
        f"| Fingerprints | rows {training.rows}, labels {training.labels} |",
        f"| Saved by | w2sprobe {card.w2sprobe} |",
        "",
        f"## Evaluation: {evaluation.on}",
        "",
        f"{evaluation.n_rows} rows, {evaluation.n_ones} of class 1, compared with "
        f"{evaluation.against}. Intervals are 95 %, over rows.",
        "",
        "| measure | value | interval |",
        "|---|---|---|",
        *(f"| {name} | {value:.3f} | {_shown(ends)} |" for name, value, ends in _scores(card)),
    ]
    if evaluation.threshold is not None:
        threshold = evaluation.threshold
        lines += [
            "",
            f"Threshold: P(label = 1) > {threshold.p:.6g}, chosen at a false-positive rate of at "
            f"most {threshold.chosen_at:g} on these rows.",
        ]
    return "\n".join(lines) + "\n"


def _scores(card: ProbeCard) -> list[tuple[str, float, Interval | None]]:
    evaluation = card.evaluation
    scores: list[tuple[str, float, Interval | None]] = [
        ("AUC", evaluation.auc, evaluation.auc_interval)
    ]
    for rate in evaluation.recalls:
        name = f"recall at a false-positive rate of {rate.fpr:g}"
        scores.append((name, rate.recall, rate.interval))
    if evaluation.threshold is not None:
        threshold = evaluation.threshold
        scores.append(("recall at the threshold", threshold.recall, threshold.recall_interval))
        name = "false-positive rate at the threshold"
        scores.append((name, threshold.fpr, threshold.fpr_interval))
    return scores


def _shown(interval: Interval | None) -> str:
    return "unknown" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
