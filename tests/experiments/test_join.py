"""Studies that were run apart are, joined, the study that was run at once."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.experiments.cases import save_other_task, save_study, study
from w2sprobe.data import Splits
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import StudyConfig, load_config
from w2sprobe.experiments.join import join_studies
from w2sprobe.experiments.plan import make_plan
from w2sprobe.experiments.runner import run_study
from w2sprobe.experiments.summary import Scored, recovered, scores_of
from w2sprobe.metrics import ScoredRun
from w2sprobe.results import ResultRow, Results, StudyResults

TASKS = ("task.csv", "other.csv")
Run = Callable[..., Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = tmp_path_factory.mktemp("apart")
    save_study(place)
    save_other_task(place)

    def make(out: str, tasks: tuple[str, ...] = TASKS, **sections: Any) -> Path:
        values = {**study(place), "methods": ["student", "knn_probe"], **sections}
        values["tasks"] = [str(place / name) for name in tasks]
        values["task"] = {"sizes": values["task"]["sizes"]}
        plan = make_plan(StudyConfig.model_validate(values), cache=place / "cache", out=place / out)
        assert not run_study(plan, place / out).failures
        return place / out

    return make


@pytest.fixture(scope="module")
def parts(run: Run) -> list[Path]:
    """A study of a seed, and two experiments of the other one."""
    return [
        run("first", seeds=[0]),
        run("second", TASKS[:1], seeds=[1]),
        run("third", TASKS[1:], seeds=[1]),
    ]


def rows(file: Path) -> list[tuple[str, ...]]:
    """All but the seconds: votes on the labels of several seeds are cast together."""
    with file.open() as opened:
        return sorted(
            tuple(value for name, value in row.items() if name != "seconds")
            for row in csv.DictReader(opened)
        )


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_parts_joined_are_the_whole(run: Run, parts: list[Path], tmp_path: Path) -> None:
    whole = StudyResults.read(run("whole", seeds=[0, 1]) / "study.json")
    out = tmp_path / "joined"
    joined = join_studies(parts, out)
    assert StudyResults.read(out / "study.json") == joined

    def sort(found: StudyResults) -> list[str]:
        return sorted(row.model_dump_json() for row in found.summary)

    assert sort(joined) == sort(whole)
    assert {row.n_seeds for row in joined.summary} == {2}
    assert sorted(joined.experiments) == sorted(whole.experiments)
    assert joined.versions == whole.versions
    assert files(out) == files(parts[0].parent / "whole")
    for name in ("scores.csv", "indicators.csv"):
        assert rows(out / name) == rows(parts[0].parent / "whole" / name)
    again = load_config(str(out / "config.yaml"))
    expected = load_config(str(parts[0].parent / "whole/config.yaml"))

    def apart(config: StudyConfig) -> list[Any]:
        return [one.model_dump() for one in config.experiments()]

    assert sorted(map(repr, apart(again))) == sorted(map(repr, apart(expected)))


def test_files_of_the_experiments_come_along(parts: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "joined"
    joined = join_studies(parts, out)
    for name in joined.experiments:
        one = Results.read(out / name / "results.json")
        files = {file.name for file in (out / name).iterdir()}
        assert files >= {"predictions.parquet", "training_labels.parquet", "audit.json"}
        assert Splits.read((out / name).parent / "splits.parquet").test.ids.size == 12
        assert one.seed in ("0", "1")


def test_rows_that_seeds_cut_anew_stay_with_their_seed(run: Run, tmp_path: Path) -> None:
    apart = [run(f"cut{seed}", TASKS[:1], seeds=[seed], vary=["split"]) for seed in (1, 2)]
    joined = join_studies(apart, tmp_path / "joined", name="cuts")
    assert (joined.name, joined.config["vary"]) == ("cuts", ["split"])
    assert all(row.n_cuts == 2 and row.delta_auc_interval for row in joined.summary)
    ids = [
        set(Splits.read(tmp_path / "joined" / name / "splits.parquet").test.ids)
        for name in joined.experiments
    ]
    assert ids[0] != ids[1]


def test_what_cannot_be_one_study_is_refused(run: Run, parts: list[Path], tmp_path: Path) -> None:
    def refused(*folders: Path) -> str:
        with pytest.raises(InputError) as caught:
            join_studies(folders, tmp_path / "joined")
        assert not (tmp_path / "joined").exists()
        return str(caught.value)

    copy = tmp_path / "copy"
    shutil.copytree(parts[1], copy)
    assert f"seed 1 is in {str(parts[1])!r} and in {str(copy)!r}" in refused(*parts, copy)
    assert "experiments to join: 1" in refused(parts[1])
    assert "no results in" in refused(*parts, tmp_path)
    other = run("other", TASKS[1:], seeds=[1], probes={"n_neighbors": 5})
    assert "probes is {" in refused(parts[0], other)
    faster = study(parts[0].parent)["strong"] | {"epochs": 2}
    other = run("faster", TASKS[1:], seeds=[1], strong=faster)
    assert "epochs is 1 in one, 2 in" in refused(parts[0], other)
    alone = run("alone", TASKS[1:])
    assert "names of runs do not go together: without seeds, 0" in refused(alone, parts[0])


def test_results_from_before_there_was_a_choice_were_stopped_by_auc(
    run: Run, parts: list[Path], tmp_path: Path
) -> None:
    old = []
    for part in parts:
        old.append(tmp_path / part.name)
        shutil.copytree(part, old[-1])
        for file in old[-1].rglob("results.json"):
            results = json.loads(file.read_text())
            for model in ("weak", "strong"):
                del results["config"][model]["early_stopping"]
            file.write_text(json.dumps(results))
    joined = join_studies(old, tmp_path / "joined")
    for model in ("weak", "strong"):
        assert [one["early_stopping"] for one in joined.config[model]] == ["auc"]
    with pytest.raises(InputError, match="early_stopping is 'auc' in one, 'soft_auc' in"):
        join_studies([old[0], parts[1]], tmp_path / "mixed")


def test_what_is_there_is_left_alone(parts: list[Path], tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        join_studies(parts, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_a_part_that_is_damaged_is_named(parts: list[Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(parts[1], copy)
    (copy / "predictions.parquet").write_bytes(b"")
    with pytest.raises(InputError, match=r"copy/predictions\.parquet"):
        join_studies([parts[0], copy], tmp_path / "joined")
    record = json.loads((parts[0] / "study.json").read_text())
    assert record["experiments"], "the parts are as they were"


def test_predictions_without_a_method_are_named(parts: list[Path], tmp_path: Path) -> None:
    part = tmp_path / "part"
    shutil.copytree(parts[1], part)
    file = part / "predictions.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["student"]), file)
    with pytest.raises(InputError, match="no column student") as caught:
        join_studies([parts[0], part], tmp_path / "out")
    assert str(part) in str(caught.value)
    assert not (tmp_path / "out").exists()


def made_up(folder: Path, **sections: Any) -> list[Path]:
    """Results of every run of a config, from made-up scores; without any model."""
    values = {**study(folder), "methods": [], **sections}
    places = []
    for config in StudyConfig.model_validate(values).experiments():
        rng = np.random.default_rng(list(repr(config.key).encode()))
        labels = np.arange(40) % 2
        scores = {name: (labels + 2 * rng.random(40)) / 3 for name in ("weak", "ceiling")}
        thresholds = {"min_gap": config.min_gap, "min_gap_se": config.min_gap_se}
        found = recovered([ScoredRun(labels, scores)], thresholds, {})
        results = Results(
            name=config.name,
            **config.key._asdict(),
            gap=0.0,
            gap_se=0.0,
            rows_needed=None,
            layer=None,
            splits={"test": 40},
            dropped={},
            truncated={},
            rows=tuple(
                ResultRow(method=name, rows_offered=1, rows_kept=1, seconds=0.0, **scores_of(one))
                for name, one in found.items()
            ),
            stages={},
            config=config.model_dump(mode="json", exclude={"seed"}),
            versions={},
        )
        places.append(folder / f"{len(list(folder.iterdir()))}")
        ids = np.array([f"r{row}" for row in range(40)])
        Scored(results, ids, labels, None, scores).write(places[-1])
    return places


def test_cuts_supervisors_and_learners_are_joined_as_what_they_are(tmp_path: Path) -> None:
    nested = {"splits": [0, 1, 2], "supervisor_seeds": [4, 5]}
    probe = {"kind": "probe", "model": "minilm", "rows": 60}
    labels = {"kind": "labels", "file": "labels.csv"}
    parts = [
        *made_up(tmp_path, **{**nested, "splits": [0, 2]}, weak=probe),
        *made_up(tmp_path, **{**nested, "splits": [1]}, weak=probe),
        *made_up(tmp_path, splits=[0, 1, 2], weak=labels),
    ]
    joined = join_studies(parts, tmp_path / "joined")
    rows = {row.weak_model: row for row in joined.summary if row.method == "ceiling"}
    of_probe, of_file = rows["minilm probe, 60 rows"], rows["labels"]
    assert (of_probe.n_cuts, of_probe.n_supervisor_seeds, of_probe.n_learner_seeds) == (3, 2, 1)
    assert (of_file.n_cuts, of_file.n_supervisor_seeds, of_file.n_learner_seeds) == (3, 1, 1)
    again = load_config(str(tmp_path / "joined/config.yaml"))
    assert again.splits == (0, 1, 2)
    assert again.supervisor_seeds == (4, 5)
    assert again.learner_seeds == again.seeds == ()
    assert [one.kind for one in again.weak] == ["probe", "labels"]
    keys = {Results.read(part / "results.json").key for part in parts}
    assert keys == {one.key for one in again.experiments()}


def test_seeds_of_supervisors_that_have_none_are_joined(tmp_path: Path) -> None:
    weak = [{"kind": "probe", "model": "minilm"}, {"kind": "labels", "file": "labels.csv"}]
    parts = [place for seed in (0, 1) for place in made_up(tmp_path, seeds=[seed], weak=weak)]
    joined = join_studies(parts, tmp_path / "joined")
    assert (joined.config["seeds"], joined.config["vary"]) == ([0, 1], ["weak", "strong"])
    assert {row.n_seeds for row in joined.summary} == {2}


def test_cuts_and_seeds_are_not_mixed(tmp_path: Path) -> None:
    cuts, seeds = made_up(tmp_path, splits=[0, 1]), made_up(tmp_path, seeds=[0, 1])
    with pytest.raises(InputError, match=r"names of runs do not go together: 0, 1, cut0, cut1"):
        join_studies([*seeds, *cuts], tmp_path / "joined")
    nested = made_up(tmp_path, splits=[2], supervisor_seeds=[0])
    with pytest.raises(
        InputError, match=r"names of runs do not go together: cut2-weak0, cut0, cut1"
    ):
        join_studies([*nested, *cuts], tmp_path / "joined")


def test_a_config_of_no_version_is_named(tmp_path: Path) -> None:
    parts = made_up(tmp_path, splits=[0, 1])
    file = parts[1] / "results.json"
    record = json.loads(file.read_text())
    record["config"]["probes"]["l3"] = 1
    file.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"probes\.l3: unknown key"):
        join_studies(parts, tmp_path / "joined")
