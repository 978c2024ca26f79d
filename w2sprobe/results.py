"""Schema of results: written by experiments, read by reporting."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from w2sprobe.atomic import write_json
from w2sprobe.errors import InputError

Interval = tuple[float, float]
RESULTS, STUDY = "results.json", "study.json"  # files of one experiment, and of several
Level = Literal["flag", "warning", "note"]


class Finding(BaseModel):
    """Finding of a task's audit.

    A flag means that results are doubtful, a warning that they may be; a note only informs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["baseline", "duplicates", "context", "balance", "suffix", "erased"]
    level: Level
    message: str


class RunKey(NamedTuple):
    """Key of an experiment in its study.

    `seed` names the run: a number, or cut and seeds, as in "cut3-weak1"; empty for a single run.
    """

    task: str
    weak_model: str
    strong_model: str
    seed: str

    @property
    def run(self) -> str:
        """Name of the run in words: "seed 3", "cut3-weak1", or empty."""
        return f"seed {self.seed}" if self.seed.isdigit() else self.seed


class RunSeeds(NamedTuple):
    """Seeds of a run's cut of the rows, supervisor and learner; None if unknown."""

    split: int | None
    weak: int | None
    strong: int | None


class GroupPerformance(BaseModel):
    """Scores of one group of test rows; `auc` is None if they are all of one class."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    n_rows: int
    accuracy: float
    auc: float | None


class Performance(BaseModel):
    """Scores of a method on test rows beside its AUC, from `w2sprobe.metrics.performance`.

    `accuracy` is at threshold 0.5; `accuracy_at_weak_threshold` is at `weak_threshold`, where the
    method's predictions agree best with the weak model's, and None if the weak labels are of one
    class. `log_loss` is None if it is infinite, which is if `certain_and_wrong`, the share of rows
    with a wrong prediction of exactly 0 or 1, is above 0. `recall_at_fpr` maps false-positive rates
    to recalls, None if class 0 (with `n_zeros` rows) has fewer than 1 / rate;
    `recall_at_fpr_interval` has their 95 % intervals, and is empty in files of earlier versions.
    `groups`, worst accuracy first, are the large ones of `n_groups`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_rows: int
    n_zeros: int
    accuracy: float
    weak_threshold: float | None
    accuracy_at_weak_threshold: float | None
    log_loss: float | None
    certain_and_wrong: float
    brier: float
    calibration_error: float
    recall_at_fpr: dict[str, float | None]
    recall_at_fpr_interval: dict[str, Interval | None] = {}
    groups: tuple[GroupPerformance, ...] = ()
    n_groups: int = 0

    @property
    def worst_group(self) -> GroupPerformance | None:
        """Group with the lowest accuracy; None if no groups were scored."""
        return self.groups[0] if self.groups else None


class Preregistration(BaseModel):
    """Reference to the declaration of a run: `sha256` of the file, and when it was `written` (UTC).

    `deviations` say how the run differs from it; `stages_done` counts the stages of the study that
    were done before it was written.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    written: str
    deviations: tuple[str, ...] = ()
    stages_done: int


class MethodScores(BaseModel):
    """Scores of a method: fields that one run (`ResultRow`) and several (`SummaryRow`) share.

    Intervals are 95 % intervals. `delta_auc_se` is the standard error of `delta_auc` with
    `delta_auc_df` degrees of freedom, `delta_auc_pvalue` its two-sided p value. `pgr` is None if
    ceiling and weak model have the same AUC, `pgr_interval` if it is unbounded; `resolved` is False
    if their gap is too small, or too uncertain, for a PGR to mean anything.
    `delta_accuracy` is the accuracy at threshold 0.5 less the weak model's, `accuracy_pgr` its
    share of the gap in accuracy, and `accuracy_resolved` says whether that gap is resolved.
    `own_ceiling` names the method that is the same learner fitted on true labels, `own_gap` is its
    AUC less the weak model's, `own_pgr` the share of that gap: empty and None if the learner is the
    finetuned strong model, or if its own ceiling has no predictions.
    Files of earlier versions lack the fields with a default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    auc: float
    auc_interval: Interval | None
    delta_auc: float
    delta_auc_interval: Interval | None
    pgr: float | None
    pgr_interval: Interval | None
    resolved: bool
    delta_auc_se: float | None = None
    delta_auc_df: float | None = None
    delta_auc_pvalue: float | None = None
    performance: Performance | None = None
    delta_accuracy: float | None = None
    delta_accuracy_interval: Interval | None = None
    accuracy_pgr: float | None = None
    accuracy_pgr_interval: Interval | None = None
    accuracy_resolved: bool | None = None
    own_ceiling: str = ""
    own_gap: float | None = None
    own_gap_se: float | None = None
    own_gap_interval: Interval | None = None
    own_pgr: float | None = None
    own_pgr_interval: Interval | None = None
    own_resolved: bool | None = None


