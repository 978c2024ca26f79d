"""Schema of an experiment's results: written by experiments, read by reporting."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from w2sprobe.atomic import write_json
from w2sprobe.errors import InputError

Interval = tuple[float, float]


Level = Literal["flag", "warning", "note"]


class Finding(BaseModel):
    """Of a task's audit: a flag makes results doubtful, a warning may, a note informs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["baseline", "duplicates", "context", "balance", "suffix"]
    level: Level
    message: str


class ResultRow(BaseModel):
    """One method on one task.

    Intervals are 95 % bootstrap intervals over test rows, the same resamples for all methods.
    `pgr` is None where ceiling and weak model have the same AUC, `pgr_interval` where it has no
    bound; `resolved` is False where their gap is too small, or too uncertain, for a PGR to mean
    anything. `iterations` counts the strong-to-strong iterations that were run: fewer than the
    method has where labels stopped changing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    auc: float
    auc_interval: Interval
    delta_auc: float
    delta_auc_interval: Interval
    pgr: float | None
    pgr_interval: Interval | None
    resolved: bool
    rows_offered: int
    rows_kept: int
    iterations: int = 0
    seconds: float


class Results(BaseModel):
    """All methods of one experiment, and what they were run on.

    `splits` are rows a split; `dropped` counts rows left out and why; `fingerprint` is the task's;
    `audit` holds the findings of `audit.json`; `stages` maps each stage to its address and the
    seconds it took when it was run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    task: str
    weak_model: str
    strong_model: str
    layer: int
    splits: dict[str, int]
    dropped: dict[str, int]
    truncated: dict[str, int]
    fingerprint: str = ""
    audit: tuple[Finding, ...] = ()
    rows: tuple[ResultRow, ...]
    stages: dict[str, dict[str, Any]]
    config: dict[str, Any]
    versions: dict[str, str]

    @property
    def resolved(self) -> bool:
        """Whether the gap between weak model and ceiling carries a PGR."""
        return all(row.resolved for row in self.rows)

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
