"""Stages: run once, addressed by every field of their work, described where they fail."""

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import BaseModel

from tests.experiments.calls import Call
from tests.experiments.cases import MODEL, save_study, study
from w2sprobe.data import Rows, Splits
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.functions import CurationFunction
from w2sprobe.experiments.plan import make_plan
from w2sprobe.experiments.stages import ASIDE, Outcome, Stage, Work
from w2sprobe.models import ModelInfo
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.votes.picking import Pick

Factory = Callable[[], Work]


@dataclass(frozen=True)
class Halves(Work):
    """Writes a file in two steps, and may fail between them."""

    KIND: ClassVar[str] = "train"

    number: int = 0
    labels: Stage | None = None
    fails: bool = field(default=False, metadata=ASIDE)

    def run(self, folder: Path) -> None:
        (folder / "out.txt").write_text("half")
        if self.fails:
            raise RuntimeError("power cut")
        (folder / "out.txt").write_text("whole")


def stage(home: Path, number: int = 0, labels: Stage | None = None, fails: bool = False) -> Stage:
    return Stage(Halves(number, labels, fails), "a title", home)


def test_the_address_follows_fields_and_inputs_not_titles(tmp_path: Path) -> None:
    one = stage(tmp_path, 1)
    assert one.address == stage(tmp_path / "elsewhere", 1).address
    assert one.address == Stage(Halves(1), "another title", tmp_path).address
    assert one.address != stage(tmp_path, 2).address
    above = stage(tmp_path, labels=one)
    assert above.inputs == {"labels": one}
    assert above.address != stage(tmp_path, labels=stage(tmp_path, 2)).address
    assert above.address != stage(tmp_path).address


def test_kind_version_and_names_of_inputs_are_part_of_the_address(tmp_path: Path) -> None:
    class Newer(Halves):
        VERSION = 2

    class Other(Halves):
        KIND = "curate"

    @dataclass(frozen=True)
    class Named(Work):
        KIND: ClassVar[str] = "train"
        sources: dict[str, Stage]

    addresses = [Stage(kind(), "", tmp_path).address for kind in (Halves, Newer, Other)]
    one, two = stage(tmp_path, 1), stage(tmp_path, 2)
    for sources in ({"a": one, "b": two}, {"a": two, "b": one}, {"a": one}):
        made = Stage(Named(sources), "", tmp_path)
        assert made.inputs == {f"sources.{name}": source for name, source in sources.items()}
        addresses.append(made.address)
    assert len(set(addresses)) == 6
    assert Stage(Named({"b": two, "a": one}), "", tmp_path).address == addresses[3]


@pytest.mark.parametrize("value", [Path("here"), object(), {1, 2}, np.float32(1), [Path("here")]])
def test_what_has_no_identity_enters_no_address(tmp_path: Path, value: object) -> None:
    """A path's file may change, the text of an object may be its place in memory."""
    with pytest.raises(TypeError, match="cannot enter an address"):
        _ = Stage(Call(value, {}, print), "", tmp_path).address


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> dict[type[Work], list[Work]]:
    """Work of every kind, as a study plans it."""
    folder = tmp_path_factory.mktemp("works")
    save_study(folder)
    (folder / "rules_of_stages.py").write_text("def rule(X, labels, texts): return labels\n")
    lines = (folder / "task.csv").read_text().splitlines()
    other = [lines[0], *(f"so {line}" for line in lines[1:])]
    (folder / "other.csv").write_text("\n".join(other))
    values = study(folder)
    weak = [
        {"model": str(folder / "weak"), **MODEL},
        {"kind": "probe", "model": str(folder / "weak"), "rows": 8},
        {"kind": "ngrams"},
        {"kind": "zero_shot", "model": str(folder / "strong"), "answers": ["bad", "good"]},
    ]
    define = {"mine": {"function": "rules_of_stages:rule"}}
    methods = ["knn_filter", "topofilter", "random_filter", "logistic_probe_on_noise", "mine"]
    methods += ["strong_to_strong_2", "strong_to_strong_1_cross_fit", "zero_shot", "head"]
    values |= {"weak": weak, "methods": [*methods, "deep_knn_filter"], "define": define}
    values["strong_to_strong"] = {"cv": 2, "stop_at": 0.1}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        values["test_on"] = str(folder / "other.csv")
        plan = make_plan(StudyConfig.model_validate(values), cache=folder, out=folder)
        some = plan.experiments[0].splits
        ids = [*some.strong_train.ids, *some.val.ids, *some.test.ids]
        rows = "\n".join(f"{name},0.{number + 10}" for number, name in enumerate(ids))
        (folder / "labels.csv").write_text(f"id,soft_label\n{rows}\n")
        values |= {"weak": {"kind": "labels", "file": str(folder / "labels.csv")}, "define": {}}
        del values["test_on"]
        values["methods"] = ["knn_probe"]
        more = make_plan(StudyConfig.model_validate(values), cache=folder, out=folder)
    assert len(lines) > len(ids)
    found: dict[type[Work], list[Work]] = {}
    for one in (*plan.stages, *more.stages):
        found.setdefault(type(one.work), []).append(one.work)
    return found


