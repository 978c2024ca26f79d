"""Methods of a study: labels, an optional curation, and a learner whose predictions are scored.

A method is an entry in the table below, or in `define` of a config. Trainer and probes do not know
which method they serve.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from w2sprobe import help_texts
from w2sprobe.checks import Preprocess
from w2sprobe.data.callables import looks_like_callable
from w2sprobe.experiments.config_errors import unknown
from w2sprobe.probing.probe_types import PROBE_TYPES, PROBES, TOKEN_PROBES, TRAINED_POOLINGS
from w2sprobe.training.settings import LOSSES, LossName
from w2sprobe.votes.rules import FILTER_RULES

Predicts = Literal["weak", "ceiling", "student", "zero_shot"]
Labels = Literal["weak", "truth", "noise", "soft_noise"]
Curation = Literal["relabel", "filter", "random_filter"]
ChoiceRule = Literal["weak_auc", "weak_log_loss"]

AUTO: Final = "auto"  # chosen among probes.candidates, by the weak labels alone
FINETUNED: Final = "finetuned"
CANDIDATES: Final = "candidates"  # average over the layers that `auto` would choose among
HEAD: Final = "head"  # a linear head, of any loss
LEARNERS = (FINETUNED, *(name for name in PROBES if PROBE_TYPES[name].predicts), HEAD)
Layer = Annotated[int | str, Field(description="Layer: a number, mid (middle), or auto.")]
Neighbors = Annotated[
    Annotated[int, Field(ge=1)] | Literal["auto"],
    Field(description="Number of neighbours k of kNN and TopoFilter, or auto."),
]
Penalty = Annotated[
    Annotated[float, Field(gt=0)] | Literal["auto"],
    Field(description="L2 regularisation strength of the logistic probe, or auto."),
]
Contamination = Annotated[
    float, Field(gt=0, lt=1, description="Fraction of the training rows that filters remove.")
]
IN_SAMPLE: Final = "in-sample"
Folds = Annotated[
    Annotated[int, Field(ge=2)] | Literal["in-sample"],
    Field(
        description="Number of cross-fitting folds for relabelling and filtering, or in-sample. "
        "Default: leave-one-out for kNN, 5 folds for other probes. in-sample: fit on all rows, "
        "including the row being judged, as in EleutherAI/w2s; only for relabelling and the "
        "disagreement filter.",
    ),
]
Preprocessed = Annotated[Preprocess, Field(description=help_texts.PREPROCESS)]
Whiten = Annotated[bool, Field(description=help_texts.WHITEN)]
PerClass = Annotated[bool, Field(description=help_texts.PER_CLASS)]
Graph = Annotated[
    Literal["union", "mutual", "strong"],
    Field(description=help_texts.GRAPH),
]

SETTING_FIELDS = {"k": "n_neighbors", "l2": "l2"}  # field of a method, by hyperparameter


def setting_field(probe: str | None) -> str | None:
    """Field of a method that holds a probe's hyperparameter; None where it has none."""
    return (
        SETTING_FIELDS.get(str(PROBE_TYPES[probe].hyperparameter)) if probe in PROBE_TYPES else None
    )


