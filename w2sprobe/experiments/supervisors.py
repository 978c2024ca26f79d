"""Supervisors: the sources of weak labels. A new one is a class in this file.

Each is a section of a config, told apart by its `kind`, and makes the stage that writes its labels
of the strong-train, validation and test rows.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from w2sprobe.checks import Preprocess
from w2sprobe.data import Rows
from w2sprobe.errors import InputError
from w2sprobe.experiments.stages import ASIDE, LABELS, Stage, Work
from w2sprobe.fingerprint import sha256_file
from w2sprobe.help_texts import ANSWERS, LABEL_TABLE, MODEL, PREPROCESS, QUESTION, TRUNCATE
from w2sprobe.labels import LabelTable
from w2sprobe.training.settings import WEAK_RATE, TrainSettings

if TYPE_CHECKING:
    from w2sprobe.experiments.builder import Builder

CHARACTERS = (2, 4)  # lengths of the n-grams


class WeakStates(NamedTuple):
    """Activations of a supervisor's model, which the weak-to-weak control learns from."""

    model: str
    layer: int | str
    position: str
    truncate: bool


class Supervisor(BaseModel):
    """Base of all supervisors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    finetunes: ClassVar[bool] = False  # takes hours: methods of other supervisors should not wait
    name: str | None = Field(
        None, description="Name in the results; default: derived from the settings."
    )

    @property
    def label(self) -> str:
        """Name in results."""
        return self.name or self.title

    @property
    def full_label(self) -> str:
        """Name in results, with the seed if it has one."""
        seed = getattr(self, "seed", None)
        return self.label if seed is None else f"{self.label}, seed {seed}"

    @property
    def title(self) -> str:
        """Default name."""
        raise NotImplementedError

    @property
    def states(self) -> WeakStates | None:
        """Activations of its model; None if it has no model."""
        return None

    @property
    def varies(self) -> bool:
        """Whether the supervisor depends on its seed."""
        return self.finetunes

    def n_rows(self, rows: Rows) -> int:
        """Number of weak-train rows that it learns from."""
        return len(rows)

    def stage(self, builder: "Builder") -> Stage:
        """Stage that writes its labels."""
        raise NotImplementedError


class FewRows(Supervisor):
    """A supervisor that learns in seconds, from all weak-train rows or a few of them."""

    rows: int | None = Field(
        None,
        ge=4,
        description="Number of weak_train rows to fit on; default: all.",
    )
    seed: int = Field(0, ge=0, description="Seed of the subsample of `rows`.")

    @property
    def varies(self) -> bool:
        """Whether rows are drawn; the fit itself is deterministic."""
        return self.rows is not None

    def n_rows(self, rows: Rows) -> int:
        """`rows`, or all weak-train rows."""
        return len(rows) if self.rows is None else self.rows

    def subset(self, rows: Rows) -> Rows:
        """Draw the weak-train rows to learn from, stratified by class.

        Raises
        ------
        InputError
            There are fewer weak-train rows than `rows`.
        """
        if self.rows is None:
            return rows
        if self.rows > len(rows):
            raise InputError(
                f"weak.rows is {self.rows}", allowed=f"up to {len(rows)}, the rows of weak_train"
            )
        from sklearn.model_selection import train_test_split

        chosen, _ = (
            train_test_split(
                np.arange(len(rows)),
                train_size=self.rows,
                random_state=self.seed,
                stratify=rows.labels,
            )
            if self.rows < len(rows) - 1
            else (np.random.default_rng(self.seed).permutation(len(rows))[: self.rows], None)
        )
        return rows.select(np.sort(chosen))

    @property
    def _rows_title(self) -> str:
        return "" if self.rows is None else f", {self.rows} rows"


class FinetunedSupervisor(TrainSettings, Supervisor):
    """The weak model, finetuned on the true labels of weak_train."""

    finetunes: ClassVar[bool] = True

    kind: Literal["finetuned"] = "finetuned"
    model: str = Field(description=MODEL)
    learning_rate: float = Field(
        WEAK_RATE, gt=0, description="Peak learning rate; default as in EleutherAI/w2s."
    )

    @property
    def title(self) -> str:
        """The model's name."""
        return self.model

    @property
    def states(self) -> WeakStates:
        """Mean-pooled states of the base model's highest layer."""
        return WeakStates(self.model, -1, "mean", self.truncate)

    def settings(self, loss: str) -> TrainSettings:
        """Return the finetuning settings alone, with a loss."""
        fields = {name: getattr(self, name) for name in TrainSettings.model_fields}
        return TrainSettings(**{**fields, "loss": loss})

    def stage(self, builder: "Builder") -> Stage:
        """Stage that finetunes it."""
        return builder.finetuned_supervisor(self)


