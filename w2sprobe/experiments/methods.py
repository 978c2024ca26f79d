"""The methods that can be compared: which labels, which curation, which loss.

A method is an entry: in the table here, or of a config's own. The trainer and the probes do not
know which one they serve.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from w2sprobe.data.callables import looks_like_callable
from w2sprobe.training.settings import LossName

Predicts = Literal["weak", "ceiling", "student", "probe", "zero_shot"]
Labels = Literal["weak", "truth"]
ProbeName = Literal["knn", "logistic", "mass-mean", "topofilter"]
Curation = Literal["relabel", "filter", "random_filter"]
ChoiceRule = Literal["weak_auc", "weak_log_loss"]
FilterRule = Literal["disagreement", "confident-learning", "deep-knn"]

AUTO: Final = "auto"  # chosen among probes.candidates, by the weak labels alone
Layer = Annotated[int | str, Field(description="Layer number, mid, or auto.")]
Neighbors = Annotated[
    Annotated[int, Field(ge=1)] | Literal["auto"],
    Field(description="k of kNN and of TopoFilter, or auto."),
]
Penalty = Annotated[
    Annotated[float, Field(gt=0)] | Literal["auto"],
    Field(description="Penalty of the logistic probe, or auto."),
]
Contamination = Annotated[float, Field(gt=0, lt=1, description="Share of rows a filter removes.")]
IN_SAMPLE: Final = "in-sample"
Folds = Annotated[
    Annotated[int, Field(ge=2)] | Literal["in-sample"],
    Field(
        description="Cross-fit relabelling and filtering over so many folds; default: 5, and for "
        "kNN none, which leaves each row out of its own vote. in-sample: judge rows by a probe "
        "that was fitted on them, their own labels included, as published; relabelling and filters "
        "by disagreement only.",
    ),
]

PROBE_SETTINGS: dict[ProbeName, set[str]] = {
    "knn": {"layer", "n_neighbors"},
    "logistic": {"layer", "l2"},
    "mass-mean": {"layer"},
    "topofilter": {"layer", "n_neighbors"},
}


class Method(BaseModel):
    """How a method's test predictions come about; settings of probes replace the config's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    predicts: Predicts = Field(
        description="Who predicts the test rows: the weak model, the strong model trained on "
        "truth (ceiling) or on weak labels (student), a probe fitted on these, or the strong "
        "model as it comes, asked in words (zero_shot)."
    )
    labels: Labels = Field(
        "weak", description="What a student or a probe learns from: truth makes it a ceiling."
    )
    loss: LossName = Field("xent", description="Of a student.")
    probe: ProbeName | None = Field(
        None,
        description="Predicts itself, or curates a student's labels; TopoFilter only filters.",
    )
    curation: Curation | None = Field(
        None,
        description="What is done to the weak labels before a student sees them: a probe relabels "
        "or filters the rows, or rows go at random.",
    )
    rule: FilterRule = Field(
        "disagreement",
        description="How a probe's filter chooses rows, as in `w2sprobe probe`; TopoFilter is its "
        "own rule.",
    )
    function: str | None = Field(
        None,
        description="module:function, a curation of your own: function(X, labels, texts) returns "
        "the LabelTable that a student sees.",
    )
    same_size_as: str | None = Field(
        None, description="Method whose filter a random filter matches: as many rows go."
    )
    iterations: int = Field(
        0,
        ge=0,
        description="Students after the first, each trained on the labels of the one before it.",
    )
    cross_fit: bool = Field(
        default=False,
        description="These labels come from students that were not trained on the row, instead "
        "of in-sample.",
    )
    layer: Layer | None = None
    n_neighbors: Neighbors | None = None
    l2: Penalty | None = None
    contamination: Contamination | None = None
    cv: Folds | None = None

    @property
    def probe_settings(self) -> dict[str, Any]:
        """Settings of probes that this method has of its own."""
        names = ("layer", "n_neighbors", "l2", "contamination", "cv")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def filters(self) -> bool:
        """Whether a random filter can be of its size."""
        return self.curation == "filter" or self.function is not None

    @property
    def apart(self) -> str:
        """Why the family of methods that compete with the student leaves this one out; or empty."""
        if self.predicts in ("weak", "ceiling"):
            return "an end of the gap"
        if self.labels == "truth":
            return "fitted on true labels"
        if self.predicts == "zero_shot":
            return "learns from no rows"
        return "control: rows go at random" if self.curation == "random_filter" else ""

    def folds(self, cv: Folds | None) -> Folds | None:
        """What the curation of this method reads of a setting `cv`; None for its default."""
        published = self.curation == "relabel" or self.rule == "disagreement"
        if self.probe == "topofilter" or (cv == IN_SAMPLE and not published):
            return None
        return cv

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
            raise ValueError(
                f"{_shown({name: getattr(self, name) for name in extra})} does not go with "
                f"{_shown(kept)}; allowed beside that: "
                f"{', '.join(sorted(used - given)) or 'nothing'}"
            )
        return self

    def _check_probe(self) -> None:
        if self.probe is None:
            if self.predicts == "probe" or self.curation in ("relabel", "filter"):
                what = (
                    "predicts 'probe'" if self.curation is None else f"curation {self.curation!r}"
                )
                raise ValueError(f"{what} without probe; allowed: {', '.join(PROBE_SETTINGS)}")
        elif self.predicts == "student" and self.curation is None:
            raise ValueError(
                f"probe {self.probe!r} without curation; allowed: relabel or filter, or predicts: "
                "probe"
            )
        elif self.probe == "topofilter" and self.curation != "filter":
            raise ValueError("probe 'topofilter' only filters; allowed: curation: filter")
        if self.cv == IN_SAMPLE and self.probe != "topofilter" and self.folds(self.cv) is None:
            raise ValueError(
                f"cv 'in-sample' with rule {self.rule!r}; allowed: disagreement, or relabelling"
            )
        if self.rule == "deep-knn" and self.probe != "knn":
            raise ValueError(f"rule 'deep-knn' with probe {self.probe!r}; allowed: knn")

    def _used(self) -> set[str]:
        """Fields that say something about a method of this kind."""
        used = {"predicts"}
        if self.predicts == "probe":
            used |= {"labels", "probe"}
        elif self.predicts == "student":
            used.add("loss")
            if self.labels == "weak":
                used |= {"iterations", "function" if self.function else "curation"}
                if self.curation is None:
                    used.add("function")  # one of the two
            if self.labels == "truth" or not (self.curation or self.function or self.iterations):
                used.add("labels")
        if self.function:
            used.add("layer")
        if self.iterations:
            used.add("cross_fit")
        if self.curation in ("relabel", "filter"):
            used |= {"probe"} | ({"cv"} if self.probe != "topofilter" else set())
        if self.curation == "filter":
            used |= {"contamination"} | ({"rule"} if self.probe != "topofilter" else set())
        if self.curation == "random_filter":
            used.add("same_size_as")
        return used | (PROBE_SETTINGS[self.probe] if self.probe else set())


