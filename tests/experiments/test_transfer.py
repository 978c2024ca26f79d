"""Tests of a study's methods on other tasks: which rows, which predictions, which scores."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.experiments.cases import save_study, study, two_tasks
from w2sprobe.data import Rows, Splits, load_splits
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.join import join_studies
from w2sprobe.experiments.plan import StudyPlan, make_plan
from w2sprobe.experiments.runner import run_study
from w2sprobe.experiments.summary import Scored
from w2sprobe.experiments.transfer_plan import unseen
from w2sprobe.experiments.transfer_stages import Predict
from w2sprobe.metrics import bootstrap_pgr, roc_auc
from w2sprobe.results import Results, StudyResults

SIZES: Any = {"weak_train": 16, "strong_train": 16, "val": 8, "test": 12}
PROBES = ["logistic_probe", "knn_probe", "head", "weak_to_weak_logistic", "logistic_with_weak"]
TOKEN_PROBES = ["attention_probe", "token_mean_probe"]
CHOSEN = {"auto": {"predicts": "probe", "probe": "logistic", "layer": "auto", "l2": "auto"}}
FINETUNED = ["student", "strong_to_strong_1", "student_with_weak", "zero_shot"]
ON_NOISE = ["logistic_probe_on_noise", "logistic_on_knn_filter"]
SUPERVISORS: dict[str, dict[str, Any]] = {
    "probe": {"kind": "probe", "rows": 12},
    "ngrams": {"kind": "ngrams"},
    "zero_shot": {"kind": "zero_shot", "answers": ["bad", "good"]},
    "finetuned": {},
}
Make = Callable[..., StudyPlan]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transfer")
    save_study(folder)
    header, *rows = (folder / "task.csv").read_text().splitlines()
    (folder / "other.csv").write_text("\n".join([header, *(f"so {row}" for row in rows)]))
    splits = load_splits(str(folder / "task.csv"), sizes=_sizes(folder))
    test = replace(splits.test, ids=np.array([f"again-{name}" for name in splits.test.ids]))
    other = load_splits(str(folder / "other.csv"), sizes=_sizes(folder))
    replace(other, test=test).write(folder / "again.parquet")
    return folder


def _sizes(folder: Path) -> Any:
    return StudyConfig.model_validate(study(folder)).task.sizes


def supervisor(place: Path, kind: str) -> dict[str, Any]:
    """Section of a supervisor, with its model."""
    if kind == "finetuned":
        section: dict[str, Any] = study(place)["weak"]
        return section
    model = {"probe": "weak", "zero_shot": "strong"}.get(kind)
    return {**SUPERVISORS[kind], **({"model": str(place / model)} if model else {})}


def plan_of(place: Path, **sections: Any) -> StudyPlan:
    values = study(place, **sections)
    return make_plan(StudyConfig.model_validate(values), cache=place / "cache", out=place / "new")


def run(place: Path, out: Path, **sections: Any) -> StudyResults:
    done = run_study(plan_of(place, **sections), out)
    assert not done.failures, done.failures
    return done


@pytest.mark.parametrize("kind", SUPERVISORS)
def test_the_rows_of_home_under_another_name_get_the_predictions_of_home(
    place: Path, tmp_path: Path, kind: str
) -> None:
    methods = [
        *PROBES,
        *TOKEN_PROBES,
        *ON_NOISE,
        *(FINETUNED if kind == "finetuned" else ["student"]),
        "auto",
    ]
    methods = [name for name in methods if kind != "ngrams" or "weak_to_weak" not in name]
    run(
        place,
        tmp_path / "out",
        weak=supervisor(place, kind),
        methods=methods,
        define=CHOSEN,
        test_on=str(place / "again.parquet"),
    )
    scored = Scored.read(tmp_path / "out")
    (elsewhere,) = scored.elsewhere
    assert elsewhere.ids.tolist() == [f"again-{name}" for name in scored.ids.tolist()]
    assert {*elsewhere.predictions} == {*scored.predictions} >= {"weak", "ceiling", *methods}
    for name, p in scored.predictions.items():
        assert_allclose(elsewhere.predictions[name], p, atol=2e-6, err_msg=name)
    at_home = {row.method: row for row in scored.results.rows}
    for row in scored.results.transfer:
        assert row.delta_auc == pytest.approx(at_home[row.method].delta_auc, abs=1e-9)
        assert row.delta_auc_interval == pytest.approx(at_home[row.method].delta_auc_interval)
        assert (row.n_test_rows, row.n_left_out, row.n_seeds) == (12, 0, 1)


@pytest.fixture(scope="module")
def done(place: Path) -> StudyResults:
    sections = {"weak": supervisor(place, "probe"), "methods": ["logistic_probe"], "splits": 2}
    return run(place, place / "out", **two_tasks(place), **sections, test_on="tasks")


def test_every_task_of_a_study_is_tested_on_every_other_with_the_same_cut(
    place: Path, done: StudyResults
) -> None:
    tasks = (str(place / "task.csv"), str(place / "other.csv"))
    pairs = {(row.task, row.test_task) for row in done.transfer}
    assert pairs == {tasks, tasks[::-1]}
    scored = {name: Scored.read(place / "out" / name) for name in done.experiments}
    by_key = {(one.results.task, one.results.seed): one for one in scored.values()}
    for one in scored.values():
        (elsewhere,) = one.elsewhere
        test = by_key[elsewhere.task, one.results.seed]
        assert elsewhere.ids.tolist() == test.ids.tolist()
        assert elsewhere.labels.tolist() == test.labels.tolist()
        for row in one.results.transfer:
            p = elsewhere.predictions[row.method]
            assert row.auc == pytest.approx(roc_auc(elsewhere.labels, p))


def test_scores_over_cuts_are_those_of_bootstrap_pgr(place: Path, done: StudyResults) -> None:
    row = next(row for row in done.transfer if row.method == "logistic_probe")
    runs = [Scored.read(place / "out" / name) for name in done.experiments]
    tests = [one.elsewhere[0] for one in runs if one.results.task == row.task]

    def stack(name: str) -> np.ndarray:
        return np.stack([test.predictions[name] for test in tests])

    truth, ids = (np.stack([getattr(test, name) for test in tests]) for name in ("labels", "ids"))
    expected = bootstrap_pgr(
        truth, stack("weak"), stack("logistic_probe"), stack("ceiling"), rows=ids
    )
    assert row.delta_auc == pytest.approx(expected.delta_auc)
    assert row.delta_auc_interval == pytest.approx(expected.delta_auc_interval)
    assert row.pgr == pytest.approx(expected.pgr)


def test_transfer_csv_has_a_line_per_run_and_scores_csv_only_home(
    place: Path, done: StudyResults
) -> None:
    with (place / "out" / "transfer.csv").open() as file:
        rows = list(csv.DictReader(file))
    n_methods = len({row.method for row in done.transfer})
    assert len(rows) == 2 * 2 * n_methods
    assert {row["seed"] for row in rows} == {"cut0", "cut1"}
    assert "test_task" not in (place / "out" / "scores.csv").read_text().splitlines()[0]


def test_a_study_of_the_same_without_other_tasks_shares_all_of_its_stages(place: Path) -> None:
    sections = {**two_tasks(place), "methods": ["student", "knn_probe"]}
    alone, tested = (plan_of(place, **sections, test_on=other) for other in ((), "tasks"))
    addresses = {stage.address for stage in alone.stages}
    assert addresses < {stage.address for stage in tested.stages}
    more = {stage.kind for stage in tested.stages if stage.address not in addresses}
    assert more == {"votes_elsewhere", "predict"}
    assert [one.stages for one in tested.experiments] != []
    for one, two in zip(alone.experiments, tested.experiments, strict=True):
        assert {s.address for s in one.stages} == {s.address for s in two.stages}


def test_an_earlier_declaration_has_no_such_key(place: Path) -> None:
    config = StudyConfig.model_validate(study(place))
    assert "test_on" not in config.resolved()


def test_a_study_and_one_experiment_run_again_from_their_own_configs(place: Path) -> None:
    values = {**study(place), **two_tasks(place), "seeds": [3], "vary": ["split"]}
    config = StudyConfig.model_validate({**values, "test_on": ["tasks", "extra.csv"]})
    again = StudyConfig.model_validate(config.resolved())
    assert again.experiments() == config.experiments()
    first = config.experiments()[0]
    assert [task.seed for task in first.test_on] == [3, 3, 3]
    alone = StudyConfig.model_validate(first.model_dump(mode="json", exclude={"seed"}))
    assert alone.experiments()[0].test_on == first.test_on


def test_other_tasks_take_the_settings_that_tasks_share(place: Path) -> None:
    values = study(place, test_on=[{"name": "b.csv", "seed": 7}, "c.csv"])
    alone = StudyConfig.model_validate(values).experiments()[0]
    assert [task.sizes for task in alone.test_on] == [None, None]  # `task` is about one task
    several = StudyConfig.model_validate({**values, **two_tasks(place)}).experiments()[0]
    b, c = several.test_on
    assert (b.name, b.seed, c.seed, c.sizes) == ("b.csv", 7, 0, several.task.sizes)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"test_on": "tasks"}, "test_on: no task but that of the study"),
        (
            {"test_on": "b.csv", "weak": {"kind": "labels", "file": "x.csv"}},
            "cannot predict other texts",
        ),
        ({"test_on": [{"nam": "b.csv"}]}, "test_on.*nam"),
        ({"define": {"test_task": {}}}, "taken already"),
    ],
)
def test_what_cannot_be_tested_elsewhere_is_refused(
    place: Path, sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        StudyConfig.model_validate(study(place, **sections))


def test_rows_that_share_a_text_or_group_with_training_rows_are_left_out() -> None:
    def rows(ids: str, texts: list[str], groups: list[str] | None) -> Rows:
        return Rows(
            np.array(list(ids)), texts, np.arange(len(ids)) % 2, groups and np.array(groups)
        )

    training = [rows(name, [f"text {name}"], [f"group {name}"]) for name in "wsvt"]
    test = rows("abcdef", ["text w", "text  s", "text v", "text t", "e", "f"], list("123456"))
    assert unseen(test, Splits(*training)).ids.tolist() == ["d", "e", "f"]
    grouped = rows("abcd", list("abcd"), ["group s", "group v", "group t", "g"])
    assert unseen(grouped, Splits(*training)).ids.tolist() == ["c", "d"]
    assert unseen(rows("ab", ["text w", "b"], None), Splits(*training)).ids.tolist() == ["b"]


def test_a_task_of_seen_rows_is_left_out_with_a_warning(place: Path, tmp_path: Path) -> None:
    splits = load_splits(str(place / "task.csv"), sizes=_sizes(place))
    test = splits.strong_train
    renamed = replace(test, ids=np.array([f"x{name}" for name in test.ids]))
    other = load_splits(str(place / "other.csv"), sizes=_sizes(place))
    replace(other, test=renamed).write(tmp_path / "seen.parquet")
    sections = {"weak": supervisor(place, "ngrams"), "methods": ["logistic_probe"]}
    run(place, tmp_path / "out", **sections, test_on=str(tmp_path / "seen.parquet"))
    results = Results.read(tmp_path / "out" / "results.json")
    assert results.transfer == ()
    (warning,) = results.warnings
    assert "16 of its 16 test rows share a text or group" in warning
    assert not (tmp_path / "out" / "transfer.parquet").exists()


def test_joined_studies_have_the_transfer_of_all_parts(place: Path, tmp_path: Path) -> None:
    tasks = [str(place / "task.csv"), str(place / "other.csv")]
    sections = {"weak": supervisor(place, "probe"), "methods": ["logistic_probe"]}
    for number, name in enumerate(tasks):
        task = {"name": name, "sizes": SIZES}
        run(place, tmp_path / str(number), **sections, task=task, test_on=tasks)
    joined = join_studies([tmp_path / "0", tmp_path / "1"], tmp_path / "joined")
    assert {(row.task, row.test_task) for row in joined.transfer} == {
        (tasks[0], tasks[1]),
        (tasks[1], tasks[0]),
    }
    part = Results.read(tmp_path / "0" / "results.json").transfer
    assert list(part) == [row for row in joined.transfer if row.task == tasks[0]]


def test_a_damaged_file_is_named(place: Path, done: StudyResults, tmp_path: Path) -> None:
    folder = place / "out" / done.experiments[0]
    for name in ("results.json", "predictions.parquet"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(InputError, match=r"transfer\.parquet"):
        Scored.read(tmp_path)


def test_a_failure_elsewhere_leaves_the_results_of_home(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Predict, folder: Path) -> None:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(Predict, "run", fail)
    sections = {"weak": supervisor(place, "ngrams"), "methods": ["knn_probe"]}
    values = study(place, **sections, test_on=str(place / "again.parquet"), name="failing")
    plan = make_plan(StudyConfig.model_validate(values), cache=tmp_path, out=tmp_path)
    done = run_study(plan, tmp_path / "out")
    (failure,) = done.failures
    assert failure.stage == f"strong ceiling on truth, on {place / 'again.parquet'}"
    results = Results.read(tmp_path / "out" / "results.json")
    assert {row.method for row in results.rows} >= {"weak", "ceiling", "knn_probe"}
    assert results.transfer == ()