class ProbeSupervisor(FewRows):
    """Logistic regression on the hidden states of a frozen weak model."""

    kind: Literal["probe"]
    model: str = Field(description=MODEL)
    layer: int | str = Field(-1, description="Layer of the weak model; default: the last.")
    position: str = Field(
        "mean", description="Token whose hidden state is used: mean (of all tokens), last or first."
    )
    l2: float = Field(
        1e-2, gt=0, description="L2 regularisation strength of the logistic regression."
    )
    preprocess: Preprocess = Field("standardize", description=PREPROCESS)
    truncate: bool = Field(default=False, description=TRUNCATE)

    @property
    def title(self) -> str:
        """Model, "probe", and number of rows."""
        return f"{self.model} probe{self._rows_title}"

    @property
    def states(self) -> WeakStates:
        """Activations that it is fitted on."""
        return WeakStates(self.model, self.layer, self.position, self.truncate)

    def stage(self, builder: "Builder") -> Stage:
        """Stage that fits it and predicts."""
        store = builder.weak_store(self.states)
        work = FitProbe(
            store,
            builder.weak_layer(self.states),
            self.l2,
            self.preprocess,
            self.subset(builder.splits.weak_train),
            builder.blind.stored,
        )
        return builder.stage(work, f"supervisor: {self.full_label}")


class NgramSupervisor(FewRows):
    """Logistic regression on character n-grams: a supervisor without a language model."""

    kind: Literal["ngrams"]
    C: float = Field(1.0, gt=0, description="Inverse regularisation strength, as in scikit-learn.")

    @property
    def title(self) -> str:
        """Kind of features, and number of rows."""
        return f"character n-grams{self._rows_title}"

    def stage(self, builder: "Builder") -> Stage:
        """Stage that fits it and predicts."""
        work = FitNgrams(self.subset(builder.splits.weak_train), builder.blind.stored, self.C)
        return builder.stage(work, f"supervisor: {self.full_label}")


class ZeroShotSupervisor(Supervisor):
    """A pretrained language model, prompted without training."""

    kind: Literal["zero_shot"]
    model: str = Field(description=MODEL)
    question: str = Field("", description=QUESTION)
    answers: tuple[str, str] = Field(("No", "Yes"), description=ANSWERS)
    truncate: bool = Field(default=False, description=TRUNCATE)

    @property
    def title(self) -> str:
        """Model, and "zero-shot"."""
        return f"{self.model} zero-shot"

    @property
    def states(self) -> WeakStates:
        """Mean-pooled states of its highest layer."""
        return WeakStates(self.model, -1, "mean", self.truncate)

    def n_rows(self, rows: Rows) -> int:  # noqa: ARG002
        """0: it is not trained."""
        return 0

    def stage(self, builder: "Builder") -> Stage:
        """Stage that prompts it for all rows."""
        return builder.asked(self.model, self, builder.blind.stored, truncate=self.truncate)