class ResultRow(MethodScores):
    """One method on one task, in one run; intervals are over test rows.

    `iterations` counts the strong-to-strong iterations that were run, fewer than the method has if
    labels stopped changing. `same_run_as` names the stage whose training run this method shares,
    since its labels are equal; `seconds` are then without it.
    """

    auc_interval: Interval
    delta_auc_interval: Interval
    rows_offered: int
    rows_kept: int
    iterations: int = 0
    seconds: float
    same_run_as: str = ""


class TransferRow(BaseModel):
    """A method that was trained on `task`, on the test rows of `test_task`: means over all runs.

    Weak model and ceiling were trained on `task`, too. `n_test_rows` are the rows that were
    predicted, and `n_left_out` those that share a text or group with rows that were learned from;
    both are means over `n_seeds` runs. Other fields are as in `SummaryRow`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    test_task: str
    weak_model: str
    strong_model: str
    method: str
    n_seeds: int
    n_test_rows: int
    n_left_out: int
    auc: float
    weak_auc: float
    ceiling_auc: float
    delta_auc: float
    delta_auc_interval: Interval | None
    pgr: float | None
    pgr_interval: Interval | None
    resolved: bool

    @property
    def gap(self) -> float:
        """The ceiling's AUC less the weak model's."""
        return self.ceiling_auc - self.weak_auc


class Results(BaseModel):
    """All methods of one experiment, and what they were run on.

    `seed` is as in `RunKey`. `gap` is the ceiling's AUC less the weak model's, `gap_se` its
    standard error over test rows, and `rows_needed` the number of test rows that would resolve it,
    None if no number would. `layer` is that of the probes, None if weak labels chose it; `chosen`
    maps methods to the layer and setting that were chosen. `missing` maps methods without a row to
    the stage that failed. `ceilings` maps each method whose learner is not the finetuned strong
    model to the same learner, with the same settings, fitted on true labels.
    `splits` maps splits to their numbers of rows, and `dropped` reasons to the numbers of rows left
    out; `fingerprint` is the task's; `store` is the name of the activation store in the cache's
    folder `stores`, empty without one; `audit` has the findings of `audit.json`; `warnings` are
    those of training runs, each after the title of its stage; `indicators` are those of
    `w2sprobe.indicators`, if activations were read, and the CAPA of supervisor and strong models,
    None if a value is not finite; `stages` maps each stage to its address and its seconds.
    `machine` describes where the results were computed from the stages, which may have been run
    elsewhere. `preregistration` is None if nothing was declared before the run. `transfer` has the
    scores on other tasks, if the config names some.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    task: str
    weak_model: str
    strong_model: str
    seed: str = ""
    store: str = ""
    gap: float
    gap_se: float
    rows_needed: int | None
    layer: int | None
    chosen: dict[str, dict[str, float | str | bool | None]] = {}
    splits: dict[str, int]
    dropped: dict[str, int]
    truncated: dict[str, int]
    fingerprint: str = ""
    audit: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = ()
    rows: tuple[ResultRow, ...]
    missing: dict[str, str] = {}
    ceilings: dict[str, str] = {}
    indicators: dict[str, float | None] = {}
    stages: dict[str, dict[str, Any]]
    config: dict[str, Any]
    versions: dict[str, str]
    machine: dict[str, str] = {}
    preregistration: Preregistration | None = None
    transfer: tuple[TransferRow, ...] = ()

    @property
    def key(self) -> RunKey:
        """Key of this experiment."""
        return RunKey(self.task, self.weak_model, self.strong_model, self.seed)

    @property
    def seeds(self) -> RunSeeds:
        """Seeds of this run; 0 for a part without seed, such as a supervisor that is a file."""
        sections = (self.config.get(part) for part in ("task", "weak", "strong"))
        return RunSeeds(*(None if part is None else part.get("seed", 0) for part in sections))

    @property
    def resolved(self) -> bool:
        """Whether the gap between weak model and ceiling is resolved, so that PGR has a meaning."""
        return all(row.resolved for row in self.rows)

    @property
    def summary(self) -> "tuple[SummaryRow, ...]":
        """Rows of this run in the form of a study's summary."""
        return tuple(
            SummaryRow(
                task=self.task,
                weak_model=self.weak_model,
                strong_model=self.strong_model,
                n_seeds=1,
                n_cuts=1,
                n_supervisor_seeds=1,
                n_learner_seeds=1,
                gap=self.gap,
                gap_se=self.gap_se,
                rows_needed=self.rows_needed,
                n_test_rows=self.splits["test"],
                **{name: getattr(row, name) for name in MethodScores.model_fields},
            )
            for row in self.rows
        )

    def write(self, path: Path) -> None:
        """Write JSON, atomically."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> "Results":
        """Read what `write` wrote.

        Raises
        ------
        InputError
            No such file, or not a result file.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise InputError(f"cannot read results {str(path)!r}: {error}") from error


