"""Supervisors: each kind at its smallest, its rows, and what depends on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiments.cases import MODEL, plan_one, run_one, said, save_study, study
from w2sprobe.cache import ActivationStore
from w2sprobe.data import Rows
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.engines import run_local
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.plan import make_plan
from w2sprobe.experiments.runner import run_study
from w2sprobe.experiments.scoring import predictions_of
from w2sprobe.experiments.stage_kinds import labels_of
from w2sprobe.experiments.supervisors import NgramSupervisor
from w2sprobe.labels import LabelTable
from w2sprobe.probes import LogisticProbe
from w2sprobe.results import Results
from w2sprobe.training.zero_shot import zero_shot

METHODS = ["logistic_probe", "knn_relabel", "weak_to_weak_logistic"]
Make = Callable[..., Experiment]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("supervisors")
    save_study(folder)
    return folder


def section(place: Path, kind: str, **fields: Any) -> dict[str, Any]:
    """A supervisor of a kind, as small as can be."""
    known = {
        "finetuned": {"model": str(place / "weak"), **MODEL},
        "probe": {"model": str(place / "weak")},
        "ngrams": {},
        "zero_shot": {"model": str(place / "strong"), "answers": ["bad", "good"]},
        "labels": {"file": str(place / "labels.parquet")},
    }[kind]
    return {"kind": kind, **known, **fields}


@pytest.fixture(scope="module")
def make(place: Path) -> Make:
    def plan(kind: str, methods: list[str] = METHODS, **fields: Any) -> Experiment:
        values = study(place, weak=section(place, kind, **fields), methods=methods)
        return plan_one({**values, "ceiling": "logistic"}, place / "cache")

    return plan


@pytest.fixture(scope="module")
def labels(make: Make, place: Path) -> LabelTable:
    """Labels of all rows that a study reads, from elsewhere."""
    rows = make("ngrams").splits.stored
    table = LabelTable(rows.ids[::-1], np.linspace(0.05, 0.95, len(rows)))
    table.write(place / "labels.parquet")
    return table


@pytest.mark.parametrize("kind", ["finetuned", "probe", "ngrams", "zero_shot", "labels"])
def test_every_kind_supervises_a_study(
    make: Make, place: Path, labels: LabelTable, kind: str
) -> None:
    plan = make(kind)
    results = run_one(plan, place / kind)
    has_states = kind not in ("ngrams", "labels")
    weak = plan.methods["weak"].stages[0]
    given = labels_of(weak).align(plan.splits.stored.ids)
    assert len(set(given.soft_label)) > 2
    for name in ("weak", *METHODS):
        if has_states or not name.startswith("weak_to"):
            assert name in {row.method for row in results.rows}
    np.testing.assert_array_equal(
        said_of(plan)["weak"], given.align(plan.splits.test.ids).soft_label
    )
    why = {"weak_to_weak_logistic": f"{plan.config.weak.label} has no activations to learn from."}
    assert results.missing == ({} if has_states else why)
    assert [stage.title for stage in plan.stages if stage.kind == "train"] == (
        ["weak model on truth", "strong student on knn_relabel labels"]
        if kind == "finetuned"
        else ["strong student on knn_relabel labels"]
    )
    rows = {row.method: row.rows_offered for row in results.rows}
    assert rows["weak"] == {"zero_shot": 0, "labels": 0}.get(kind, 16)
    assert Results.read(place / kind / "results.json").config["weak"]["kind"] == kind
    again = make_plan(
        StudyConfig.model_validate(results.config), cache=place / "cache", out=place / "again"
    )
    assert all(stage.done for stage in again.stages)


def said_of(plan: Experiment) -> dict[str, np.ndarray]:
    return predictions_of(plan, run_local(plan.stages))[0]


def test_a_probe_is_fitted_on_states_of_the_weak_model(make: Make, place: Path) -> None:
    plan = make("probe", rows=8, layer=1, position="last", l2=0.1, preprocess="center", seed=3)
    p = said(plan)["weak"]
    store = next(
        ActivationStore.open(stage.folder)
        for stage in plan.stages
        if stage.title == f"activations of {place / 'weak'}"
    )
    assert store.layers == (1,)
    assert store.manifest["identity"]["position"] == "last"
    rows = plan.config.weak.subset(plan.splits.weak_train)
    assert len(rows) == 8
    X, Q = (store.read(1, store.rows_of(part.ids)) for part in (rows, plan.splits.test))
    probe = LogisticProbe(0.1, "center").fit(X, rows.labels)
    np.testing.assert_allclose(p, probe.predict_proba(Q)[:, 1], rtol=1e-9)


def test_zero_shot_labels_are_the_model_s_answers(make: Make, place: Path) -> None:
    plan = make("zero_shot", methods=["zero_shot", "logistic_probe"], question="Good?")
    predictions = said(plan)
    test = plan.splits.test
    answers = zero_shot(str(place / "strong"), test, answers=("bad", "good"), question="Good?")
    np.testing.assert_allclose(predictions["weak"], answers.soft_label, rtol=1e-6)
    # the method asks the strong model as `zero_shot` of the config says, without a question
    assert (predictions["zero_shot"] != predictions["weak"]).any()


def test_labels_of_a_file_are_read_by_id(make: Make, labels: LabelTable) -> None:
    plan = make("labels", methods=["logistic_probe"])
    expected = labels.align(plan.splits.test.ids).soft_label
    np.testing.assert_array_equal(said(plan)["weak"], expected)


def test_rows_that_a_label_file_filters_out_stay_out(
    make: Make, labels: LabelTable, place: Path, tmp_path: Path
) -> None:
    keep = np.arange(len(labels)) % 3 > 0
    soft = np.random.default_rng(0).random(len(labels))
    LabelTable(labels.ids, soft, keep).write(place / "some.parquet")
    names = ["logistic_probe", "logistic_probe_on_noise", "logistic_on_random_filter"]
    names += [f"logistic_on_{name}" for name in ("knn_relabel", "knn_filter", "topofilter")]
    plan = make("labels", names, file=str(place / "some.parquet"))
    results = run_one(plan, tmp_path)
    train = plan.splits.strong_train.ids
    there = LabelTable.read(place / "some.parquet").align(train).keep
    kept = {row.method: row.rows_kept for row in results.rows}
    n = int(there.sum())
    assert n < len(train)
    assert (kept["logistic_probe"], kept["logistic_on_knn_relabel"]) == (n, n)
    assert kept["logistic_on_knn_filter"] == n - round(0.1 * n)
    assert kept["logistic_on_random_filter"] == kept["logistic_on_topofilter"] < n
    assert kept["logistic_probe_on_noise"] == len(train), "its labels are the truth's"
    for name in names[2:]:
        after = labels_of(plan.methods[name].stages[0]).align(train).keep
        assert not (after & ~there).any(), name
        assert after.sum() == kept[name], name


def test_a_label_file_that_lacks_rows_is_refused_by_the_plan(
    make: Make, labels: LabelTable, tmp_path: Path
) -> None:
    few = labels.align(labels.ids[1:])
    few.write(tmp_path / "few.parquet")
    with pytest.raises(IdMismatch, match=str(labels.ids[0])):
        make("labels", file=str(tmp_path / "few.parquet"))
    with pytest.raises(InputError, match="none"):
        make("labels", file=str(tmp_path / "none.parquet"))


def test_a_label_file_that_is_changed_after_the_plan_is_refused(
    make: Make, labels: LabelTable, tmp_path: Path
) -> None:
    file = tmp_path / "labels.parquet"
    labels.write(file)
    plan = make("labels", methods=["logistic_probe"], file=str(file), name="mine")
    address = plan.methods["weak"].stages[0].address
    LabelTable(labels.ids, labels.soft_label / 2).write(file)
    # the same labels from another file have been read by another test: their stage is done
    weak = plan.methods["weak"].stages[0]
    if not weak.done:
        outcomes = run_local(plan.stages)
        assert "has changed since the study was planned" in outcomes[address].error
    with pytest.raises(InputError, match="has changed since the study was planned"):
        weak.work.run(tmp_path)
    again = make("labels", methods=["logistic_probe"], file=str(file), name="mine")
    assert again.methods["weak"].stages[0].address != address
    assert said(again)["weak"].max() < 0.5


def rows(n: int, ones: int) -> Rows:
    labels = (np.arange(n) < ones).astype(np.int64)
    return Rows(np.array([f"r{number}" for number in range(n)]), [str(k) for k in range(n)], labels)


@pytest.mark.parametrize(("n", "ones"), [(8, 4), (20, 5), (40, 10)])
def test_a_subset_keeps_the_classes_in_proportion_and_follows_its_seed(n: int, ones: int) -> None:
    every = rows(40, 10) if n < 40 else rows(n, ones)
    subsets = [
        NgramSupervisor(kind="ngrams", rows=n, seed=seed).subset(every) for seed in (0, 0, 1)
    ]
    for one in subsets:
        assert len(one) == len(set(one.ids)) == n
        assert one.labels.sum() == n // 4
        assert set(one.ids) <= set(every.ids)
        assert [*map(int, (name[1:] for name in one.ids))] == sorted(int(i[1:]) for i in one.ids)
    assert subsets[0].ids.tolist() == subsets[1].ids.tolist()
    assert (subsets[0].ids.tolist() == subsets[2].ids.tolist()) == (n == len(every))


def test_a_subset_of_all_but_one_row_is_one_too() -> None:
    found = NgramSupervisor(kind="ngrams", rows=19).subset(rows(20, 10))
    assert len(found) == 19
    assert set(found.labels) == {0, 1}


def test_more_rows_than_there_are_are_refused_by_the_plan(make: Make) -> None:
    with pytest.raises(InputError, match=r"weak\.rows is 17.*up to 16, the rows of weak_train"):
        make("ngrams", rows=17)


def test_a_layer_that_the_weak_model_lacks_is_refused_by_the_plan(make: Make) -> None:
    with pytest.raises(InputError, match="99"):
        make("probe", layer=99)
    with pytest.raises(InputError, match=r"weak\.layer is 'all'.*one layer"):
        make("probe", layer="all")


def test_a_weak_model_that_cannot_answer_is_refused_by_the_plan(make: Make, place: Path) -> None:
    with pytest.raises(InputError, match="no language-model head"):
        make("zero_shot", model=str(place / "weak"))


def test_the_seed_of_a_supervisor_draws_its_rows(make: Make) -> None:
    one, two = (make("ngrams", rows=8, seed=seed).methods["weak"].stages[0] for seed in (0, 1))
    assert one.address != two.address
    assert make("ngrams", rows=8, seed=0, name="mine").methods["weak"].stages[0].address == (
        one.address
    ), "a name is no part of what is computed"


def test_a_joint_study_says_what_studies_of_one_supervisor_say(place: Path, tmp_path: Path) -> None:
    """In one stage of votes, whose fits are of each supervisor's labels alone."""
    names = ["logistic_probe", "knn_probe", "mass_mean_probe", "logistic_on_knn_relabel"]
    names += ["logistic_on_logistic_filter", "knn_with_weak", "logistic_probe_on_noise", "head"]
    mine = {"learner": "logistic", "probe": "knn", "curation": "filter"}
    define = {"mine": {**mine, "preprocess": "standardize", "contamination": 0.25}}
    weak = [section(place, "ngrams"), section(place, "probe", rows=8, l2=1e-4)]

    def run(out: str, weak: Any) -> tuple[dict[str, Results], list[str]]:
        values = study(place, methods=[*names, "mine"], define=define, ceiling="logistic")
        values |= {"weak": weak, "probes": {"n_neighbors": 3, "head": {"epochs": 2}}}
        plan = make_plan(StudyConfig.model_validate(values), cache=tmp_path / out, out=tmp_path)
        done = run_study(plan, tmp_path / out)
        assert not done.failures
        folders = done.experiments if len(plan.experiments) > 1 else [""]
        read = [Results.read(tmp_path / out / name / "results.json") for name in folders]
        for one, results in zip(plan.experiments, read, strict=True):
            own = one.methods["logistic_on_knn_relabel"].stages[0]
            assert results.stages[own.title]["address"] == own.address, "and no other's"
        kinds = [stage.title if stage.kind == "votes" else stage.kind for stage in plan.stages]
        return {one.weak_model: one for one in read}, [kind.split(":")[0] for kind in kinds]

    joint, kinds = run("joint", weak)
    assert len(joint) == 2
    apart: dict[str, Results] = {}
    n_votes = 0
    for number, one in enumerate(weak):
        alone, kinds_alone = run(f"alone{number}", one)
        apart |= alone
        n_votes += kinds_alone.count("votes")
    assert kinds.count("votes") == n_votes / 2, "both supervisors share them"
    assert kinds.count("extract") == 2
    for name, results in joint.items():
        assert not results.missing
        for row, other in zip(results.rows, apart[name].rows, strict=True):
            assert row.method == other.method
            assert row.auc == pytest.approx(other.auc, abs=1e-9), (name, row.method)
            assert row.own_gap == pytest.approx(other.own_gap, abs=1e-9)
            loss = other.performance.log_loss
            assert row.performance.log_loss == pytest.approx(loss, abs=1e-6), (name, row.method)