class LabelFileSupervisor(Supervisor):
    """Labels from a file, of another model or of annotators."""

    kind: Literal["labels"]
    file: str = Field(description=LABEL_TABLE)

    @property
    def title(self) -> str:
        """The file's name."""
        return Path(self.file).stem

    def n_rows(self, rows: Rows) -> int:  # noqa: ARG002
        """0: unknown."""
        return 0

    def stage(self, builder: "Builder") -> Stage:
        """Stage that copies the labels of the file, which is also checked here.

        Raises
        ------
        InputError
            The file cannot be read.
        IdMismatch
            The file lacks a row.
        """
        path, rows = Path(self.file), builder.blind.stored
        LabelTable.read(path).align(rows.ids)
        work = ReadLabels(sha256_file(path), rows, file=path)
        return builder.stage(work, f"supervisor: {self.full_label}")


@dataclass(frozen=True)
class FitProbe(Work):
    """Fit a logistic probe on rows of a store and predict other rows."""

    KIND: ClassVar[str] = "supervisor"

    store: Stage
    layer: int
    l2: float
    preprocess: Preprocess
    rows: Rows
    predicted: Rows

    def run(self, folder: Path) -> None:
        """Write its predictions."""
        from w2sprobe.probes import LogisticProbe

        X = self._states(self.store, self.rows)
        Q = self._states(self.predicted_store, self.predicted)
        probe = LogisticProbe(self.l2, self.preprocess, "cpu").fit(X, self.rows.labels)
        LabelTable(self.predicted.ids, probe.predict_proba(Q)[:, 1]).write(folder / LABELS)

    @property
    def predicted_store(self) -> Stage:
        """Activations of the rows to predict."""
        return self.store

    def _states(self, stage: Stage, rows: Rows) -> np.ndarray:
        from w2sprobe.cache import ActivationStore

        store = ActivationStore.open(stage.folder)
        return store.read(self.layer, store.rows_of(rows.ids))


@dataclass(frozen=True)
class FitNgrams(Work):
    """Fit logistic regression on TF-IDF of character n-grams and predict other texts."""

    KIND: ClassVar[str] = "ngrams"

    rows: Rows
    predicted: Rows
    C: float

    def run(self, folder: Path) -> None:
        """Write its predictions."""
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        model = make_pipeline(
            TfidfVectorizer(analyzer="char_wb", ngram_range=CHARACTERS, sublinear_tf=True),
            LogisticRegression(C=self.C, max_iter=1000),
        )
        model.fit(self.rows.plain_texts, self.rows.labels)
        p = model.predict_proba(self.predicted.plain_texts)[:, 1]
        LabelTable(self.predicted.ids, p).write(folder / LABELS)


@dataclass(frozen=True)
class ReadLabels(Work):
    """Copy the labels of some rows from a file."""

    KIND: ClassVar[str] = "label_file"

    sha256: str
    rows: Rows
    file: Path = field(metadata=ASIDE, kw_only=True)

    def run(self, folder: Path) -> None:
        """Write the labels.

        Raises
        ------
        InputError
            The file has changed since the study was planned.
        """
        if sha256_file(self.file) != self.sha256:
            raise InputError(
                f"{str(self.file)!r} has changed since the study was planned",
                advice="Run the same command again.",
            )
        LabelTable.read(self.file).align(self.rows.ids).write(folder / LABELS)


def _kind(section: Any) -> str:
    if isinstance(section, dict):
        return str(section.get("kind", "finetuned"))
    return str(getattr(section, "kind", ""))


# a section of a config, parsed by its `kind`
AnySupervisor = Annotated[
    Annotated[FinetunedSupervisor, Tag("finetuned")]
    | Annotated[ProbeSupervisor, Tag("probe")]
    | Annotated[NgramSupervisor, Tag("ngrams")]
    | Annotated[ZeroShotSupervisor, Tag("zero_shot")]
    | Annotated[LabelFileSupervisor, Tag("labels")],
    Discriminator(_kind),
]
