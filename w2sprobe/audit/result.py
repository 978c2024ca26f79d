"""Schema of an audit: a section a check, and the findings in words."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from w2sprobe.atomic import write_json
from w2sprobe.errors import InputError
from w2sprobe.results import Finding

Interval = tuple[float, float]


class Part(BaseModel):
    """What all sections share: no unknown keys, no changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cue(Part):
    """One feature that tells the labels apart in weak-train.

    `text` is a word or a run of characters (`<start>` and `<end>` are those of the row), `label`
    the one it speaks for; `rows_0` and `rows_1` count the weak-train rows of each label that
    contain it.
    """

    text: str
    label: int
    rows_0: int
    rows_1: int


class Baseline(Part):
    """A shallow classifier trained on weak-train and scored on test.

    `auc` is None where a split has one class only, `interval` (95 %, over test rows or
    groups) also where test is one group. `max_characters` is the most that was read of a text,
    half from each end; None: all. `about` says in words what was learned, where there are no cues.
    """

    name: Literal["length", "characters", "words"]
    auc: float | None
    interval: Interval | None
    flagged: bool
    max_characters: int | None = None
    about: str = ""
    cues: tuple[Cue, ...] = ()


class Pair(Part):
    """Two near-duplicates; texts are shortened around the first difference."""

    splits: tuple[str, str]
    ids: tuple[str, str]
    labels: tuple[int, int]
    jaccard: float
    texts: tuple[str, str]


class CrossDuplicates(Part):
    """Near-duplicates between two splits.

    `rows` counts the rows of each that have at least one in the other; `conflicting` the pairs
    whose labels differ.
    """

    splits: tuple[str, str]
    pairs: int
    conflicting: int
    rows: tuple[int, int]

    @property
    def reaches_test(self) -> bool:
        """Whether these are between a training split and test."""
        return self.splits in {("weak_train", "test"), ("strong_train", "test")}


class Duplicates(Part):
    """Near-duplicates across splits: Jaccard similarity of word shingles of at least `threshold`.

    `test_rows` counts the test rows with one in weak-train or strong-train. `template_shingles`
    are those found in so many rows that they were left out.
    """

    threshold: float
    template_shingles: int
    test_rows: int
    between: tuple[CrossDuplicates, ...]
    examples: tuple[Pair, ...]


class Lengths(Part):
    """Characters and words of a split's texts: median, 95 % quantile, maximum."""

    split: str
    characters: tuple[int, int, int]
    words: tuple[int, int, int]


class Overflow(Part):
    """Rows of each split that are longer than a model's context, in tokens."""

    model: str
    context: int
    longest: int
    rows: dict[str, int]


class Balance(Part):
    """Rows of each label in a split."""

    split: str
    rows_0: int
    rows_1: int


class Suffix(Part):
    """The longest text that nearly all rows, `share` of them, end in."""

    text: str
    share: float


class Audit(Part):
    """All checks of one task's splits, and what was found; flags come first.

    `auc_threshold` is the test AUC above which a baseline is flagged.
    """

    task: str
    auc_threshold: float
    baselines: tuple[Baseline, ...]
    duplicates: Duplicates
    lengths: tuple[Lengths, ...]
    overflows: tuple[Overflow, ...]
    balance: tuple[Balance, ...]
    suffix: Suffix | None
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was flagged; there may be warnings and notes."""
        return all(finding.level != "flag" for finding in self.findings)

    def write(self, path: Path) -> None:
        """Write JSON, atomically."""
        write_json(path, self.model_dump(mode="json"))

    @classmethod
    def read(cls, path: Path) -> "Audit":
        """Read what `write` wrote.

        Raises
        ------
        InputError
            No such file, or not an audit.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValidationError) as error:
            raise InputError(f"cannot read audit {str(path)!r}: {error}") from error