class Method(BaseModel):
    """A method of your own; its probe settings override those in `probes`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    predicts: Predicts = Field(
        "student",
        description="What predicts the test rows: weak (the supervisor), ceiling (a strong learner "
        "fitted on true labels), student (the learner) or zero_shot (the prompted strong model). "
        "probe (short form): the probe named by key `probe` is the student.",
    )
    labels: Labels = Field(
        "weak",
        description="Training labels: weak (the supervisor's), truth (true labels, as a ceiling), "
        "or a control: noise (true labels flipped at random at the supervisor's error rate) or "
        "soft_noise (the supervisor's soft labels, shuffled within each true class).",
    )
    learner: str = Field(
        FINETUNED,
        description="Student: finetuned (the strong model), or a probe (knn, logistic, mass-mean) "
        "or linear head (head) on its activations.",
    )
    states: Literal["strong", "weak"] = Field(
        "strong",
        description="Model whose activations a probe is fitted on: strong, or weak as a control.",
    )
    loss: LossName = Field("xent", description="Loss of a finetuned student or a linear head.")
    probe: str | None = Field(
        None,
        description="Probe that relabels or filters the training rows; topofilter only filters.",
    )
    curation: Curation | None = Field(
        None,
        description="Curation of the weak labels before training: relabel or filter (by `probe`), "
        "or random_filter (remove rows at random).",
    )
    rule: str = Field(
        "disagreement",
        description=f"Which rows a filter removes: {help_texts.FILTER_RULES}. Not for topofilter.",
    )
    function: str | None = Field(
        None,
        description="module:function, a curation of your own: function(X, labels, texts) returns "
        "the LabelTable that the student is trained on.",
    )
    same_size_as: str | None = Field(
        None, description="With random_filter: the filter method that removes equally many rows."
    )
    iterations: int = Field(
        0,
        ge=0,
        description="Number of further students, each trained on the predictions of the previous "
        "one.",
    )
    cross_fit: bool = Field(
        default=False,
        description="With iterations: label each row by students that were not trained on it "
        "(cross-fitting), instead of in-sample.",
    )
    layers: str | None = Field(
        None,
        description="Average the predictions over these layers: 8:24:4, all, or candidates (the "
        "layers in probes.candidates).",
    )
    combine: Literal["mean", "stack"] = Field(
        "mean",
        description="How predictions of several layers are combined: by their mean, or by a mean "
        "with the weights that predict the labels best on held-out rows (a stack).",
    )
    with_weak: bool = Field(
        default=False, description="Average the learner's predictions with the supervisor's."
    )
    layer: Layer | None = None
    n_neighbors: Neighbors | None = None
    l2: Penalty | None = None
    contamination: Contamination | None = None
    cv: Folds | None = None
    preprocess: Preprocessed | None = None
    whiten: Whiten | None = None
    per_class: PerClass | None = None
    graph: Graph | None = None

    @property
    def probe_settings(self) -> dict[str, Any]:
        """Settings of probes that this method overrides."""
        own = ("layer", "n_neighbors", "l2", "contamination", "cv")
        names = (*own, "preprocess", "whiten", "per_class", "graph")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def learns_by_probe(self) -> bool:
        """Whether the learner is a probe or a head on activations."""
        return self.predicts == "student" and self.learner != FINETUNED

    @property
    def probe_type(self) -> str:
        """Name of the learner among `w2sprobe.probing.probe_types.PROBE_TYPES`."""
        return f"{HEAD}-{self.loss}" if self.learner == HEAD else self.learner

    @property
    def filters(self) -> bool:
        """Whether a random filter can match the number of rows that it removes."""
        return self.curation == "filter" or self.function is not None

    @property
    def own_ceiling(self) -> "Method | None":
        """The same learner on truth; None where that is the finetuned ceiling or itself."""
        if not self.learns_by_probe or self.labels == "truth":
            return None
        bare = Method(labels="truth", learner=self.learner, states=self.states)
        return bare.model_copy(update=self.model_dump(include=bare._used() - {"labels"}))

    @property
    def apart(self) -> str:
        """Reason why this method is outside the family that competes with the student, or empty."""
        if self.predicts in ("weak", "ceiling"):
            return "PGR is 0 or 1 by definition"
        if self.labels == "truth":
            return "fitted on true labels"
        if self.labels in ("noise", "soft_noise"):
            return "control: truth with noise"
        if self.predicts == "zero_shot":
            return "learns from no rows"
        if self.states == "weak":
            return "control: weak to weak"
        return "control: rows go at random" if self.curation == "random_filter" else ""

    def folds(self, cv: Folds | None) -> Folds | None:
        """`cv` as far as this method's curation uses it; None for its default."""
        published = self.curation == "relabel" or self.rule == "disagreement"
        if self.probe == "topofilter" or (cv == IN_SAMPLE and not published):
            return None
        return cv

    @model_validator(mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        """Translate `predicts: probe, probe: knn` into `learner: knn`."""
        if not isinstance(values, dict) or values.get("predicts") != "probe":
            return values
        probe = values.get("probe")
        if probe is None:
            raise ValueError(f"predicts 'probe' without probe; allowed: {', '.join(LEARNERS[1:])}")
        if probe == "topofilter":
            raise ValueError("probe 'topofilter' only filters; allowed: curation: filter")
        if values.get("curation") or values.get("function"):
            what = "curation" if values.get("curation") else "function"
            raise ValueError(
                f"{what} {values[what]!r} does not go with predicts 'probe'; allowed: learner: "
                f"{probe}, beside the curation"
            )
        return {**values, "predicts": "student", "learner": probe, "probe": None}

    @field_validator("learner", "probe", "rule")
    @classmethod
    def _known(cls, name: str | None, info: ValidationInfo) -> str | None:
        known = {"learner": LEARNERS, "probe": PROBES, "rule": FILTER_RULES}[str(info.field_name)]
        if name is not None and name not in known:
            raise ValueError(unknown(str(info.field_name), name, known))
        return name

    @field_validator("function")
    @classmethod
    def _is_callable(cls, function: str | None) -> str | None:
        if function is not None and not looks_like_callable(function):
            raise ValueError("not module:function, as in my.rules:drop_short")
        return function

    @model_validator(mode="after")
    def _goes_together(self) -> "Method":
        self._check_probe()
        if self.curation == "random_filter" and self.same_size_as is None:
            raise ValueError("curation 'random_filter' without same_size_as, the name of a filter")
        fields = type(self).model_fields
        given = {name for name in fields if getattr(self, name) != fields[name].default}
        used = self._used()
        extra = sorted(given - used)
        if extra:
            kept = {name: getattr(self, name) for name in fields if name in given - {*extra}}
            kept = kept or {"predicts": self.predicts}
            raise ValueError(
                f"{_shown({name: getattr(self, name) for name in extra})} does not go with "
                f"{_shown(kept)}; allowed beside that: "
                f"{', '.join(sorted(used - given - {'predicts'})) or 'nothing'}"
            )
        return self

    def _check_probe(self) -> None:
        if self.probe is None:
            if self.curation in ("relabel", "filter"):
                raise ValueError(
                    f"curation {self.curation!r} without probe; allowed: {', '.join(PROBES)}"
                )
        elif self.predicts == "student" and self.curation is None:
            raise ValueError(
                f"probe {self.probe!r} without curation; allowed: relabel or filter, or learner: "
                f"{self.probe}"
            )
        elif self.probe == "topofilter" and self.curation != "filter":
            raise ValueError("probe 'topofilter' only filters; allowed: curation: filter")
        if self.cv == IN_SAMPLE and self.probe != "topofilter" and self.folds(self.cv) is None:
            raise ValueError(
                f"cv 'in-sample' with rule {self.rule!r}; allowed: disagreement, or relabelling"
            )
        if FILTER_RULES[self.rule].hard_votes and self.probe != "knn":
            raise ValueError(f"rule {self.rule!r} with probe {self.probe!r}; allowed: knn")
        if self.layers is not None and self.layer is not None:
            raise ValueError("layer beside layers; allowed: one of the two")

    def _used(self) -> set[str]:
        """Fields that a method of this kind reads."""
        used = {"predicts"}
        if self.predicts != "student":
            return used
        used.add("learner")
        curates = self.curation is not None or self.function is not None
        if self.labels == "weak":
            used |= {"with_weak", "function" if self.function else "curation"}
            if self.curation is None:
                used.add("function")  # one of the two
        if not curates and not self.iterations:
            used.add("labels")
        if self.learner in (FINETUNED, HEAD):
            used.add("loss")
        if self.learner == FINETUNED:
            used |= {"iterations"} if self.labels == "weak" else set()
            used |= {"cross_fit"} if self.iterations else set()
        else:
            used |= {"states", *self._probe_fields(self.learner)}
            used -= {"preprocess"} if self.learner == HEAD else set()  # heads standardise
        if self.function:
            used.add("layer")
        if self.curation in ("relabel", "filter") and self.probe:
            used |= {"probe", *self._probe_fields(self.probe)}
            used |= {"graph"} if self.probe == "topofilter" else {"cv"}
        if self.curation == "filter":
            used |= {"contamination", "per_class"}
            used |= {"rule"} if self.probe != "topofilter" else set()
        if self.curation == "random_filter":
            used.add("same_size_as")
        if self.learner in TOKEN_PROBES:
            used.remove("states")  # weak states are pooled
        used |= {"combine"} if self.layers is not None else set()
        # weak states have a single layer
        return used - {"layer", "layers"} if self.states == "weak" else used

    @staticmethod
    def _probe_fields(probe: str) -> set[str]:
        field = setting_field(probe)
        fields = {"layer", "preprocess"} | ({field} if field else set())
        fields -= {"preprocess"} if probe in TRAINED_POOLINGS else set()  # they standardise
        fields |= {"whiten"} if probe == "mass-mean" else set()
        return fields | ({"layers"} if probe != "topofilter" else set())


def _shown(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in fields.items())


def _like(name: str, **fields: Any) -> Method:
    """Random control of a filter."""
    return Method(curation="random_filter", same_size_as=name, **fields)


# methods that the source compares, and a control: the default of a config
DEFAULT_METHODS = {
    "weak": Method(predicts="weak"),
    "ceiling": Method(predicts="ceiling"),
    "student": Method(),
    "student_logconf": Method(loss="logconf"),
    "student_entropy": Method(loss="entropy"),
    "student_window": Method(loss="window"),
    "strong_to_strong_1": Method(iterations=1),
    "strong_to_strong_2": Method(iterations=2),
    "knn_probe": Method(learner="knn"),
    "logistic_probe": Method(learner="logistic"),
    "knn_relabel": Method(probe="knn", curation="relabel"),
    "logistic_relabel": Method(probe="logistic", curation="relabel"),
    "knn_filter": Method(probe="knn", curation="filter"),
    "logistic_filter": Method(probe="logistic", curation="filter"),
    "topofilter": Method(probe="topofilter", curation="filter"),
    "random_filter": _like("topofilter"),
}
FINETUNED_METHODS = {
    **DEFAULT_METHODS,
    "student_reverse": Method(loss="reverse"),
    "student_generalised": Method(loss="generalised"),
    "student_logconf_balanced": Method(loss="logconf_balanced"),
    "student_logconf_published": Method(loss="logconf_published"),
    "student_entropy_published": Method(loss="entropy_published"),
    "student_with_weak": Method(with_weak=True),
    "strong_to_strong_1_cross_fit": Method(iterations=1, cross_fit=True),
    "strong_to_strong_2_cross_fit": Method(iterations=2, cross_fit=True),
    # the loss of the source's own iterations
    "strong_to_strong_1_logconf": Method(loss="logconf", iterations=1),
    "strong_to_strong_2_logconf": Method(loss="logconf", iterations=2),
    "mass_mean_relabel": Method(probe="mass-mean", curation="relabel"),
    "logistic_layers_relabel": Method(probe="logistic", curation="relabel", layers=CANDIDATES),
    "logistic_stack_relabel": Method(
        probe="logistic", curation="relabel", layers=CANDIDATES, combine="stack"
    ),
    "mass_mean_filter": Method(probe="mass-mean", curation="filter"),
    "confident_learning_filter": Method(
        probe="logistic", curation="filter", rule="confident-learning"
    ),
    "deep_knn_filter": Method(probe="knn", curation="filter", rule="deep-knn"),
    # controls
    "random_like_knn_filter": _like("knn_filter"),
    "random_like_logistic_filter": _like("logistic_filter"),
    "random_like_mass_mean_filter": _like("mass_mean_filter"),
    "random_like_confident_learning_filter": _like("confident_learning_filter"),
    "random_like_deep_knn_filter": _like("deep_knn_filter"),
    "student_on_noise": Method(labels="noise"),
    "student_on_soft_noise": Method(labels="soft_noise"),
    "zero_shot": Method(predicts="zero_shot"),
}


def _probe_methods() -> dict[str, Method]:
    """Learners on activations, with their ceilings and controls.

    The logistic probe also learns from every curation that a finetuned student learns from.
    """
    found: dict[str, Method] = {}
    for learner, name in (("knn", "knn"), ("logistic", "logistic"), ("mass-mean", "mass_mean")):
        found |= {
            f"{name}_probe": Method(learner=learner),
            f"{name}_layers": Method(learner=learner, layers=CANDIDATES),
            f"{name}_stack": Method(learner=learner, layers=CANDIDATES, combine="stack"),
            f"{name}_with_weak": Method(learner=learner, with_weak=True),
            f"{name}_probe_on_truth": Method(learner=learner, labels="truth"),
            f"{name}_probe_on_noise": Method(learner=learner, labels="noise"),
            f"{name}_probe_on_soft_noise": Method(learner=learner, labels="soft_noise"),
            f"weak_to_weak_{name}": Method(learner=learner, states="weak"),
        }
    for learner in TOKEN_PROBES:
        # a penalty that suits logistic regression is too strong for a trained pooling
        fields = {"learner": learner, "l2": 1e-3 if learner in TRAINED_POOLINGS else None}
        name = learner.replace("-", "_")
        found |= {
            f"{name}_probe": Method(**fields),
            f"{name}_probe_on_truth": Method(**fields, labels="truth"),
            f"{name}_probe_on_noise": Method(**fields, labels="noise"),
        }
    for loss in LOSSES:
        found["head" if loss == "xent" else f"head_{loss}"] = Method(learner=HEAD, loss=loss)
    found["weak_to_weak_head"] = Method(learner=HEAD, states="weak")
    for name, method in FINETUNED_METHODS.items():
        if method.curation is not None:
            found[f"logistic_on_{name}"] = _learned_by("logistic", method)
    return found


def _learned_by(learner: str, method: Method) -> Method:
    """Copy of a method with another learner."""
    fields = method.model_dump(exclude_defaults=True)
    return Method(**{**fields, "learner": learner})


METHODS = {**FINETUNED_METHODS, **_probe_methods()}


def ceiling_method(learner: str) -> Method:
    """A probe on true labels, as the ceiling of a study."""
    return METHODS[f"{learner.replace('-', '_')}_probe_on_truth"]