def _shown(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in fields.items())


def _like(name: str) -> Method:
    """Make the control of a filter."""
    return Method(predicts="student", curation="random_filter", same_size_as=name)


# what the source compares, and a control; run where a config names no methods
DEFAULT_METHODS = {
    "weak": Method(predicts="weak"),
    "ceiling": Method(predicts="ceiling"),
    "student": Method(predicts="student"),
    "student_logconf": Method(predicts="student", loss="logconf"),
    "student_entropy": Method(predicts="student", loss="entropy"),
    "student_window": Method(predicts="student", loss="window"),
    "strong_to_strong_1": Method(predicts="student", iterations=1),
    "strong_to_strong_2": Method(predicts="student", iterations=2),
    "knn_probe": Method(predicts="probe", probe="knn"),
    "logistic_probe": Method(predicts="probe", probe="logistic"),
    "knn_relabel": Method(predicts="student", probe="knn", curation="relabel"),
    "logistic_relabel": Method(predicts="student", probe="logistic", curation="relabel"),
    "knn_filter": Method(predicts="student", probe="knn", curation="filter"),
    "logistic_filter": Method(predicts="student", probe="logistic", curation="filter"),
    "topofilter": Method(predicts="student", probe="topofilter", curation="filter"),
    "random_filter": _like("topofilter"),
}
METHODS = {
    **DEFAULT_METHODS,
    "student_reverse": Method(predicts="student", loss="reverse"),
    "student_generalised": Method(predicts="student", loss="generalised"),
    "student_logconf_balanced": Method(predicts="student", loss="logconf_balanced"),
    "student_logconf_published": Method(predicts="student", loss="logconf_published"),
    "student_entropy_published": Method(predicts="student", loss="entropy_published"),
    "strong_to_strong_1_cross_fit": Method(predicts="student", iterations=1, cross_fit=True),
    "strong_to_strong_2_cross_fit": Method(predicts="student", iterations=2, cross_fit=True),
    # the loss of the source's own iterations
    "strong_to_strong_1_logconf": Method(predicts="student", loss="logconf", iterations=1),
    "strong_to_strong_2_logconf": Method(predicts="student", loss="logconf", iterations=2),
    "mass_mean_probe": Method(predicts="probe", probe="mass-mean"),
    "mass_mean_relabel": Method(predicts="student", probe="mass-mean", curation="relabel"),
    "mass_mean_filter": Method(predicts="student", probe="mass-mean", curation="filter"),
    "confident_learning_filter": Method(
        predicts="student", probe="logistic", curation="filter", rule="confident-learning"
    ),
    "deep_knn_filter": Method(predicts="student", probe="knn", curation="filter", rule="deep-knn"),
    # controls
    "random_like_knn_filter": _like("knn_filter"),
    "random_like_logistic_filter": _like("logistic_filter"),
    "random_like_mass_mean_filter": _like("mass_mean_filter"),
    "random_like_confident_learning_filter": _like("confident_learning_filter"),
    "random_like_deep_knn_filter": _like("deep_knn_filter"),
    "knn_probe_on_truth": Method(predicts="probe", probe="knn", labels="truth"),
    "logistic_probe_on_truth": Method(predicts="probe", probe="logistic", labels="truth"),
    "mass_mean_probe_on_truth": Method(predicts="probe", probe="mass-mean", labels="truth"),
    "zero_shot": Method(predicts="zero_shot"),
}
