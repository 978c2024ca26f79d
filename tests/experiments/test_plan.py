"""Studies of several experiments: what is shared, what seeds move, the graphs of the presets."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.cases import MODEL, save_study, study
from tests.tiny import save_tiny_model
from tests.zoo import save_tiny
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import PRESETS, StudyConfig, load_config
from w2sprobe.experiments.plan import StudyPlan, make_plan
from w2sprobe.experiments.stages import Stage

Make = Callable[..., StudyPlan]
METHODS = ["student", "logistic_probe", "logistic_relabel", "random_filter"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans")
    save_study(folder)
    rows = (folder / "task.csv").read_text()
    (folder / "other.csv").write_text(
        rows.replace(",0", ",2").replace(",1", ",0").replace(",2", ",1")
    )
    for name in ("weak2", "strong2"):
        save_tiny_model({"weak2": "bert", "strong2": "llama"}[name], folder / name, hidden_size=16)
    return folder


@pytest.fixture(scope="module")
def make(place: Path) -> Make:
    def plan(**sections: Any) -> StudyPlan:
        values = study(place, **{"methods": METHODS, **sections})
        if "tasks" in sections:
            values["task"] = {"sizes": values["task"]["sizes"]}
        config = StudyConfig.model_validate(values)
        return make_plan(config, cache=place / "cache", out=place / "out")

    return plan


def test_test_rows_that_cannot_be_scored_are_refused_before_anything_is_trained(
    place: Path,
) -> None:
    values = study(place, methods=["student"])
    values["task"]["sizes"]["test"] = 2
    with pytest.raises(InputError, match="label 0 are in one row"):
        make_plan(StudyConfig.model_validate(values), cache=place / "cache", out=place / "out")


def model(place: Path, *names: str) -> list[dict[str, Any]]:
    return [{"model": str(place / name), **MODEL} for name in names]


def kinds(stages: list[Stage]) -> Counter[str]:
    return Counter(stage.kind for stage in stages)


def titles(stages: list[Stage]) -> Counter[str]:
    return Counter(stage.title for stage in stages)


def test_each_model_s_ground_truth_run_is_shared_by_all_pairs(make: Make, place: Path) -> None:
    plan = make(weak=model(place, "weak", "weak2"), strong=model(place, "strong", "strong2"))
    assert len(plan.experiments) == 4
    found = titles(plan.stages)
    assert found["weak model on truth"] == found["strong ceiling on truth"] == 2
    assert found["activations of the strong base model"] == 2
    assert found[f"activations of {place / 'weak'}"] == 1
    assert found[f"activations of {place / 'weak2'}"] == 1
    assert found["strong student"] == found["indicators of the gain"] == 4
    one, two = plan.experiments[:2]
    assert one.methods["weak"].stages[0] is two.methods["weak"].stages[0]
    assert one.methods["ceiling"].stages[0] is plan.experiments[2].methods["ceiling"].stages[0]


def test_every_stage_follows_its_inputs_and_is_there_once(make: Make, place: Path) -> None:
    plan = make(
        tasks=[str(place / "task.csv"), str(place / "other.csv")],
        weak=model(place, "weak", "weak2"),
        seeds=[0, 1],
    )
    assert len(plan.experiments) == 2 * 2 * 2
    addresses = [stage.address for stage in plan.stages]
    assert len(set(addresses)) == len(addresses)
    known: set[int] = set()
    for stage in plan.stages:
        assert {id(source) for source in stage.inputs.values()} <= known
        known.add(id(stage))
    assert {id(stage) for one in plan.experiments for stage in one.stages} == known


def test_seeds_move_training_and_leave_rows_and_activations(make: Make) -> None:
    single = make(seeds=[0])
    plan = make(seeds=[0, 1, 2])
    assert {one.address for one in single.stages} <= {one.address for one in plan.stages}
    found, once = kinds(plan.stages), kinds(single.stages)
    assert (found["extract"], found["audit"]) == (once["extract"], once["audit"])
    assert found["train"] == 3 * once["train"]
    assert [one.config.seed for one in plan.experiments] == ["0", "1", "2"]
    assert {one.config.weak.seed for one in plan.experiments} == {0, 1, 2}


def test_what_varies_can_be_chosen(make: Make) -> None:
    weak = make(seeds=[0, 1], vary=["weak"])
    assert titles(weak.stages)["strong ceiling on truth"] == 1
    assert titles(weak.stages)["weak model on truth"] == 2
    split = make(seeds=[0, 1], vary=["split"])
    assert kinds(split.stages)["extract"] == 2, "of the rows of both cuts"
    assert {one.config.strong.seed for one in split.experiments} == {0}
    tests = [set(one.splits.test.ids.tolist()) for one in split.experiments]
    assert tests[0] != tests[1]


def test_a_random_filter_draws_anew_with_the_student_s_seed(make: Make) -> None:
    plan = make(seeds=[0, 1])
    drawn = [one.methods["random_filter"].stages[0].work.seed for one in plan.experiments]
    assert drawn == [0, 1]


def test_other_tasks_settings_are_shared_or_their_own(place: Path) -> None:
    values = study(place)
    sizes = values["task"]["sizes"]
    values["task"] = {"sizes": sizes, "seed": 3}
    values["tasks"] = [str(place / "task.csv"), {"name": str(place / "other.csv"), "seed": 4}]
    tasks = [one.task for one in StudyConfig.model_validate(values).experiments()]
    assert [task.seed for task in tasks] == [3, 4]
    assert {task.sizes and task.sizes.test for task in tasks} == {sizes["test"]}


def test_several_processes_are_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="a study in 2 processes"):
        make()


@pytest.mark.parametrize("preset", PRESETS)
def test_the_graph_of_a_preset(preset: str, place: Path) -> None:
    """On tiny models and rows, which change no count."""
    config = load_config(preset)
    values = config.model_dump(mode="json", exclude_unset=True)
    n_given = max(1, len(values.pop("tasks", [])))
    n_tasks = min(2, n_given)  # stages are counted per task
    tiny = study(place)

    def smaller(section: dict[str, Any], role: str) -> dict[str, Any]:
        changes = {
            "model": tiny[role]["model"], "precision": "float32", "lora_from_layer": 1
        }  # fmt: skip
        changes["rows"] = {60: 8, 200: 10}.get(section.get("rows", 0))
        return {**section, **{name: one for name, one in changes.items() if name in section}}

    for role in ("weak", "strong"):
        given = values[role]
        several = isinstance(given, list)
        made = [smaller(section, role) for section in (given if several else [given])]
        values[role] = made if several else made[0]
    values["task"] = {"sizes": tiny["task"]["sizes"]}
    values["probes"] = {**values.get("probes", {}), "n_neighbors": 3}
    if "candidates" in values["probes"]:
        values["probes"]["candidates"] = {"layers": "1:3"}
    values["sweep"] = values.get("sweep") and {**values["sweep"], "layers": "1:3"}
    values["zero_shot"] = tiny["zero_shot"]
    values["tasks"] = []
    header, *lines = (place / "task.csv").read_text().splitlines()
    for number in range(n_tasks):
        file = place / f"{preset}-{number}.csv"
        file.write_text("\n".join([header, *(f"n{number} {line}" for line in lines)]))
        values["tasks"].append(str(file))
    plan = make_plan(StudyConfig.model_validate(values), cache=place / "none", out=place / "none")
    assert len(plan.experiments) * n_given == len(config.experiments()) * n_tasks
    found = {kind: count / n_tasks for kind, count in kinds(plan.stages).items()}
    assert found == GRAPHS[preset]


@pytest.mark.parametrize("preset", PRESETS)
def test_what_is_written_gives_the_same_experiments(preset: str) -> None:
    config = load_config(preset)
    again = StudyConfig.model_validate(json.loads(json.dumps(config.resolved())))
    assert again.experiments() == config.experiments()


ONCE = {"audit": 1, "extract": 2, "indicators": 1}
GRAPHS = {  # stages a task
    # five cuts of one task, probes only; three curations
    "demo": {
        "audit": 5,
        "extract": 2,
        "supervisor": 5,
        "noise": 5,
        "votes": 5 * (4 + 2),
        "curate": 5 * 3,
        "indicators": 5,
    },
    # student, ceiling and the student of truth with noise; no activations of the strong model
    "student": {"audit": 1, "extract": 1, "supervisor": 1, "noise": 1, "train": 3},
    # two stages of votes: TopoFilter's may be refused
    "smoke": {**ONCE, "train": 7, "votes": 2, "curate": 3},
    # three cuts: weak, ceiling and five students; confident learning, TopoFilter, random rows
    "cpu": {
        "audit": 3,
        "extract": 2,
        "noise": 3,
        "train": 3 * 7,
        "votes": 3 * 3,
        "curate": 3 * 3,
        "indicators": 3,
    },
    # weak, ceiling, 4 losses, 2 iterations, 5 curated
    "published": {**ONCE, "train": 13, "relabel": 2, "votes": 2, "curate": 5},
    # three seeds of weak, ceiling, 4 losses, 2 + 1 iterations, 8 curated; zero-shot has no seed
    "recommended": {
        "audit": 1,
        "extract": 2,
        "zero_shot": 1,
        "train": 3 * 17,
        "relabel": 3 * 3,
        "votes": 3 * 3,
        "curate": 3 * 8,
        "indicators": 3,
    },
    # ten cuts, four supervisors, of which three are probes of one model: their activations and
    # audits are shared; in each cut 7 stages of votes for all supervisors together, and 2 for the
    # curated labels of each
    "probes": {
        "audit": 10,
        "extract": 2,
        "supervisor": 10 * 3,
        "ngrams": 10,
        "noise": 10 * 4 * 2,
        "votes": 10 * (7 + 4 * 2),
        "curate": 10 * 4 * 12,
        "indicators": 10 * 4,
    },
}


def test_a_model_of_which_no_classifier_can_be_made_is_refused(make: Make, place: Path) -> None:
    for family in ("xlnet", "fnet"):
        strong = {"model": save_tiny(family, place / family), **MODEL}
        with pytest.raises(InputError, match=rf"\({family}\): its"):
            make(strong=strong)


def test_a_family_without_a_class_for_classification_is_planned(make: Make, place: Path) -> None:
    plan = make(strong={"model": save_tiny("granite", place / "granite"), **MODEL})
    assert kinds(plan.stages)["train"] > 1
