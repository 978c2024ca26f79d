"""Schema of preregistration.json: what is declared before a study is run, and its hash.

Written by experiments, read by reporting. A file whose hash does not match its content is refused.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from w2sprobe.atomic import write_json
from w2sprobe.errors import InputError
from w2sprobe.fingerprint import sha256_json

PREREGISTRATION = "preregistration.json"
FORMAT = 1


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Spread(_Section):
    """How much AUCs vary: measured in pilot studies, or assumed.

    `source` says where the values were measured, and `assumed` lists those that were not.
    `gain` is the baseline less the weak model: `gain_task_sd` is the standard deviation of its true
    values over tasks, `gain_seed_sd` that of one run within a task, and `gain_row_sd` its standard
    error times the square root of the test rows. `gap` is the mean gap between weak model and
    ceiling; `gap_seed_sd` and `gap_row_sd` are the same for it. `method_sds` are standard
    deviations over tasks of a method less the baseline, noise of rows and seeds included: the
    least, the median and the largest of all methods.
    """

    source: str
    assumed: tuple[str, ...] = ()
    gain_task_sd: float
    gain_seed_sd: float
    gain_row_sd: float
    gap: float
    gap_seed_sd: float
    gap_row_sd: float
    method_sds: tuple[float, float, float]


class TaskDesign(_Section):
    """A task before the run: fingerprint of its rows, and the effects that it can detect.

    `detectable` is the smallest true gain of the baseline that has 80 % power on this task,
    `resolvable` the smallest gap that is expected to be resolved.
    """

    task: str
    fingerprint: str
    test_rows: int
    detectable: float
    resolvable: float


class Design(_Section):
    """How large a study is, and what it can detect.

    `cuts`, `supervisor_seeds` and `learner_seeds` count what differs between the `runs` of a task.
    `least_pvalue` is the smallest possible p value of the sign and signed-rank tests over all
    tasks, and `least_after_holm` the same after Holm's correction. `detectable_gain` is the
    smallest true mean gain of the baseline over tasks, and `detectable_differences` the smallest
    true mean differences of a method from the baseline, at Holm's first step, for the three
    `method_sds`; both with 80 % power, and None for a single task or without a family.
    """

    pairs: int
    runs: int
    cuts: int
    supervisor_seeds: int
    learner_seeds: int
    tasks: tuple[TaskDesign, ...]
    spread: Spread
    least_pvalue: float
    least_after_holm: float
    detectable_gain: float | None
    detectable_differences: tuple[float, float, float] | None


class Declaration(_Section):
    """A declaration: questions, tests, the full config, and the effects that they can detect.

    `family` are the methods that are compared with `against` and corrected for together; `outside`
    maps the other methods to the reason why they are not. `margin` is that of equivalence tests, in
    AUC. `stages_done` of `stages` were done when it was written.
    """

    format: int
    written: str
    w2sprobe: str
    name: str
    hypotheses: tuple[str, ...]
    against: str
    family: tuple[str, ...]
    outside: dict[str, str]
    alternative: str
    alpha: float
    margin: float
    min_gap: float
    min_gap_se: float
    design: Design
    warnings: tuple[str, ...]
    stages_done: int
    stages: int
    config_fingerprint: str
    config: dict[str, Any]

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON, as 64 hex digits."""
        return sha256_json(self.model_dump(mode="json"))

    @property
    def held(self) -> dict[str, Any]:
        """Content of the file: `sha256` and `content`."""
        return {"sha256": self.sha256, "content": self.model_dump(mode="json")}

    def write(self, folder: Path) -> None:
        """Write preregistration.json into a folder, atomically."""
        write_json(folder / PREREGISTRATION, self.held)

    @classmethod
    def read(cls, folder: Path) -> "Declaration | None":
        """Read preregistration.json from a folder; None if there is none.

        Raises
        ------
        InputError
            The file cannot be read, was changed, or is of another version.
        """
        path = folder / PREREGISTRATION
        if not path.exists():
            return None
        where = repr(str(path))
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            stated, content = held["sha256"], held["content"]
            computed = sha256_json(content)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"cannot read the pre-registration {where}: {error}") from error
        if stated != computed:
            raise InputError(
                f"{where} was changed after it was written: its content has the SHA-256 "
                f"{computed}, the file says {stated}",
                advice="Restore the file as `w2sprobe plan` wrote it; or choose another --out, for "
                "results that refer to no declaration.",
            )
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise InputError(
                f"{where} is not of this version of w2sprobe: {error}",
                advice="Read it with the version that it names.",
            ) from error
