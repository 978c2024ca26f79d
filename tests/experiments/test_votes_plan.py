"""Which votes methods read: those that read the same are cast in one stage."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiments.calls import call_stage
from tests.experiments.cases import MODEL, save_study, study
from tests.experiments.test_stage_kinds import SPLITS
from tests.tiny import save_tiny_model
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.plan import StudyPlan, make_plan
from w2sprobe.experiments.runner import run_study
from w2sprobe.experiments.stage_kinds import CastVotes
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.votes_plan import BY_FOLDS, Reading, VoteRequest, VotesPlan
from w2sprobe.labels import LabelTable
from w2sprobe.results import Results
from w2sprobe.votes.picking import Pick
from w2sprobe.votes.table import IN_SAMPLE, LEAVE_ONE_OUT, TRAIN

HERE = Path("nowhere")
STORE, WEAK, OTHER = (call_stage(HERE, name, print) for name in ("store", "weak", "other"))


def need(
    probe: str = "knn", labels: str = "weak", held_out: tuple[str, ...] = (), **fields: Any
) -> VoteRequest:
    """What a method with k=5 or l2=.1 on layer 2 reads, or what is said instead."""
    stages = {"weak": WEAK, "other": OTHER, "truth": None}
    setting, values = {"knn": ("k", (5.0,)), "logistic": ("l2", (0.1,))}[probe]
    layers = fields.pop("layers", (2,))
    by = "weak" if labels == "truth" else labels
    known = {
        "pick": Pick(probe, setting, values, layers, labels, by, "weak_log_loss"),
        "store": STORE,
        "settings": {"preprocess": "none", "cv": 5},
        "probes": {probe: values},
        "labels": {name: stages[name] for name in {labels, by}},
        "held_out": frozenset(held_out),
    }
    return VoteRequest(**{**known, **fields})


def cast(*needs: VoteRequest) -> tuple[list[Reading], list[CastVotes]]:
    """What the needs read, and the stages of all votes."""
    made: list[CastVotes] = []

    def make(work: CastVotes, title: str) -> Stage:
        made.append(work)
        return Stage(work, f"{title} {len(made)}", HERE)

    plan = VotesPlan(SPLITS, "cpu", make)
    readings = [plan.read(one) for one in needs]
    with pytest.raises(RuntimeError, match="before they are planned"):
        _ = readings[0].stage
    plan.cast("votes")
    plan.cast("again")  # of which there are none
    return readings, made


def test_needs_of_the_same_activations_are_one_stage_of_all_that_they_read() -> None:
    readings, (work,) = cast(
        need(),
        need("logistic", "other"),
        need("knn", "truth", probes={"knn": (9.0,)}),
    )
    assert len({id(one.stage) for one in readings}) == 1
    assert work.spec.layers == "2"
    assert work.spec.probes == {"knn": (5.0, 9.0), "logistic": (0.1,)}
    assert work.labels == {"other": OTHER, "weak": WEAK}
    assert (work.truth, work.hard, work.spec.held_out) == (True, (), ())
    assert [one.chooser for one in readings] == [WEAK, OTHER, WEAK]
    assert work.store is STORE


def test_the_order_of_needs_moves_no_address() -> None:
    some = [need(), need("logistic", "other", layers=(3, 1)), need("knn", "truth")]
    one, two = (
        {Stage(work, "", HERE).address for work in cast(*order)[1]} for order in (some, some[::-1])
    )
    assert one == two
    assert len(one) == 2


def test_no_probe_is_fitted_on_layers_where_no_one_reads_it() -> None:
    readings, works = cast(
        need(), need("logistic", layers=(1, 2, 3)), need(layers=(4,)), need("knn", "other")
    )
    assert [(work.spec.layers, {*work.spec.probes}) for work in works] == [
        ("2,4", {"knn"}),
        ("1,2,3", {"logistic"}),
    ]
    assert [works.index(one.stage.work) for one in readings] == [0, 1, 0, 0]


def test_probes_that_one_need_reads_side_by_side_share_their_layers() -> None:
    """One chooses for the other."""
    both = {"knn": (5.0,), "logistic": (0.1,)}
    readings, (work,) = cast(need(probes=both, layers=(1, 2)), need("logistic", layers=(3,)))
    assert work.spec.layers == "1,2,3"
    assert work.spec.probes == both
    assert len({id(one.stage) for one in readings}) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"settings": {"preprocess": "standardize", "cv": 5}},
        {"settings": {"preprocess": "none", "cv": 3}},
        {"settings": {"preprocess": "none", "cv": 5, "whiten": True}},
        {"store": OTHER},
        {"together": "one supervisor's"},
    ],
    ids=str,
)
def test_needs_of_other_settings_or_activations_are_cast_apart(other: dict[str, Any]) -> None:
    readings, works = cast(need(), need(**other), need("logistic"))
    assert len(works) == 2
    assert readings[0].stage is readings[2].stage is not readings[1].stage
    cv = other.get("settings", {}).get("cv", 5)
    assert works[1].spec.cv == cv
    assert works[1].spec.preprocess == other.get("settings", {}).get("preprocess", "none")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ([()], ()),
        ([(TRAIN,), ()], (TRAIN,)),
        ([(LEAVE_ONE_OUT,), (IN_SAMPLE,)], (IN_SAMPLE, LEAVE_ONE_OUT)),
        # of probes that know nothing but folds
        ([(BY_FOLDS,)], (TRAIN,)),
        ([(BY_FOLDS,), (LEAVE_ONE_OUT,)], (LEAVE_ONE_OUT,)),
        ([(BY_FOLDS,), (TRAIN,)], (TRAIN,)),
        ([(BY_FOLDS,), (IN_SAMPLE,)], (IN_SAMPLE, TRAIN)),
    ],
)
def test_training_rows_are_predicted_as_any_method_asks(
    asked: list[tuple[str, ...]], expected: tuple[str, ...]
) -> None:
    _, (work,) = cast(*(need(held_out=one) for one in asked))
    assert work.spec.held_out == expected


def test_hard_labels_are_cast_beside_soft_ones() -> None:
    _, (work,) = cast(need(hard=frozenset({"weak"})), need(labels="other"))
    assert (work.hard, set(work.labels)) == (("weak",), {"weak", "other"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readings")
    save_study(folder)
    save_tiny_model("bert", folder / "weak2", hidden_size=16)
    return folder


def plan_of(place: Path, weak: list[dict[str, Any]], *methods: str) -> StudyPlan:
    values = study(place, methods=methods, ceiling="logistic")
    config = StudyConfig.model_validate({**values, "weak": weak})
    return make_plan(config, cache=place / "cache", out=place / "out")


def votes_of(plan: StudyPlan) -> list[set[str]]:
    """Label vectors of each stage of votes."""
    return [{*one.work.labels} for one in plan.stages if isinstance(one.work, CastVotes)]


def test_finetuned_supervisors_are_voted_on_alone(place: Path) -> None:
    """What takes hours keeps nobody waiting that can go on."""
    finetuned = [{"model": str(place / name), **MODEL} for name in ("weak", "weak2")]
    cheap = [{"kind": "ngrams"}, {"kind": "probe", "model": str(place / "weak")}]
    plan = plan_of(place, [*finetuned, *cheap], "logistic_probe", "knn_probe")
    stages = [one for one in plan.stages if isinstance(one.work, CastVotes)]
    slow = [
        {one.title for one in stage.inputs.values()} & {"weak model on truth"} for stage in stages
    ]
    assert sorted(len({*stage.work.labels}) for stage in stages) == [1, 1, 2]
    assert [bool(one) for one in slow].count(True) == 2
    for stage, waits in zip(stages, slow, strict=True):
        assert len({*stage.work.labels}) == (1 if waits else 2)


def test_a_stage_of_votes_is_that_of_a_study_without_the_others(place: Path) -> None:
    """So that another supervisor, who is finetuned, casts nothing again."""
    finetuned = [{"model": str(place / name), **MODEL} for name in ("weak", "weak2")]
    one = plan_of(place, finetuned[:1], "logistic_probe")
    two = plan_of(place, finetuned, "logistic_probe")
    addresses = {stage.address for stage in two.stages}
    assert {stage.address for stage in one.stages if stage.kind != "audit"} <= addresses


def test_methods_after_curation_are_cast_once_curations_are_there(place: Path) -> None:
    weak = [{"kind": "ngrams"}, {"kind": "probe", "model": str(place / "weak")}]
    plan = plan_of(place, weak, "logistic_on_knn_relabel", "logistic_on_logistic_filter")
    first, *second = votes_of(plan)
    assert len(first) == 2
    assert [len(labels) for labels in second] == [2, 2]  # those of a supervisor fail alone
    titles = [stage.title for stage in plan.stages if isinstance(stage.work, CastVotes)]
    assert len(set(titles)) == 3


def test_labels_of_one_class_fail_the_methods_of_their_supervisor(place: Path) -> None:
    plan = plan_of(place, [{"kind": "ngrams"}], "logistic_probe")
    ids = plan.experiments[0].splits.stored.ids
    file = place / "sure.parquet"
    LabelTable(ids, np.ones(len(ids))).write(file)
    weak = [{"kind": "ngrams"}, {"kind": "labels", "file": str(file)}]
    plan = plan_of(place, weak, "logistic_probe", "knn_probe", "knn_relabel")
    done = run_study(plan, place / "sure")
    found = [Results.read(place / "sure" / name / "results.json") for name in done.experiments]
    good, poor = sorted(found, key=lambda one: one.weak_model == "sure")
    assert not good.missing
    assert {row.method for row in good.rows} >= {"logistic_probe", "knn_probe", "knn_relabel"}
    assert set(poor.missing) == {"logistic_probe", "knn_probe", "knn_relabel"}
    assert "no predictions of logistic" in poor.missing["logistic_probe"]
    assert "ceiling" in {row.method for row in poor.rows}
    failed = next(one for one in done.failures if one.stage == "knn_relabel labels of sure")
    assert ", sure > " in failed.experiment
    assert failed.n_waiting == 1


def test_no_two_stages_of_an_experiment_have_one_title(place: Path) -> None:
    """Results tell them apart by these; votes read the labels of other experiments, too."""
    values = study(place, methods=["logistic_on_knn_relabel", "knn_probe_on_noise", "head"])
    weak = [{"kind": "ngrams"}, {"kind": "probe", "model": str(place / "weak")}]
    weak = [{**one, "rows": 8} for one in weak]
    values |= {"weak": weak, "ceiling": "logistic", "supervisor_seeds": 2, "learner_seeds": 2}
    plan = make_plan(StudyConfig.model_validate(values), cache=place / "cache", out=place / "out")
    assert len(plan.experiments) == 8
    for experiment in plan.experiments:
        titles = [stage.title for stage in experiment.stages]
        assert len(set(titles)) == len(titles), sorted(titles)
    for experiment in plan.experiments:
        (curated, _) = experiment.methods["logistic_on_knn_relabel"].stages
        assert experiment.config.weak.label in plan.experiment_name(curated)
