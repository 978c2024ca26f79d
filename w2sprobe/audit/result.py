"""Schema of an audit: one section per check, and the findings in words."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from w2sprobe.atomic import write_json
from w2sprobe.errors import InputError
from w2sprobe.results import Finding

Interval = tuple[float, float]
BaselineName = Literal["length", "characters", "words"]


class AuditSection(BaseModel):
    """Base class of all sections: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cue(AuditSection):
    """A feature that predicts the label in weak-train.

    `text` is a word or a character n-gram (`<start>` and `<end>` mark the ends of the row); `label`
    is the label it predicts; `rows_0` and `rows_1` count the weak-train rows of each label that
    contain it.
    """

    text: str
    label: int
    rows_0: int
    rows_1: int


class Baseline(AuditSection):
    """A shallow classifier trained on weak-train and scored on test.

    `auc` is None if a split has one class only; `interval` (95 %, over test rows or groups) is also
    None if test is one group. `max_characters` limits what was read of a text, half from each end;
    None: all was read. `about` says in words what a baseline without cues learned.
    """

    name: BaselineName
    auc: float | None
    interval: Interval | None
    flagged: bool
    max_characters: int | None = None
    about: str = ""
    cues: tuple[Cue, ...] = ()


class Pair(AuditSection):
    """Two near-duplicates; texts are cut around the first difference."""

    splits: tuple[str, str]
    ids: tuple[str, str]
    labels: tuple[int, int]
    jaccard: float
    texts: tuple[str, str]


class CrossDuplicates(AuditSection):
    """Near-duplicates between two splits.

    `rows` counts the rows of each split that have a near-duplicate in the other; `conflicting`
    counts the pairs whose labels differ.
    """

    splits: tuple[str, str]
    pairs: int
    conflicting: int
    rows: tuple[int, int]

    @property
    def reaches_test(self) -> bool:
        """Whether one split is for training and the other is test."""
        return self.splits in {("weak_train", "test"), ("strong_train", "test")}


class Duplicates(AuditSection):
    """Near-duplicates across splits: Jaccard similarity of word shingles of at least `threshold`.

    `test_rows` counts the test rows with a near-duplicate in weak-train or strong-train.
    `template_shingles` counts the shingles that were ignored because too many rows have them.
    """

    threshold: float
    template_shingles: int
    test_rows: int
    between: tuple[CrossDuplicates, ...]
    examples: tuple[Pair, ...]


class TextLengths(AuditSection):
    """Characters and words of a split's texts: median, 95 % quantile, maximum."""

    split: str
    characters: tuple[int, int, int]
    words: tuple[int, int, int]


class Overflow(AuditSection):
    """Rows of each split that are longer than a model's context, in tokens."""

    model: str
    context: int
    longest: int
    rows: dict[str, int]


class Balance(AuditSection):
    """Rows of each label in a split."""

    split: str
    rows_0: int
    rows_1: int


class Suffix(AuditSection):
    """The longest ending that nearly all rows have in common; `share` is their share."""

    text: str
    share: float


class ErasedCue(AuditSection):
    """What a probe for the label loses if a cue is erased from the activations of a layer.

    `auc` and `auc_after` are test AUCs of a logistic probe fitted on the truth of strong-train;
    `change_interval` is the 95 % interval of their difference over test rows. `auc_control` is the
    mean AUC after as many directions were erased for a cue that was shuffled over the rows.
    `cue_auc` and `cue_auc_after` are those of a probe for the cue, more exactly for the fact
    `about` it; None for all cues together. `rank` counts the erased directions.
    """

    layer: int
    cue: str
    about: str
    rank: int
    auc: float
    auc_after: float
    change_interval: Interval
    auc_control: float
    cue_auc: float | None
    cue_auc_after: float | None


class Audit(AuditSection):
    """All checks of one task's splits, and the findings; flags come first.

    `auc_threshold` is the test AUC above which a baseline is flagged. `erased` is empty without a
    store of activations.
    """

    task: str
    auc_threshold: float
    baselines: tuple[Baseline, ...]
    duplicates: Duplicates
    lengths: tuple[TextLengths, ...]
    overflows: tuple[Overflow, ...]
    balance: tuple[Balance, ...]
    suffix: Suffix | None
    findings: tuple[Finding, ...]
    erased: tuple[ErasedCue, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether there is no flag; there may be warnings and notes."""
        return all(finding.level != "flag" for finding in self.findings)

    def write(self, path: Path) -> None:
        """Write JSON, atomically."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> "Audit":
        """Read a file that `write` wrote.

        Raises
        ------
        InputError
            Missing file, or not an audit.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise InputError(f"cannot read audit {str(path)!r}: {error}") from error
