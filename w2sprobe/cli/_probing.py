"""Inputs of the commands that fit probes on a store."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from w2sprobe.cache import ActivationStore
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.labels import LabelTable
    from w2sprobe.probing.rows import ProbedRows

labels = click.option(
    "--labels",
    type=click.Path(path_type=Path),
    required=True,
    help="LabelTable (Parquet or CSV: id, soft_label, keep), as train writes it. A column truth "
    "(0 or 1) is used for scoring only; with --task, truth comes from the task.",
)


@dataclass(frozen=True)
class StoreInputs:
    """A store, the labels of its rows, and the task that says which of them are training rows.

    Without a task, all labelled rows are training rows.
    """

    store: Path
    labels: Path
    task: "TaskConfig | None"

    def load(self) -> "tuple[ActivationStore, LabelTable, ProbedRows]":
        """Open the store and read labels and rows."""
        from w2sprobe.cache import ActivationStore
        from w2sprobe.labels import LabelTable
        from w2sprobe.probing.rows import ProbedRows

        store, table = ActivationStore.open(self.store), LabelTable.read(self.labels)
        if self.task is None:
            return store, table, ProbedRows.of_labels(self.labels, store)
        return store, table, ProbedRows.of_splits(self.task.load())