class Failure(BaseModel):
    """A stage that failed: its experiment, error and log, and how many stages wait for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    experiment: str
    error: str
    log: str
    n_waiting: int


class SummaryRow(MethodScores):
    """A method on a task with a pair of models: means over all runs.

    There are `n_seeds` runs: `n_cuts` cuts of the rows, in each `n_supervisor_seeds` seeds of the
    weak model, for each of these `n_learner_seeds` seeds of the strong model. Intervals and
    standard errors cover the noise of test rows and of every factor with at least two levels.
    `gap_row_se` and `delta_auc_row_se` are the part that comes from the test rows which all runs
    share. `rows_needed` ignores the noise of seeds, which more rows cannot reduce: if it is not
    above `n_test_rows` and the gap is not resolved, more seeds are needed. Scores by the method's
    own ceiling are over the runs that have one. In files of earlier versions intervals are
    percentiles of a bootstrap that treated the seeds as fixed, and None if cuts differ.
    """

    task: str
    weak_model: str
    strong_model: str
    n_seeds: int
    gap: float
    gap_se: float | None
    n_test_rows: int
    rows_needed: int | None
    n_cuts: int | None = None
    n_supervisor_seeds: int | None = None
    n_learner_seeds: int | None = None
    gap_interval: Interval | None = None
    gap_row_se: float | None = None
    delta_auc_row_se: float | None = None


class StudyResults(BaseModel):
    """All experiments of a study.

    `experiments` are their folders, relative to that of the study; `without_results` are the
    folders of experiments whose weak model or ceiling failed; `warnings` are those of the
    experiments, each after the folder; `preregistration` is as in `Results`; `transfer` has the
    scores on other tasks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    experiments: tuple[str, ...]
    without_results: tuple[str, ...] = ()
    summary: tuple[SummaryRow, ...]
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...] = ()
    config: dict[str, Any]
    versions: dict[str, str]
    preregistration: Preregistration | None = None
    transfer: tuple[TransferRow, ...] = ()

    @classmethod
    def read(cls, path: Path) -> "StudyResults":
        """Read study.json.

        Raises
        ------
        InputError
            No such file, or one of another version.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise InputError(
                f"{str(path)!r} is not of this version: {key}: {first['msg']}",
                advice="Run the study again: finished stages are not repeated.",
            ) from error
        except OSError as error:
            raise InputError(f"cannot read {str(path)!r}: {error}") from error


def study_in(folder: Path) -> StudyResults | None:
    """Read the study in a results folder; None for the folder of a single experiment.

    Parameters
    ----------
    folder : Path
        Folder with study.json or results.json.

    Raises
    ------
    InputError
        It has neither file, or study.json cannot be read.
    """
    if (folder / STUDY).is_file():
        return StudyResults.read(folder / STUDY)
    if (folder / RESULTS).is_file():
        return None
    raise InputError(
        f"no results in {str(folder)!r}",
        allowed=f"a folder with {STUDY} or {RESULTS}, as `w2sprobe run` leaves it",
        advice="A run whose weak model or ceiling failed has none; the same command tries again.",
    )


class PlannedStage(BaseModel):
    """A stage of a plan: numbers count from 1, bytes and seconds are estimates.

    `seconds` of a stage that is done were measured, and are not part of the forecast's sum.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    stage: str
    kind: str
    experiment: str
    inputs: dict[str, int]
    done: bool
    folder: str
    disk_bytes: int
    seconds: float


class Forecast(BaseModel):
    """Stages of a study, and estimates for those that are not done yet.

    `notes` say what to know before starting it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: tuple[PlannedStage, ...]
    n_experiments: int
    store_bytes: int
    disk_bytes: int
    seconds: float
    speed_from: str
    splits: dict[str, dict[str, int]]
    notes: tuple[str, ...]