def test_labels_that_a_learner_s_seed_draws_are_its_own(place: Path, tmp_path: Path) -> None:
    """Noise and random filters of several seeds are vectors of one stage of votes."""
    names = ["logistic_probe_on_noise", "logistic_probe_on_soft_noise"]
    names += ["logistic_on_knn_filter", "logistic_on_random_like_knn_filter"]
    values = study(place, methods=names, ceiling="logistic", weak=section(place, "ngrams"))
    values["probes"] = {"n_neighbors": 3, "contamination": 0.25}

    def run(seeds: list[int]) -> list[dict[str, np.ndarray]]:
        config = StudyConfig.model_validate({**values, "learner_seeds": seeds})
        plan = make_plan(config, cache=tmp_path / str(seeds), out=tmp_path)
        outcomes = run_local(plan.stages)
        return [predictions_of(one, outcomes)[0] for one in plan.experiments]

    together, apart = run([0, 1]), [run([seed])[0] for seed in (0, 1)]
    for one, alone in zip(together, apart, strict=True):
        for name in names:
            np.testing.assert_allclose(one[name], alone[name], atol=1e-6, err_msg=name)
    for name in names:
        assert (together[0][name] == together[1][name]).all() == (name == names[2]), name


def test_labels_of_a_file_that_is_called_truth_are_not_the_truth(
    make: Make, labels: LabelTable, place: Path
) -> None:
    LabelTable(labels.ids, 1 - labels.soft_label).write(place / "truth.parquet")
    one, other = (
        said(make("labels", ["logistic_probe"], file=str(file)))
        for file in (place / "truth.parquet", place / "labels.parquet")
    )
    np.testing.assert_allclose(one["logistic_probe"], 1 - other["logistic_probe"], atol=1e-6)
    np.testing.assert_allclose(one["ceiling"], other["ceiling"], atol=1e-6)


