"""The methods: what goes together, what they leave alone, and what they compute."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError

from tests.experiments.cases import DEFINED, plan_one, run_one, said, save_study, study
from w2sprobe.cache import ActivationStore
from w2sprobe.curation import IN_SAMPLE as OF_CURATION
from w2sprobe.curation import (
    filter_at_random,
    filter_by_confident_learning,
    filter_by_disagreement,
    filter_by_neighbors,
    relabel,
)
from w2sprobe.experiments import stage_kinds
from w2sprobe.experiments.config import StudyConfig, ZeroShotConfig
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.methods import (
    IN_SAMPLE,
    LEARNERS,
    METHODS,
    ChoiceRule,
    Method,
)
from w2sprobe.experiments.stage_kinds import labels_of
from w2sprobe.experiments.stages import Stage
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import roc_auc
from w2sprobe.probes import KNNProbe, LogisticProbe, MassMeanProbe
from w2sprobe.probing.probe_types import PROBES
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.results import Results
from w2sprobe.training.trainer import finetune
from w2sprobe.training.zero_shot import ANSWERS, zero_shot
from w2sprobe.votes.selection import WeakRule
from w2sprobe.votes.stacking import stack_weights

NEW = (
    *("confident_learning_filter", "deep_knn_filter", "random_like_deep_knn_filter"),
    *("logistic_probe_on_truth", "knn_probe_on_truth", "mass_mean_probe", "zero_shot"),
)
Make = Callable[..., Experiment]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("methods")
    save_study(folder)
    return folder


@pytest.fixture(scope="module")
def make(place: Path) -> Make:
    def plan(**sections: Any) -> Experiment:
        return plan_one(study(place, **sections), place / "cache")

    return plan


@pytest.fixture(scope="module")
def done(make: Make, place: Path) -> Experiment:
    plan = make(methods=[*NEW, *DEFINED], define=DEFINED)
    run_one(plan, place / "results")
    return plan


@pytest.fixture(scope="module")
def results(done: Experiment, place: Path) -> Results:
    return Results.read(place / "results/results.json")


def own(plan: Experiment, name: str) -> list[Stage]:
    """Stages of a method's own."""
    return plan.methods[name].stages


def weak_labels(plan: Experiment) -> np.ndarray:
    """What the supervisor says of the strong-train rows."""
    return table(own(plan, "weak")[0]).align(plan.splits.strong_train.ids).soft_label


def groups(plan: Experiment) -> np.ndarray | None:
    """Rows that are held out together."""
    return ProbedRows.of_splits(plan.splits).groups


def table(stage: Stage) -> LabelTable:
    return labels_of(stage)


def activations(plan: Experiment, split: str, layer: int) -> np.ndarray:
    (stage,) = (stage for stage in plan.stages if stage.own_folder)
    store = ActivationStore.open(stage.folder)
    return store.read(layer, store.rows_of(plan.splits[split].ids))


