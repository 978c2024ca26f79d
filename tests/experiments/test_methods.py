"""The methods: what goes together, what they leave alone, and what they compute."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from pydantic import ValidationError
from w2sprobe.sweeps.choose import WeakRule

from tests.experiments.cases import plan_one, run_one, save_study, study
from w2sprobe.cache import ActivationStore
from w2sprobe.curation import IN_SAMPLE as OF_CURATION
from w2sprobe.curation import (
    Rule,
    filter_at_random,
    filter_by_confident_learning,
    filter_by_disagreement,
    filter_by_neighbors,
    relabel,
)
from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.experiments.builder import Experiment
from w2sprobe.experiments.config import StudyConfig, ZeroShotConfig
from w2sprobe.experiments.methods import (
    DEFAULT_METHODS,
    IN_SAMPLE,
    METHODS,
    ChoiceRule,
    FilterRule,
    Method,
    ProbeName,
)
from w2sprobe.experiments.stages import Stage
from w2sprobe.experiments.steps import label_file
from w2sprobe.fingerprint import fingerprint, fingerprint_strings
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import roc_auc
from w2sprobe.probes import KNNProbe, LogisticProbe, MassMeanProbe
from w2sprobe.probing import ProbeName as CommandsProbeName
from w2sprobe.results import Results
from w2sprobe.training.zero_shot import ANSWERS, zero_shot

NEW = (
    *("confident_learning_filter", "deep_knn_filter", "random_like_deep_knn_filter"),
    *("logistic_probe_on_truth", "knn_probe_on_truth", "mass_mean_probe", "zero_shot"),
)
DEFINED = {
    "my_filter": {"predicts": "student", "probe": "logistic", "curation": "filter"}
    | {"loss": "logconf", "l2": 0.1, "layer": 1, "contamination": 0.25},
    "as_large": {"predicts": "student", "curation": "random_filter", "same_size_as": "my_filter"},
    "ceiling_logconf": {"predicts": "student", "labels": "truth", "loss": "logconf"},
    "other_layer": {"predicts": "probe", "probe": "knn", "layer": 1, "n_neighbors": 2},
}
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


def table(stage: Stage) -> LabelTable:
    return LabelTable.read(label_file(stage.folder))


def activations(plan: Experiment, split: str, layer: int) -> np.ndarray:
    (stage,) = (stage for stage in plan.stages if stage.place)
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
        ({"labels": "truth", "iterations": 1}, ["iterations 1 does not go with", "'truth'"]),
        ({"labels": "truth", "curation": "filter", "probe": "knn"}, ["curation 'filter' does not"]),
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
    assert get_args(FilterRule) == tuple(rule for rule in get_args(Rule) if rule != "random")
    assert get_args(ProbeName) == get_args(CommandsProbeName)
    assert get_args(ChoiceRule) == get_args(WeakRule)
    assert ZeroShotConfig().answers == ANSWERS
    assert IN_SAMPLE == OF_CURATION


def test_every_filter_has_its_random_control() -> None:
    controlled = {method.same_size_as for method in METHODS.values()} - {None}
    assert controlled == {name for name, method in METHODS.items() if method.filters}


def test_every_method_is_planned(make: Make) -> None:
    plan = make(methods=list(METHODS), strong_to_strong={"cv": 2})
    assert set(plan.methods) == set(METHODS)
    titles = [stage.title for stage in plan.stages]
    assert len(set(titles)) == len(titles), "results tell stages apart by title"
    last = [plan.methods[name][-1].address for name in METHODS]
    assert len(set(last)) == len(last)


def test_stages_of_the_source_s_methods_are_addressed_as_ever(make: Make) -> None:
    """Another parameter, or one less, and finished work of earlier versions is computed again."""
    plan = make()
    assert set(plan.methods) == set(DEFAULT_METHODS)
    train, val, test = (
        fingerprint_strings(rows.ids.tolist(), rows.texts)
        for rows in (plan.splits.strong_train, plan.splits.val, plan.splits.test)
    )
    knn = {"layer": 1, "fitted": train, "probe": "knn", "k": 3}
    logistic = {"layer": 1, "fitted": train, "probe": "logistic", "l2": 0.01}
    topofilter = {**knn, "probe": "topofilter"}
    relabels = {"curation": "relabel", "val": val, "cv": None}
    filters = {"curation": "filter", "val": val, "cv": None, "contamination": 0.1}
    expected = {
        "knn_probe": {**knn, "predicted": test},
        "logistic_probe": {**logistic, "predicted": test},
        "knn_relabel": {**knn, **relabels},
        "logistic_relabel": {**logistic, **relabels},
        "knn_filter": {**knn, **filters},
        "logistic_filter": {**logistic, **filters},
        "topofilter": {**topofilter, **filters},
        "random_filter": {"curation": "random_filter", "val": val, "seed": 0},
    }
    assert {name: plan.methods[name][0].params for name in expected} == expected
    weak, like = plan.methods["weak"][0], plan.methods["topofilter"][0]
    for name in expected:
        inputs = dict(plan.methods[name][0].inputs)
        assert inputs.pop("labels") is weak
        beside = inputs.pop("same_size_as" if name == "random_filter" else "store")
        assert beside.kind == "extract" or beside is like
        assert not inputs
    truth = [plan.splits.strong_train.labels.tolist(), plan.splits.val.labels.tolist()]
    ceiling = plan.methods["ceiling"][0]
    shared = {"model", "settings", "precision", "train", "val", "predicted"}
    assert set(ceiling.params) == shared | {"truth"}
    assert ceiling.params["truth"] == fingerprint(truth)
    for name in ("student", "student_logconf", "topofilter", "random_filter"):
        student = plan.methods[name][-1]
        assert set(student.params) == shared
        assert student.params["settings"]["loss"] == METHODS[name].loss
        assert set(student.inputs) == {"labels"}


def test_an_entry_like_a_known_one_has_its_stages(make: Make) -> None:
    entry = METHODS["logistic_filter"].model_dump(exclude_defaults=True)
    settings = {"l2": 0.01, "layer": 1, "contamination": 0.1}  # the config's own
    plan = make(methods=["logistic_filter", "mine"], define={"mine": {**entry, **settings}})
    assert [*map(id, plan.methods["mine"])] == [*map(id, plan.methods["logistic_filter"])]


def test_settings_of_a_method_move_that_method_alone(make: Make) -> None:
    before = make(define={"mine": DEFINED["my_filter"]})
    after = make(define={"mine": {**DEFINED["my_filter"], "l2": 0.2}})
    moved = {
        name
        for name, stages in before.methods.items()
        if [s.address for s in stages] != [s.address for s in after.methods[name]]
    }
    assert moved == {"mine"}


def test_what_is_defined_is_run_unless_methods_are_named(make: Make) -> None:
    assert [*make(define=DEFINED).methods] == [*DEFAULT_METHODS, *DEFINED]
    assert [*make(define=DEFINED, methods=["as_large"]).methods] == ["weak", "ceiling", "as_large"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_neighbors": 16}, r"define\.other_layer\.n_neighbors is 16.*fewer than the 16 rows"),
        ({"layer": "all"}, r"define\.other_layer\.layer is 'all'.*one layer number"),
    ],
)
def test_what_model_and_rows_do_not_allow_is_named(
    make: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(define={"other_layer": {**DEFINED["other_layer"], **changes}})


def test_a_strong_model_that_cannot_answer_is_refused_before_anything_runs(
    make: Make, place: Path
) -> None:
    with pytest.raises(InputError, match="no language-model head"):
        make(methods=["zero_shot"], strong={"model": str(place / "weak")})
    with pytest.raises(InputError, match="start with the same token"):
        make(methods=["zero_shot"], zero_shot={"answers": ["Good", "Bad"]})
    make(methods=["student"], zero_shot={"answers": ["Good", "Bad"]})  # not read


def test_a_missing_package_is_named_before_anything_runs(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cleanlab.filter", None)
    with pytest.raises(MissingDependency, match=r"pip install w2sprobe\[cleanlab\]"):
        make(methods=["confident_learning_filter"])
    make(methods=["logistic_filter"])


def test_filters_keep_what_the_library_keeps(done: Experiment) -> None:
    train = done.splits.strong_train
    soft = table(done.methods["weak"][0]).align(train.ids).soft_label
    X = activations(done, "strong_train", done.layer)
    mine = filter_by_disagreement(
        LogisticProbe(0.1), activations(done, "strong_train", 1), soft, contamination=0.25
    )
    confident = filter_by_confident_learning(LogisticProbe(), X, soft, contamination=0.1)
    deep = filter_by_neighbors(X, soft, n_neighbors=3, contamination=0.1)
    expected = {
        "my_filter": mine,
        "confident_learning_filter": confident,
        "deep_knn_filter": deep,
        "as_large": filter_at_random(16, 4),
        "random_like_deep_knn_filter": filter_at_random(16, 2),
    }
    for name, keep in expected.items():
        curated, student = done.methods[name]
        np.testing.assert_array_equal(table(curated).align(train.ids).keep, keep, err_msg=name)
        assert student.inputs["labels"] is curated


def test_probes_on_truth_see_truth_and_others_do_not(done: Experiment, results: Results) -> None:
    train, test = done.splits.strong_train, done.splits.test
    X, Q = (activations(done, split, done.layer) for split in ("strong_train", "test"))
    ceiling = LogisticProbe().fit(X, train.labels).predict_proba(Q)[:, 1]
    (stage,) = done.methods["logistic_probe_on_truth"]
    np.testing.assert_array_equal(table(stage).align(test.ids).soft_label, ceiling)
    assert set(stage.inputs) == {"store"}
    auc = {row.method: row.auc for row in results.rows}
    assert auc["logistic_probe_on_truth"] == pytest.approx(roc_auc(test.labels, ceiling))
    weak = table(done.methods["weak"][0]).align(train.ids).soft_label
    Q = activations(done, "test", 1)
    votes = KNNProbe(2).fit(activations(done, "strong_train", 1), weak).predict_proba(Q)[:, 1]
    (own,) = done.methods["other_layer"]
    np.testing.assert_array_equal(table(own).align(test.ids).soft_label, votes)
    assert done.methods["ceiling_logconf"][0].params["truth"]


def test_zero_shot_is_what_the_library_says(
    done: Experiment, results: Results, place: Path
) -> None:
    test = done.splits.test
    said = zero_shot(str(place / "strong"), test, answers=("bad", "good"))
    (stage,) = done.methods["zero_shot"]
    np.testing.assert_array_equal(table(stage).soft_label, said.soft_label)
    assert not stage.inputs
    rows = {row.method: row for row in results.rows}
    assert rows["zero_shot"].auc == pytest.approx(roc_auc(test.labels, said.soft_label))
    assert (rows["zero_shot"].rows_offered, rows["my_filter"].rows_kept) == (0, 12)


def test_results_hold_a_config_that_can_be_run_again(results: Results, make: Make) -> None:
    again = StudyConfig.model_validate(results.config)
    assert {name: again.define[name].predicts for name in DEFINED} == {
        name: entry["predicts"] for name, entry in DEFINED.items()
    }
    plan = make(**{key: results.config[key] for key in ("methods", "define")})
    assert all(stage.done for stage in plan.stages)


def test_what_is_auto_is_chosen_by_weak_labels_alone(make: Make, place: Path) -> None:
    """And what a probe then computes is what it computes where these settings are written."""
    candidates = {"ks": [2, 3, 5, 99], "l2s": [0.01, 1.0], "layers": "1:2"}
    probes = {"layer": "auto", "n_neighbors": "auto", "l2": "auto", "candidates": candidates}
    methods = ["knn_probe", "logistic_probe", "mass_mean_probe", "logistic_relabel"]
    methods += ["logistic_probe_on_truth"]
    plan = make(probes=probes, methods=methods)
    choices = [stage for stage in plan.stages if stage.kind == "choose"]
    more = make(probes=probes, methods=[*methods, "topofilter"])
    assert more.methods["topofilter"][0].inputs["choice"].address == choices[0].address
    assert [stage.params.get("ks") for stage in choices] == [[2, 3, 5], None]
    assert plan.layer is None
    for stage in choices:
        assert set(stage.inputs) == {"store", "labels"}
        assert "truth" not in str(stage.params)
    results = run_one(plan, place / "auto")
    found = {point["setting"]: point for point in results.chosen.values()}
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
    )
    run_one(fixed, place / "fixed")
    for name in ("knn", "logistic", "mass_mean"):
        np.testing.assert_array_equal(
            table(plan.methods[f"{name}_probe"][0]).soft_label,
            table(fixed.methods[f"{name}_fixed"][0]).soft_label,
            err_msg=name,
        )


def test_only_what_is_auto_is_tried(make: Make) -> None:
    plan = make(
        probes={"layer": "mid", "n_neighbors": 3, "l2": "auto"},
        methods=["knn_probe", "logistic_probe", "mass_mean_probe"],
    )
    (stage,) = (stage for stage in plan.stages if stage.kind == "choose")
    assert stage.params["layers"] == (1,)
    assert plan.layer == 1
    assert "choice" not in plan.methods["knn_probe"][0].inputs
    assert "choice" not in plan.methods["mass_mean_probe"][0].inputs
    assert plan.methods["logistic_probe"][0].inputs["choice"] is stage


def test_auto_that_has_nothing_to_choose_by_is_refused(make: Make) -> None:
    define = {"mine": {"predicts": "student", "function": "json:loads"}}
    with pytest.raises(InputError, match=r"layer auto for the function of mine"):
        make(probes={"layer": "auto", "n_neighbors": 3}, define=define, methods=["mine"])
    with pytest.raises(InputError, match=r"candidates\.ks are \[99\].*up to 12, .*of the 16"):
        make(probes={"n_neighbors": "auto", "candidates": {"ks": [99]}}, methods=["knn_probe"])


def test_relabelling_in_sample_sees_its_own_labels(make: Make, place: Path) -> None:
    plan = make(
        methods=["knn_relabel", "logistic_relabel", "logistic_filter", "confident_learning_filter"],
        probes={"cv": "in-sample", "n_neighbors": 1, "layer": 1},
    )
    run_one(plan, place / "in-sample")
    train = plan.splits.strong_train
    weak = table(plan.methods["weak"][0]).align(train.ids).soft_label
    one = table(plan.methods["knn_relabel"][0]).align(train.ids).soft_label
    np.testing.assert_array_equal(one, weak)  # each row is its own neighbour
    X = activations(plan, "strong_train", 1)
    expected = LogisticProbe().fit(X, weak).predict_proba(X)[:, 1]
    new = table(plan.methods["logistic_relabel"][0]).align(train.ids).soft_label
    np.testing.assert_array_equal(new, expected)
    kept = table(plan.methods["logistic_filter"][0]).align(train.ids).keep
    worst = np.argsort(-np.abs(expected - weak), kind="stable")[:2]  # a tenth of 16 rows
    assert sorted(np.flatnonzero(~kept)) == sorted(worst)


def test_filters_by_disagreement_are_cross_fitted_unless_told_otherwise(
    make: Make, place: Path
) -> None:
    methods = ["logistic_filter", "mass_mean_filter"]
    plan = make(methods=methods, probes={"n_neighbors": 1, "layer": 1})
    run_one(plan, place / "out-of-fold")
    train = plan.splits.strong_train
    weak = table(plan.methods["weak"][0]).align(train.ids).soft_label
    X = activations(plan, "strong_train", 1)
    for name, probe in zip(methods, (LogisticProbe(), MassMeanProbe()), strict=True):
        kept = table(plan.methods[name][0]).align(train.ids).keep
        np.testing.assert_array_equal(kept, filter_by_disagreement(probe, X, weak, cv=5))


def test_in_sample_moves_only_what_it_changes(make: Make) -> None:
    names = [*DEFAULT_METHODS, "confident_learning_filter", "deep_knn_filter"]
    plain, published = (
        make(methods=names, probes={"n_neighbors": 3, "cv": cv}) for cv in (None, "in-sample")
    )
    moved = {
        name
        for name in names
        if plain.methods[name][0].address != published.methods[name][0].address
    }
    by_probes = {"knn_relabel", "logistic_relabel", "knn_filter", "logistic_filter"}
    assert moved == by_probes


def test_groups_are_heeded_and_part_of_the_address(make: Make, place: Path) -> None:
    header, *rows = (place / "task.csv").read_text().splitlines()
    text = [f"{header},group", *(f"{row},g{number // 2}" for number, row in enumerate(rows))]
    (place / "grouped.csv").write_text("\n".join(text))
    sizes = {"weak_train": 0.3, "strong_train": 0.3, "val": 0.2, "test": 0.2}
    task = {"name": str(place / "grouped.csv"), "sizes": sizes}
    plan = make(task=task, methods=["knn_relabel", "topofilter"])
    stage = plan.methods["knn_relabel"][0]
    assert stage.params["groups"]
    run_one(make(task=task, methods=["knn_relabel"]), place / "grouped")
    train = plan.splits.strong_train
    weak = table(plan.methods["weak"][0]).align(train.ids).soft_label
    X = activations(plan, "strong_train", plan.layer)
    new = table(stage).align(train.ids).soft_label
    np.testing.assert_array_equal(new, relabel(KNNProbe(3), X, weak, groups=train.groups))
    assert (new != relabel(KNNProbe(3), X, weak)).any()


def test_settings_that_no_method_reads_are_not_checked(make: Make) -> None:
    make(methods=["student", "logistic_probe"], probes={"n_neighbors": 50})
    with pytest.raises(InputError, match="n_neighbors is 50"):
        make(methods=["knn_probe"], probes={"n_neighbors": 50})


def test_folds_that_topofilter_does_not_read_do_not_move_it(make: Make) -> None:
    one, two = (
        make(methods=["topofilter"], probes={"n_neighbors": 3, "cv": cv}).methods["topofilter"]
        for cv in (None, 4)
    )
    assert one[0].address == two[0].address
