"""Reading the results of a run: a folder with one experiment or with a study."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.comparison import (
    INDICATORS,
    SCORES,
    IndicatorRow,
    Score,
    read_indicators,
    read_scores,
)
from w2sprobe.errors import InputError
from w2sprobe.results import (
    RESULTS,
    Failure,
    Preregistration,
    Results,
    StudyResults,
    SummaryRow,
    TransferRow,
    study_in,
)

Labels = dict[str, dict[str, np.ndarray]]  # columns of the training labels, by method


@dataclass(frozen=True)
class RunFolder:
    """Results of an experiment, and the files beside them."""

    folder: Path
    results: Results

    @property
    def name(self) -> str:
        """Name of the task, and of the run if there are several."""
        return ", ".join(filter(None, (self.results.task, self.results.key.run)))

    @cached_property
    def predictions(self) -> pa.Table | None:
        """Predictions for the test rows, one column per method."""
        return self._table("predictions.parquet")

    @cached_property
    def labels(self) -> pa.Table | None:
        """Labels that each method trained on."""
        return self._table("training_labels.parquet")

    @cached_property
    def strong_train_labels(self) -> "Labels | None":
        """`labels` of the strong-train rows, from `labels_by_method`."""
        return None if self.labels is None else labels_by_method(self.labels)

    @cached_property
    def curves(self) -> pa.Table | None:
        """Evaluations on the validation rows during training."""
        return self._table("training.parquet")

    @cached_property
    def sweep(self) -> pa.Table | None:
        """Scores of probes over layers and settings."""
        return self._table("sweep.parquet")

    def _table(self, name: str) -> pa.Table | None:
        path = self.folder / name
        if not path.is_file():
            return None  # older versions wrote fewer files, and sweeps are optional
        try:
            return pq.read_table(path)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"cannot read {str(path)!r}: {error}") from error


@dataclass(frozen=True)
class ResultsFolder:
    """Results of a run, of one experiment or a study.

    Parameters
    ----------
    runs : tuple of RunFolder
        One per task, pair of models and run.
    summary : tuple of SummaryRow
        One per task, pair of models and method, over runs.
    transfer : tuple of TransferRow
        One per task, other task, pair of models and method, over runs.
    """

    folder: Path
    name: str
    runs: tuple[RunFolder, ...]
    summary: tuple[SummaryRow, ...]
    failures: tuple[Failure, ...]
    preregistration: Preregistration | None = None
    transfer: tuple[TransferRow, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> "ResultsFolder":
        """Read the results of `w2sprobe run`.

        Parameters
        ----------
        folder : Path
            Folder of study.json or results.json, or one of these files.

        Raises
        ------
        InputError
            There are no results, or a file cannot be read.
        """
        if folder.is_file():
            folder = folder.parent
        study = study_in(folder)
        if study is not None:
            return cls._of_study(folder, study)
        results = Results.read(folder / RESULTS)
        return cls(
            folder,
            results.name,
            (RunFolder(folder, results),),
            results.summary,
            (),
            results.preregistration,
            results.transfer,
        )

    @classmethod
    def _of_study(cls, folder: Path, study: StudyResults) -> "ResultsFolder":
        runs = tuple(
            RunFolder(folder / name, Results.read(folder / name / RESULTS))
            for name in study.experiments
        )
        if not runs:
            raise InputError(
                f"no experiment of {str(folder)!r} has results",
                advice="study.json lists the stages that failed.",
            )
        return cls(
            folder,
            study.name,
            runs,
            study.summary,
            study.failures,
            study.preregistration,
            study.transfer,
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Pairs of weak and strong model, in order of appearance."""
        return list(dict.fromkeys((row.weak_model, row.strong_model) for row in self.summary))

    @property
    def tasks(self) -> list[str]:
        """Tasks in order of appearance."""
        return list(dict.fromkeys(row.task for row in self.summary))

    @property
    def methods(self) -> list[str]:
        """Methods other than weak model and ceiling, in order of appearance."""
        names = dict.fromkeys(row.method for row in self.summary)
        return [name for name in names if name not in ("weak", "ceiling")]

    def of_pair(self, pair: tuple[str, str]) -> "ResultsFolder":
        """Select the results of one weak and one strong model."""
        return replace(
            self,
            runs=tuple(run for run in self.runs if run.results.key[1:3] == pair),
            summary=tuple(
                row for row in self.summary if (row.weak_model, row.strong_model) == pair
            ),
            transfer=tuple(
                row for row in self.transfer if (row.weak_model, row.strong_model) == pair
            ),
        )

    @cached_property
    def scores(self) -> list[Score]:
        """One score per run and method, as `w2sprobe stats` reads them."""
        # only this file has the standard errors over test rows that all runs of a task share
        if (self.folder / SCORES).is_file():
            return read_scores(self.folder)
        return [score for run in self.runs for score in read_scores(run.folder / RESULTS)]

    @cached_property
    def indicators(self) -> list[IndicatorRow]:
        """Indicators of each run of a study; none for a single run."""
        path = self.folder / INDICATORS
        return read_indicators(path) if path.is_file() else []


def labels_by_method(labels: pa.Table) -> Labels:
    """Columns of training_labels.parquet by method: strong-train rows, sorted by id."""
    columns = {
        name: np.array(labels[name].to_pylist(), dtype=object) for name in labels.column_names
    }
    by_method: Labels = {}
    for method in dict.fromkeys(columns["method"].tolist()):
        rows = np.flatnonzero((columns["method"] == method) & (columns["split"] == "strong_train"))
        rows = rows[np.argsort(columns["id"][rows].astype(str))]
        by_method[method] = {
            "id": columns["id"][rows].astype(str),
            "label": columns["label"][rows].astype(np.int64),
            "soft_label": columns["soft_label"][rows].astype(np.float64),
            "keep": columns["keep"][rows].astype(bool),
            "step": np.array([step or "" for step in columns["step"][rows]], dtype=np.str_),
        }
    return by_method