def others(value: Any) -> list[Any]:
    """Values that are not equal to this one, in what a result may depend on."""
    if value is None:
        return ["something"]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1]
    if isinstance(value, str):
        return [f"{value}, or another"]
    if isinstance(value, Path):
        return [value / "elsewhere"]
    if isinstance(value, tuple):
        return [(others(value[0])[0], *value[1:])] if value else [("more",)]
    if isinstance(value, Stage):
        return [dataclasses.replace(value, work=Halves(77))]
    if isinstance(value, CurationFunction):
        return [dataclasses.replace(value, source="edited"), dataclasses.replace(value, spec="a:b")]
    if isinstance(value, ModelInfo):
        return [Named(value, "other weights")]
    if isinstance(value, Rows):
        turned = dataclasses.replace(value, labels=1 - value.labels)
        texts = [*value.texts[:-1], "another text"]
        grouped = dataclasses.replace(value, groups=np.arange(len(value)).astype(str))
        fewer = value.select(np.arange(1, len(value)))
        return [fewer, turned, dataclasses.replace(value, texts=texts), grouped]
    if isinstance(value, Splits):
        return [
            dataclasses.replace(value, **{name: one})
            for name, rows in value.items()
            for one in others(rows)[1:]
        ]
    if isinstance(value, dict):
        added = {**value, "more": next(iter(value.values()))} if value else {}
        changed = [{**value, name: one} for name, kept in value.items() for one in others(kept)[:1]]
        return [*([added] if value else []), *changed]
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        aside = {"gradient_checkpointing", "report_to"}  # save memory, or are shown
        if isinstance(value, VoteSpec) and not value.reads_tokens:
            aside.add("tokens")  # no probe reads it
        return [
            value.model_copy(update={name: one})
            for name, kept in fields.items()
            if name not in aside
            for one in others(kept)[:1]
        ]
    if isinstance(value, Pick):
        return [
            dataclasses.replace(value, **{one.name: changed})
            for one in dataclasses.fields(value)
            for changed in others(getattr(value, one.name))
        ]
    raise TypeError(f"no other {type(value).__name__}")


class Named:
    """A model of other weights."""

    def __init__(self, info: ModelInfo, weights: str) -> None:
        self.identity = {**info.identity, "weights": weights}


def without_effect(work: Work) -> set[str]:
    """Fields that can be changed while the address stays."""
    address = Stage(work, "", Path()).address
    return {
        one.name
        for one in dataclasses.fields(work)
        for value in others(getattr(work, one.name))
        if Stage(dataclasses.replace(work, **{one.name: value}), "", Path()).address == address
    }


def kinds_of_work() -> set[type[Work]]:
    """Of the package; tests have their own, and Ray stands in for inputs."""
    found, open_ = set[type[Work]](), [Work]
    while open_:
        below = open_.pop().__subclasses__()
        open_ += below
        found |= {kind for kind in below if kind.__module__.startswith("w2sprobe.")}
    return {kind for kind in found if not kind.__name__.startswith("_")}


