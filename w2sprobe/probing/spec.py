"""What is to be fitted: probes, layers, settings, preprocessing, position and folds."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from w2sprobe.checks import Preprocess
from w2sprobe.folds import FOLDS
from w2sprobe.probing.probers import PROBERS
from w2sprobe.votes.table import TRAIN

HeldOut = Literal["train", "leave_one_out", "in_sample"]
SHORT = {"ks": "knn", "l2s": "logistic"}  # what the settings of two probes are also called


class TopoFilterSettings(BaseModel):
    """Settings of TopoFilter beside its number of neighbours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contamination: float = Field(0.1, gt=0, lt=1, description="Share of rows that it removes.")
    per_class: bool = Field(default=False, description="Remove the share of each class.")
    graph: Literal["union", "mutual", "strong"] = Field(
        "union", description="Which neighbours are joined; strong is that of the source's code."
    )


class HeadSettings(BaseModel):
    """How linear heads are trained, whatever their loss, on standardised activations."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(30, ge=1, description="Passes over the training rows.")
    batch_size: int = Field(32, ge=1, description="Rows an optimiser step.")
    learning_rate: float = Field(
        5e-3, gt=0, description="Of Adam at the first step; it falls to 0 along a line."
    )
    l2: float = Field(
        1e-2, ge=0, description="Weight of |w|² beside the mean loss, as of the logistic probe."
    )


class VoteSpec(BaseModel):
    """Probes and settings to fit on each of some layers.

    The same model serves Python, the command line and the sections of a study. `ks` and `l2s` are
    accepted for the settings of kNN and logistic regression.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    layers: str = Field("all", description="Layers: all, mid, 15, 8,15 or 8:24:2.")
    probes: dict[str, tuple[float, ...]] = Field(
        default_factory=dict,
        description="Probes, each with the values of its setting: {knn: [10, 50], logistic: "
        "[0.01], mass-mean: []}. An empty list takes a default grid, or mass-mean's lack of one.",
    )
    preprocess: Preprocess = Field(
        "none", description="Scaling of activations: none or standardize (center is as none)."
    )
    whiten: bool = Field(
        default=False, description="mass-mean: multiply by the inverse within-class covariance."
    )
    cv: int = Field(FOLDS, ge=2, description="Folds of the predictions for training rows.")
    held_out: tuple[HeldOut, ...] = Field(
        (TRAIN,),
        description="How training rows are predicted: train: by the other folds; leave_one_out: "
        "each left out alone by kNN, by the other folds by other probes; in_sample: by the fit on "
        "all, as published.",
    )
    position: str | None = Field(
        None, description="Token position that the store must hold; default: whichever it has."
    )
    topofilter: TopoFilterSettings = Field(default_factory=TopoFilterSettings)
    head: HeadSettings = Field(default_factory=HeadSettings)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not SHORT.keys() & values.keys():
            return values
        values = dict(values)
        probes = dict(values.get("probes") or {})
        for name, probe in SHORT.items():
            given = values.pop(name, ())
            if given:
                probes[probe] = given
        return {**values, "probes": probes}

    @field_validator("probes")
    @classmethod
    def _known(cls, probes: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        for name, values in probes.items():
            if name not in PROBERS:
                raise ValueError(f"unknown probe {name!r}; allowed: {', '.join(PROBERS)}")
            setting = PROBERS[name].setting
            if setting is None and values:
                raise ValueError(f"{name} has no setting; allowed: []")
            least = {"k": 1, "seed": 0}.get(str(setting), 0)
            for value in values if setting in ("k", "seed") else ():
                if value < least or value != int(value):
                    raise ValueError(
                        f"{setting} of {name} is {value:g}; allowed: whole numbers from {least} on"
                    )
        return probes

    @property
    def needs_classes(self) -> bool:
        """Whether labels must be of both classes: votes of neighbors are defined for one, too."""
        return bool({*self.probes} - {"knn"})

    def values(self, probe: str) -> tuple[float | None, ...]:
        """Values of a probe's setting; one None where it has no setting."""
        return self.probes[probe] or (None,)
