"""Settings of probe fits: probes, hyperparameters, layers, preprocessing, position and folds."""

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from w2sprobe import help_texts
from w2sprobe.checks import Preprocess
from w2sprobe.errors import InputError
from w2sprobe.folds import FOLDS
from w2sprobe.probing.probe_types import PROBE_TYPES, TOKEN_PROBES
from w2sprobe.token_settings import TokenSettings
from w2sprobe.votes.table import TRAIN

HeldOut = Literal["train", "leave_one_out", "in_sample"]
SHORT = {"ks": "knn", "l2s": "logistic"}  # shorthand for entries of `probes`


class TopoFilterSettings(BaseModel):
    """Settings of TopoFilter other than its number of neighbours."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contamination: float = Field(0.1, gt=0, lt=1, description="Fraction of the rows to remove.")
    per_class: bool = Field(default=False, description=help_texts.PER_CLASS)
    graph: Literal["union", "mutual", "strong"] = Field(
        "union",
        description=help_texts.GRAPH,
    )


class HeadSettings(BaseModel):
    """Training of linear heads on standardised activations, with any loss."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(30, ge=1, description="Passes over the training rows.")
    batch_size: int = Field(32, ge=1, description="Rows per optimiser step.")
    learning_rate: float = Field(
        5e-3, gt=0, description="Learning rate of Adam at the first step; decays linearly to 0."
    )
    l2: float = Field(
        1e-2,
        ge=0,
        description="L2 regularisation strength: factor of |w|² in mean loss + l2 |w|², as in the "
        "logistic probe.",
    )


class VoteSpec(BaseModel):
    """Probes to fit on each of several layers, with their hyperparameters.

    `ks` and `l2s` are accepted as shorthand for the values of kNN and logistic regression.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    layers: str = Field("all", description=help_texts.LAYERS)
    probes: dict[str, tuple[float, ...]] = Field(
        default_factory=dict,
        description="Probes, each with the values of its hyperparameter: {knn: [10, 50], logistic: "
        "[0.01], mass-mean: []}. An empty list means the default grid (mass-mean has none).",
    )
    preprocess: Preprocess = Field("none", description=help_texts.PREPROCESS)
    whiten: bool = Field(default=False, description=help_texts.WHITEN)
    cv: int = Field(FOLDS, ge=2, description="Number of cross-fitting folds.")
    held_out: tuple[HeldOut, ...] = Field(
        (TRAIN,),
        description="How training rows are predicted: train: cross-fitted, by fits on the other "
        "folds; leave_one_out: kNN leaves out single rows, other probes are cross-fitted; "
        "in_sample: by the fit on all training rows, as in EleutherAI/w2s.",
    )
    position: str | None = Field(
        None, description="Token position that the store must have; default: any."
    )
    topofilter: TopoFilterSettings = Field(default_factory=TopoFilterSettings)
    head: HeadSettings = Field(default_factory=HeadSettings)
    tokens: TokenSettings = Field(default_factory=TokenSettings)

    @model_validator(mode="before")
    @classmethod
    def _expand_shorthand(cls, values: Any) -> Any:
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
    def _check_probes(cls, probes: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        for name, values in probes.items():
            if name not in PROBE_TYPES:
                raise ValueError(f"unknown probe {name!r}; allowed: {', '.join(PROBE_TYPES)}")
            parameter = PROBE_TYPES[name].hyperparameter
            if parameter is None and values:
                raise ValueError(f"{name} has no hyperparameter; allowed: []")
            least = {"k": 1, "seed": 0}.get(str(parameter), 0)
            for value in values if parameter in ("k", "seed") else ():
                if value < least or value != int(value):
                    raise ValueError(
                        f"{parameter} of {name} is {value:g}; "
                        f"allowed: whole numbers from {least} on"
                    )
        return probes

    @model_serializer(mode="wrap")
    def _without_unread(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `tokens` out where no probe reads it: addresses are made of what is left."""
        values: dict[str, Any] = handler(self)
        if not {*self.probes} & {*TOKEN_PROBES}:
            values.pop("tokens", None)
        return values

    @property
    def needs_classes(self) -> bool:
        """Whether labels must be of both classes; only kNN is defined without."""
        return bool({*self.probes} - {"knn"})

    @property
    def needs_folds(self) -> bool:
        """Whether any probe is cross-fitted."""
        return TRAIN in self.held_out or not all(
            PROBE_TYPES[name].folds_optional for name in self.probes
        )

    @property
    def reads_tokens(self) -> bool:
        """Whether probes read one vector per token.

        Raises
        ------
        InputError
            Some do, others do not.
        """
        by_kind: dict[bool, list[str]] = {True: [], False: []}
        for name in self.probes:
            by_kind[PROBE_TYPES[name].reads_tokens].append(name)
        if all(by_kind.values()):
            raise InputError(
                f"probes of tokens ({', '.join(by_kind[True])}) beside probes of one vector per "
                f"row ({', '.join(by_kind[False])})",
                allowed="one kind, as a store has either",
                advice="token-mean and token-last are logistic probes of one vector per row.",
            )
        return bool(by_kind[True])

    def values(self, probe: str) -> tuple[float | None, ...]:
        """Values of a probe's hyperparameter; (None,) for a probe without."""
        return self.probes[probe] or (None,)