@pytest.mark.filterwarnings("ignore:Pydantic serializer")  # of words that no model would take
def test_every_field_of_every_work_enters_the_address(
    works: dict[type[Work], list[Work]],
) -> None:
    assert set(works) == kinds_of_work()
    for kind, examples in works.items():
        aside = {one.name for one in dataclasses.fields(kind) if one.metadata.get("aside")}
        for work in (examples[0], examples[-1]):
            assert without_effect(work) == aside, kind.__name__


def test_what_is_aside_says_where_and_by_which_name_not_what(
    works: dict[type[Work], list[Work]],
) -> None:
    aside = {
        one.name: str(one.type)
        for kind in works
        for one in dataclasses.fields(kind)
        if one.metadata.get("aside")
    }
    assert set(aside) == {"device", "prefixes", "runs", "title", "file", "rows"}


def test_a_field_that_enters_no_address_would_be_noticed() -> None:
    @dataclass(frozen=True)
    class Forgetful(Work):
        KIND: ClassVar[str] = "train"

        seed: int
        rule: str

        @property
        def params(self) -> dict[str, Any]:
            return {"seed": self.seed}

    assert without_effect(Forgetful(1, "a")) == {"rule"}


def test_equal_work_has_one_address_whoever_makes_it(works: dict[type[Work], list[Work]]) -> None:
    for examples in works.values():
        for work in examples:
            assert Stage(dataclasses.replace(work), "", Path("a")).address == (
                Stage(work, "a title", Path("b")).address
            )
    every = [Stage(work, "", Path()).address for some in works.values() for work in some]
    assert len(set(every)) < len(every), "the audit and the activations of both studies"


def test_a_stage_is_run_once(tmp_path: Path) -> None:
    one = stage(tmp_path, 1)
    one.execute()
    (one.folder / "out.txt").write_text("mine")
    assert stage(tmp_path, 1).execute() == 0
    assert (one.folder / "out.txt").read_text() == "mine"


def test_a_failed_stage_is_visibly_unfinished_and_starts_afresh(tmp_path: Path) -> None:
    broken = stage(tmp_path, 1, fails=True)
    with pytest.raises(RuntimeError):
        broken.execute()
    assert not broken.done
    (broken.folder / "stray").write_text("")
    again = stage(tmp_path, 1)
    again.execute()
    assert again.done
    assert {file.name for file in again.folder.iterdir()} == {"out.txt", "stage.json"}


def test_work_that_can_be_resumed_finds_what_was_left(tmp_path: Path) -> None:
    class Resumed(Halves):
        RESUMABLE = True

    broken = Stage(Resumed(1, fails=True), "", tmp_path)
    assert broken.attempt().status == "failed"
    (broken.folder / "stray").write_text("")
    again = Stage(Resumed(1), "", tmp_path)
    again.execute()
    assert {file.name for file in again.folder.iterdir()} == {"out.txt", "stray", "stage.json"}


def test_a_failure_is_written_to_a_log_that_goes_with_success(tmp_path: Path) -> None:
    outcome = stage(tmp_path, 1, fails=True).attempt()
    assert (outcome.status, outcome.error) == ("failed", "power cut")
    log = Path(outcome.log)
    text = log.read_text()
    assert "a title" in text
    assert 'raise RuntimeError("power cut")' in text
    assert stage(tmp_path, 1).attempt().status == "done"
    assert not log.exists()


def test_two_that_want_the_same_compute_it_once(tmp_path: Path) -> None:
    runs = []

    def slow(folder: Path) -> None:
        runs.append(folder)
        time.sleep(0.5)

    def attempt() -> None:
        outcomes.append(Stage(Call("slow", {}, slow), "slow", tmp_path).attempt())

    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=attempt) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcome.status for outcome in outcomes] == ["done"] * 3
    assert len(runs) == 1
    assert not list(tmp_path.glob(".lock*"))