def test_cuts_and_seeds_are_factors_of_the_results(place: Path, tmp_path: Path) -> None:
    values = study(place, methods=["logistic_probe", "head"], ceiling="logistic")
    values |= {"weak": section(place, "ngrams", rows=8), "splits": 2, "supervisor_seeds": [4, 5]}
    values |= {"learner_seeds": [0, 7], "probes": {"n_neighbors": 3, "head": {"epochs": 2}}}
    plan = make_plan(StudyConfig.model_validate(values), cache=tmp_path, out=tmp_path)
    done = run_study(plan, tmp_path / "out")
    assert not done.failures
    assert len(done.experiments) == 2 * 2 * 2
    found = [Results.read(tmp_path / "out" / name / "results.json") for name in done.experiments]
    assert [(one.seed, tuple(one.seeds)) for one in found] == [
        (f"cut{cut}-weak{weak}-strong{strong}", (cut, weak, strong))
        for cut in (0, 1)
        for weak in (4, 5)
        for strong in (0, 7)
    ]
    row = next(row for row in done.summary if row.method == "head")
    assert (row.n_seeds, row.n_cuts, row.n_supervisor_seeds, row.n_learner_seeds) == (8, 2, 2, 2)
    auc = {one.seed: {row.method: row.auc for row in one.rows} for one in found}
    same, other = auc["cut0-weak4-strong0"], auc["cut0-weak4-strong7"]
    assert same["logistic_probe"] == other["logistic_probe"], "has no seed"
    extracted = [stage for stage in plan.stages if stage.kind == "extract"]
    assert len(extracted) == 1, "all cuts read one store"
    heads = {planned.methods["head"].reading.stage.address for planned in plan.experiments}
    assert len(heads) == 2, "one a cut: seeds of heads are values of one fit"
