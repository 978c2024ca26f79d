"""Inputs of the commands that fit probes on a store."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from w2sprobe import help_texts

if TYPE_CHECKING:
    from w2sprobe.cache import ActivationStore
    from w2sprobe.experiments.config import TaskConfig
    from w2sprobe.labels import LabelTable
    from w2sprobe.probing.rows import ProbedRows

labels = click.option(
    "--labels",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help=f"{help_texts.LABEL_TABLE} Without --task, scores use its column `truth` (0 or 1), if "
    "there is one.",
)
# how --ks and --l2s are written
NUMBERS = (
    "a list (1,10,50) or a range with both ends (10:50:10 step 10; 1:200:log10 ten values, "
    "log-spaced; 1:9:lin5 five, evenly spaced)"
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