@pytest.mark.parametrize(
    ("entry", "parts"),
    [
        ({"predicts": "probe"}, ["predicts 'probe' without probe", "knn, logistic, mass-mean"]),
        ({"curation": "filter"}, ["curation 'filter' without probe", "topofilter"]),
        ({"probe": "knn"}, ["probe 'knn' without curation", "relabel or filter"]),
        ({"curation": "random_filter"}, ["'random_filter' without same_size_as"]),
        ({"same_size_as": "topofilter"}, ["same_size_as 'topofilter' does not go with"]),
        ({"probe": "topofilter", "curation": "relabel"}, ["'topofilter' only filters"]),
        ({"predicts": "probe", "probe": "topofilter"}, ["'topofilter' only filters"]),
        (
            {"probe": "logistic", "curation": "filter", "rule": "deep-knn"},
            ["'deep-knn' with probe 'logistic'", "allowed: knn"],
        ),
        ({"probe": "topofilter", "curation": "filter", "rule": "confident-learning"}, ["rule"]),
        ({"probe": "knn", "curation": "relabel", "rule": "deep-knn"}, ["rule 'deep-knn' does not"]),
        ({"probe": "knn", "curation": "relabel", "contamination": 0.2}, ["contamination 0.2"]),
        ({"probe": "knn", "curation": "filter", "l2": 0.1}, ["l2 0.1", "n_neighbors"]),
        ({"probe": "topofilter", "curation": "filter", "cv": 3}, ["cv 3 does not go with"]),
        (
            {"probe": "topofilter", "curation": "filter", "cv": "in-sample"},
            ["cv 'in-sample' does not go with"],
        ),
        (
            {
                "probe": "logistic",
                "curation": "filter",
                "rule": "confident-learning",
                "cv": "in-sample",
            },
            ["cv 'in-sample' with rule 'confident-learning'"],
        ),
        ({"layer": 3}, ["layer 3 does not go with predicts 'student'", "allowed beside that: cur"]),
        ({"cross_fit": True}, ["cross_fit True does not go with"]),
        (
            {"labels": "truth", "iterations": 1},
            ["iterations 1, labels 'truth' does not go with predicts"],
        ),
        ({"labels": "truth", "curation": "filter", "probe": "knn"}, ["labels 'truth' does not"]),
        ({"predicts": "ceiling", "loss": "logconf"}, ["loss 'logconf'", "that: nothing"]),
        ({"predicts": "weak", "labels": "truth"}, ["labels 'truth' does not go with predicts"]),
        ({"predicts": "zero_shot", "probe": "knn"}, ["probe 'knn'"]),
        ({"predicts": "probe", "probe": "knn", "curation": "filter"}, ["curation 'filter' does"]),
        ({"function": "my_rules"}, ["function", "not module:function"]),
        ({"function": "a:b", "curation": "filter", "probe": "knn"}, ["curation 'filter' does not"]),
        ({"function": "a:b", "labels": "truth"}, ["does not go with", "function 'a:b'"]),
        ({"predicts": "probe", "probe": "knn", "function": "a:b"}, ["function 'a:b' does not"]),
        ({"loss": "logcon"}, ["loss", "logconf"]),
        ({"iterations": -1}, ["iterations", "greater than or equal to 0"]),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_refused(entry: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Method(**{"predicts": "student", **entry})
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("name", METHODS)
def test_an_entry_is_read_back_as_it_was(name: str) -> None:
    """With every field, as in a stored config, and with only those that say something."""
    method = METHODS[name]
    assert Method(**method.model_dump()) == method
    assert Method(**method.model_dump(exclude_defaults=True)) == method


def test_the_words_are_those_of_the_commands() -> None:
    tokens = ("token-mean", "token-last", "attention", "multimax", "softmax-mean")
    assert ("knn", "logistic", "mass-mean", "topofilter", *tokens) == PROBES
    assert ("finetuned", "knn", "logistic", "mass-mean", *tokens, "head") == LEARNERS
    assert get_args(ChoiceRule) == get_args(WeakRule)
    assert ZeroShotConfig().answers == ANSWERS
    assert IN_SAMPLE == OF_CURATION


def test_every_filter_has_its_random_control() -> None:
    controlled = {method.same_size_as for method in METHODS.values()} - {None}
    filters = {name: method for name, method in METHODS.items() if method.filters}
    assert controlled == {name for name, one in filters.items() if one.learner == "finetuned"}
    for name in controlled:
        (like,) = (one for one in METHODS.values() if one == Method(
            learner="logistic", curation="random_filter", same_size_as=name
        ))  # fmt: skip
        assert like.filters is False


@pytest.fixture(scope="module")
def everything(make: Make, place: Path) -> Experiment:
    """A study of every method there is."""
    probes = {"n_neighbors": 3, "head": {"epochs": 2}}
    # whose labels have both classes: TopoFilter needs them
    weak = {"kind": "probe", "model": str(place / "weak"), "l2": 1e-4}
    plan = make(methods=list(METHODS), strong_to_strong={"cv": 2}, probes=probes, weak=weak)
    run_one(plan, place / "everything")
    return plan


def test_every_method_is_planned_as_one_of_its_own(everything: Experiment) -> None:
    plan = everything
    own_ceilings = {method.own_ceiling for method in METHODS.values()} - {None}
    assert {*plan.methods} == {*METHODS, *plan.ceilings.values()}
    assert {plan.methods[name].method for name in plan.ceilings.values()} == own_ceilings
    titles = [stage.title for stage in plan.stages]
    assert len(set(titles)) == len(titles), "results tell stages apart by title"
    addresses = [stage.address for stage in plan.stages]
    assert len(set(addresses)) == len(addresses)
    read = [
        (one.stages[-1].address, one.reading and one.reading.pick, one.weak is None)
        for one in plan.methods.values()
    ]
    assert len({*map(str, read)}) == len(read)


def test_every_method_is_run_and_says_something_of_its_own(
    everything: Experiment, place: Path
) -> None:
    results = Results.read(place / "everything/results.json")
    assert [row.method for row in results.rows] == [*everything.methods]
    assert not results.missing
    predictions = said(everything)
    for name, p in predictions.items():
        assert np.isfinite(p).all(), name
        assert ((p >= 0) & (p <= 1)).all(), name
    for learner in ("knn", "logistic", "mass_mean"):
        names = [name for name in METHODS if name.startswith(learner) and "probe" in name]
        said_by = {tuple(predictions[name]) for name in names}
        assert len(said_by) == len(names) == 4, names


def test_every_learner_has_its_ceiling_and_no_other(everything: Experiment) -> None:
    for name, planned in everything.methods.items():
        if not planned.method.learns_by_probe or planned.method.labels == "truth":
            assert name not in everything.ceilings
            continue
        ceiling = everything.methods[everything.ceilings[name]]
        assert ceiling.method == planned.method.own_ceiling
        assert (ceiling.reading.pick.labels, ceiling.weak) == ("truth", None)
        for field in ("probe", "setting", "values", "layers", "average"):
            assert getattr(ceiling.reading.pick, field) == getattr(planned.reading.pick, field)
        stores = {one.reading.stage.work.store.address for one in (planned, ceiling)}
        assert len(stores) == 1
    assert everything.ceilings["knn_with_weak"] == "knn_probe_on_truth"
    assert everything.ceilings["logistic_on_topofilter"] == "logistic_probe_on_truth"
    assert everything.ceilings["logistic_layers"] == "logistic_layers_on_truth"
    assert everything.ceilings["weak_to_weak_knn"] == "weak_to_weak_knn_on_truth"


def test_results_have_the_gap_to_a_learner_s_own_ceiling(
    everything: Experiment, place: Path
) -> None:
    rows = {row.method: row for row in Results.read(place / "everything/results.json").rows}
    for name in everything.methods:
        assert rows[name].own_ceiling == everything.ceilings.get(name, "")
        if name in everything.ceilings:
            gap = rows[everything.ceilings[name]].auc - rows["weak"].auc
            assert rows[name].own_gap == pytest.approx(gap)
        else:
            assert rows[name].own_gap is None


def test_settings_of_a_method_train_that_method_alone(
    make: Make, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Votes are cast again, which takes seconds; finetuning is found by what it learns from."""
    methods = ["knn_filter", "logistic_relabel", "mine", "logistic_probe", "other_layer"]
    before = make(methods=methods, define={**DEFINED, "mine": DEFINED["my_filter"]})
    run_one(before, place / "moved")
    trained: list[Path] = []

    def noted(*arguments: Any, **options: Any) -> Any:
        trained.append(arguments[4])
        return finetune(*arguments, **options)

    monkeypatch.setattr(stage_kinds, "finetune", noted)
    changed = {**DEFINED["my_filter"], "contamination": 0.4}
    after = make(methods=[*methods, "as_large"], define={**DEFINED, "mine": changed})
    run_one(after, place / "moved")
    assert trained == [own(after, name)[-1].folder for name in ("mine", "as_large")]
    earlier, later = said(before), said(after)
    for name in ("weak", "ceiling", *methods):
        assert (earlier[name] == later[name]).all() == (name != "mine"), name


def test_filters_keep_what_the_library_keeps(done: Experiment) -> None:
    train = done.splits.strong_train
    soft, together = weak_labels(done), groups(done)
    X = activations(done, "strong_train", done.layer)
    mine = filter_by_disagreement(
        LogisticProbe(0.1), activations(done, "strong_train", 1), soft,
        contamination=0.25, groups=together,
    )  # fmt: skip
    confident = filter_by_confident_learning(
        LogisticProbe(), X, soft, contamination=0.1, groups=together
    )
    deep = filter_by_neighbors(X, soft, n_neighbors=3, contamination=0.1, groups=together)
    expected = {
        "my_filter": mine,
        "confident_learning_filter": confident,
        "deep_knn_filter": deep,
        "as_large": filter_at_random(16, 4),
        "random_like_deep_knn_filter": filter_at_random(16, 2),
    }
    for name, keep in expected.items():
        curated, student = own(done, name)
        np.testing.assert_array_equal(table(curated).align(train.ids).keep, keep, err_msg=name)
        assert student.inputs["labels"] is curated


def test_probes_on_truth_see_truth_and_others_do_not(done: Experiment, results: Results) -> None:
    train, test = done.splits.strong_train, done.splits.test
    X, Q = (activations(done, split, done.layer) for split in ("strong_train", "test"))
    ceiling = LogisticProbe().fit(X, train.labels).predict_proba(Q)[:, 1]
    predictions = said(done)
    np.testing.assert_allclose(predictions["logistic_probe_on_truth"], ceiling, rtol=1e-6)
    auc = {row.method: row.auc for row in results.rows}
    assert auc["logistic_probe_on_truth"] == pytest.approx(roc_auc(test.labels, ceiling))
    Q = activations(done, "test", 1)
    votes = KNNProbe(2).fit(activations(done, "strong_train", 1), weak_labels(done))
    expected = votes.predict_proba(Q)[:, 1]
    np.testing.assert_allclose(predictions["other_layer"], expected, atol=1e-12)
    mean = MassMeanProbe().fit(X, weak_labels(done)).predict_proba(activations(done, "test", 1))
    np.testing.assert_allclose(predictions["mass_mean_probe"], mean[:, 1], rtol=1e-5)
    assert not own(done, "ceiling_logconf")[0].inputs


def test_averages_are_those_of_layers_and_of_the_supervisor(everything: Experiment) -> None:
    plan, predictions = everything, said(everything)
    weak = predictions["weak"]
    for name in ("knn", "logistic", "mass_mean"):
        half = (predictions[f"{name}_probe"] + weak) / 2
        np.testing.assert_array_equal(predictions[f"{name}_with_weak"], half)
    half = (predictions["student"] + weak) / 2
    np.testing.assert_array_equal(predictions["student_with_weak"], half)
    train, layers = weak_labels(plan), plan.methods["logistic_layers"].reading.pick.layers
    assert layers == (0, 1, 2, 3)
    by_layer = {}
    for name, probe in (("logistic", LogisticProbe()), ("knn", KNNProbe(3))):
        each = [
            probe.fit(activations(plan, "strong_train", layer), train).predict_proba(
                activations(plan, "test", layer)
            )[:, 1]
            for layer in layers
        ]
        by_layer[name] = np.array(each)
        mean = np.mean(each, axis=0)
        np.testing.assert_allclose(predictions[f"{name}_layers"], mean, rtol=1e-6)
    held_out = [
        relabel(LogisticProbe(), activations(plan, "strong_train", layer), train,
                groups=groups(plan))
        for layer in layers
    ]  # fmt: skip
    ids = plan.splits.strong_train.ids
    new = table(own(plan, "logistic_layers_relabel")[0]).align(ids).soft_label
    np.testing.assert_allclose(new, np.mean(held_out, axis=0), rtol=1e-6)
    weights = stack_weights(np.array(held_out), train)
    stack = weights @ by_layer["logistic"]
    np.testing.assert_allclose(predictions["logistic_stack"], stack, atol=1e-5)
    new = table(own(plan, "logistic_stack_relabel")[0]).align(ids).soft_label
    np.testing.assert_allclose(new, weights @ np.array(held_out), atol=1e-5)


def test_weak_to_weak_learns_from_the_supervisor_s_own_states(everything: Experiment) -> None:
    work = everything.methods["weak_to_weak_knn"].reading.stage.work
    store = ActivationStore.open(work.store.folder)
    assert store.layers == (3,)
    assert store.manifest["identity"]["position"] == "mean"
    X, Q = (
        store.read(3, store.rows_of(everything.splits[name].ids))
        for name in ("strong_train", "test")
    )
    expected = KNNProbe(3).fit(X, weak_labels(everything)).predict_proba(Q)[:, 1]
    np.testing.assert_allclose(said(everything)["weak_to_weak_knn"], expected, atol=1e-12)


def test_a_probe_learns_from_the_rows_that_a_filter_keeps(everything: Experiment) -> None:
    plan = everything
    X, Q = (activations(plan, name, plan.layer) for name in ("strong_train", "test"))
    predictions = said(plan)
    for name in ("knn_filter", "topofilter", "random_filter"):
        curated, last = own(plan, f"logistic_on_{name}")
        assert last.kind == "votes"
        assert curated is own(plan, name)[0]
        labels = table(curated).align(plan.splits.strong_train.ids)
        assert 0 < (~labels.keep).sum() <= 3
        probe = LogisticProbe().fit(X[labels.keep], labels.soft_label[labels.keep])
        expected = probe.predict_proba(Q)[:, 1]
        np.testing.assert_allclose(predictions[f"logistic_on_{name}"], expected, rtol=1e-6)
    relabelled = table(own(plan, "logistic_on_knn_relabel")[0])
    soft = relabelled.align(plan.splits.strong_train.ids).soft_label
    expected = LogisticProbe().fit(X, soft).predict_proba(Q)[:, 1]
    np.testing.assert_allclose(predictions["logistic_on_knn_relabel"], expected, rtol=1e-6)


def test_zero_shot_is_what_the_library_says(
    done: Experiment, results: Results, place: Path
) -> None:
    test = done.splits.test
    said = zero_shot(str(place / "strong"), test, answers=("bad", "good"))
    (stage,) = own(done, "zero_shot")
    np.testing.assert_array_equal(table(stage).soft_label, said.soft_label)
    assert not stage.inputs
    rows = {row.method: row for row in results.rows}
    assert rows["zero_shot"].auc == pytest.approx(roc_auc(test.labels, said.soft_label))
    assert (rows["zero_shot"].rows_offered, rows["my_filter"].rows_kept) == (0, 12)


def test_results_hold_a_config_that_can_be_run_again(results: Results, make: Make) -> None:
    again = StudyConfig.model_validate(results.config)
    assert again.define == {name: Method(**entry) for name, entry in DEFINED.items()}
    assert again.define["other_layer"] == Method(learner="knn", layer=1, n_neighbors=2)
    plan = make(**{key: results.config[key] for key in ("methods", "define")})
    assert all(stage.done for stage in plan.stages)


@pytest.mark.filterwarnings("ignore:TopoFilter.s component step")
def test_what_is_auto_is_chosen_by_weak_labels_alone(make: Make, place: Path) -> None:
    """And what a probe then computes is what it computes where these settings are written."""
    candidates = {"ks": [3, 4, 15, 99], "l2s": [0.01, 1.0], "layers": "1,2"}
    probes = {"layer": "auto", "n_neighbors": "auto", "l2": "auto", "candidates": candidates}
    methods = ["knn_probe", "logistic_probe", "mass_mean_probe", "logistic_relabel"]
    methods += ["logistic_probe_on_truth", "topofilter"]
    weak = {"kind": "probe", "model": str(place / "weak"), "l2": 1e-4}
    plan = make(probes=probes, methods=methods, weak=weak)
    assert plan.layer is None
    for name in methods:
        reading = plan.methods[name].reading or plan.methods[name].curator
        assert reading.chooser is own(plan, "weak")[0]
        assert reading.pick.chosen_by != "truth"
        assert reading.pick.layers == (1, 2)
    assert plan.methods["knn_probe"].reading.pick.values == (3, 4)
    results = run_one(plan, place / "auto")
    chosen = results.chosen
    assert chosen["topofilter"] == chosen["knn_probe"]
    assert chosen["logistic_probe_on_truth"] == chosen["logistic_probe"]
    assert chosen["mass_mean_probe"] == chosen["logistic_probe"]
    found = {point["setting"]: point for point in chosen.values()}
    fixed = make(
        methods=["knn_fixed", "logistic_fixed", "mass_mean_fixed"],
        define={
            "knn_fixed": {
                "predicts": "probe",
                "probe": "knn",
                "layer": found["k"]["layer"],
                "n_neighbors": int(found["k"]["value"]),
            },
            "logistic_fixed": {
                "predicts": "probe",
                "probe": "logistic",
                "layer": found["l2"]["layer"],
                "l2": found["l2"]["value"],
            },
            "mass_mean_fixed": {
                "predicts": "probe",
                "probe": "mass-mean",
                "layer": found["l2"]["layer"],
            },
        },
        weak=weak,
    )
    run_one(fixed, place / "fixed")
    auto, written = said(plan), said(fixed)
    for name in ("knn", "logistic", "mass_mean"):
        p, q = auto[f"{name}_probe"], written[f"{name}_fixed"]
        np.testing.assert_allclose(p, q, rtol=1e-6, err_msg=name)


def test_relabelling_in_sample_sees_its_own_labels(make: Make, place: Path) -> None:
    plan = make(
        methods=["knn_relabel", "logistic_relabel", "logistic_filter", "confident_learning_filter"],
        probes={"cv": "in-sample", "n_neighbors": 1, "layer": 1},
    )
    run_one(plan, place / "in-sample")
    train = plan.splits.strong_train
    weak = weak_labels(plan)
    one = table(own(plan, "knn_relabel")[0]).align(train.ids).soft_label
    np.testing.assert_array_equal(one, weak)  # each row is its own neighbour
    X = activations(plan, "strong_train", 1)
    expected = LogisticProbe().fit(X, weak).predict_proba(X)[:, 1]
    new = table(own(plan, "logistic_relabel")[0]).align(train.ids).soft_label
    np.testing.assert_allclose(new, expected, rtol=1e-6)
    kept = table(own(plan, "logistic_filter")[0]).align(train.ids).keep
    worst = np.argsort(-np.abs(expected - weak), kind="stable")[:2]  # a tenth of 16 rows
    assert sorted(np.flatnonzero(~kept)) == sorted(worst)


def test_filters_by_disagreement_are_cross_fitted_unless_told_otherwise(
    make: Make, place: Path
) -> None:
    methods = ["logistic_filter", "mass_mean_filter"]
    plan = make(methods=methods, probes={"n_neighbors": 1, "layer": 1})
    run_one(plan, place / "out-of-fold")
    train = plan.splits.strong_train
    weak = weak_labels(plan)
    X = activations(plan, "strong_train", 1)
    for name, probe in zip(methods, (LogisticProbe(), MassMeanProbe()), strict=True):
        kept = table(own(plan, name)[0]).align(train.ids).keep
        np.testing.assert_array_equal(
            kept, filter_by_disagreement(probe, X, weak, cv=5, groups=groups(plan))
        )


def test_groups_are_heeded_and_part_of_the_address(make: Make, place: Path) -> None:
    header, *rows = (place / "task.csv").read_text().splitlines()
    text = [f"{header},group", *(f"{row},g{number // 2}" for number, row in enumerate(rows))]
    (place / "grouped.csv").write_text("\n".join(text))
    sizes = {"weak_train": 0.3, "strong_train": 0.3, "val": 0.2, "test": 0.2}
    task = {"name": str(place / "grouped.csv"), "sizes": sizes}
    plan = make(task=task, methods=["knn_relabel"])
    stage = own(plan, "knn_relabel")[0]
    run_one(plan, place / "grouped")
    train = plan.splits.strong_train
    ungrouped = dataclasses.replace(train, groups=None)
    votes = plan.methods["knn_relabel"].curator.stage
    work = dataclasses.replace(votes.work, train=ungrouped.blind())
    assert dataclasses.replace(votes, work=work).address != votes.address
    weak = weak_labels(plan)
    X = activations(plan, "strong_train", plan.layer)
    new = table(stage).align(train.ids).soft_label
    np.testing.assert_array_equal(new, relabel(KNNProbe(3), X, weak, groups=train.groups))
    assert (new != relabel(KNNProbe(3), X, weak)).any()


@pytest.mark.parametrize(
    ("entry", "parts"),
    [
        ({"probe": "knn", "curation": "filter", "graph": "strong"}, ["graph 'strong' does not"]),
        ({"learner": "head", "preprocess": "center"}, ["preprocess 'center' does not go with"]),
        ({"learner": "head", "loss": "logconf", "l2": 0.1}, ["l2 0.1 does not go with"]),
        ({"learner": "knn", "loss": "logconf"}, ["loss 'logconf' does not go with learner 'knn'"]),
        ({"learner": "knn", "states": "weak", "layer": 3}, ["layer 3 does not go with"]),
        ({"learner": "knn", "states": "weak", "layers": "all"}, ["layers 'all' does not go with"]),
        ({"learner": "knn", "layer": 3, "layers": "all"}, ["layer beside layers"]),
        ({"learner": "topofilter"}, ["unknown learner 'topofilter'"]),
        ({"states": "weak"}, ["states 'weak' does not go with"]),
        ({"layers": "all"}, ["layers 'all' does not go with"]),
        ({"probe": "head-xent", "curation": "filter"}, ["unknown probe 'head-xent'", "topofilter"]),
        ({"probe": "topofilter", "curation": "filter", "layers": "all"}, ["layers 'all' does not"]),
        ({"learner": "knn", "iterations": 1}, ["iterations 1 does not go with"]),
        ({"learner": "knn", "labels": "noise", "with_weak": True}, ["with_weak True does not"]),
        ({"labels": "noise", "probe": "knn", "curation": "relabel"}, ["labels 'noise' does not"]),
        ({"labels": "soft_noise", "iterations": 1}, ["'soft_noise'", "does not go with"]),
        ({"predicts": "weak", "learner": "knn"}, ["learner 'knn' does not go with predicts"]),
    ],
    ids=str,
)
def test_what_a_learner_does_not_read_is_refused(entry: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Method(**entry)
    for part in parts:
        assert part in str(caught.value)


def test_the_old_word_for_a_probe_is_its_learner() -> None:
    old = Method(predicts="probe", probe="knn", layer=3, labels="truth")
    assert old == Method(learner="knn", layer=3, labels="truth")


def test_an_own_ceiling_keeps_what_its_learner_reads() -> None:
    """And nothing of the curation, of which it has none."""
    curated = Method(
        learner="logistic",
        probe="mass-mean",
        curation="relabel",
        whiten=True,
        l2=0.1,
        layer=3,
        cv=4,
        preprocess="center",
        with_weak=True,
    )
    expected = Method(learner="logistic", labels="truth", l2=0.1, layer=3, preprocess="center")
    assert curated.own_ceiling == expected
    head = Method(learner="head", loss="logconf", layers="all", labels="noise")
    assert head.own_ceiling == Method(learner="head", loss="logconf", layers="all", labels="truth")
    filtered = Method(learner="knn", probe="topofilter", curation="filter", n_neighbors=4)
    assert filtered.own_ceiling == Method(learner="knn", labels="truth", n_neighbors=4)
    assert Method().own_ceiling is Method(learner="knn", labels="truth").own_ceiling is None


@pytest.mark.parametrize("name", METHODS)
def test_an_own_ceiling_is_a_method_that_a_config_can_hold(name: str) -> None:
    ceiling = METHODS[name].own_ceiling
    if ceiling is not None:
        assert Method(**ceiling.model_dump(exclude_defaults=True)) == ceiling
        assert (ceiling.own_ceiling, ceiling.labels) == (None, "truth")
        assert ceiling.probe_type == METHODS[name].probe_type


def test_a_probe_s_fit_on_truth_may_be_the_ceiling(make: Make, place: Path) -> None:
    methods = ["logistic_probe", "knn_probe", "logistic_probe_on_truth"]
    plan = make(methods=methods, ceiling="logistic")
    assert [stage.title for stage in plan.stages if stage.kind == "train"] == [
        "weak model on truth"
    ]
    results = run_one(plan, place / "probe-ceiling")
    predictions = said(plan)
    np.testing.assert_array_equal(predictions["ceiling"], predictions["logistic_probe_on_truth"])
    assert plan.ceilings == {"knn_probe": "knn_probe_on_truth"}, "the other's is the gap's end"
    auc = {row.method: row.auc for row in results.rows}
    assert results.gap == pytest.approx(auc["ceiling"] - auc["weak"])
