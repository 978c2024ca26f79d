"""A curation function of the user's: its arguments, its address, its mistakes."""

import textwrap
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.experiments.cases import plan_one, run_one, save_study, study
from w2sprobe.errors import InputError
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.functions import CurationFunction
from w2sprobe.experiments.stage_kinds import labels_of
from w2sprobe.labels import LabelTable

NUMBERS = count()
EXAMPLE = '''
import numpy as np

from w2sprobe.labels import LabelTable

def drop_unsure(X, labels, texts):
    """Keep the half of the rows whose weak label is furthest from one half."""
    certain = np.abs(labels.soft_label - 0.5)
    return LabelTable(labels.ids, labels.soft_label, certain > np.median(certain))
'''
TABLE = np.array(["a", "b"]), np.array([0.2, 0.9])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("functions")
    save_study(folder)
    return folder


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a module that no other test has imported, or write it again; its name."""
    monkeypatch.chdir(tmp_path)
    name = f"rules_of_test_{next(NUMBERS)}"

    def module(code: str) -> str:
        Path(f"{name}.py").write_text(textwrap.dedent(code))
        return name

    return module


def plan_of(place: Path, function: str, **entry: Any) -> Experiment:
    define = {
        "mine": {"predicts": "student", "function": function, **entry},
        "control": {"predicts": "student", "curation": "random_filter", "same_size_as": "mine"},
    }
    values = study(place, define=define, methods=[*define])
    return plan_one(values, place / "cache")


def test_it_curates_what_a_student_learns_from(place: Path, write: Callable[[str], str]) -> None:
    plan = plan_of(place, write(EXAMPLE) + ":drop_unsure")
    results = run_one(plan, place / "results")
    train, val = plan.splits.strong_train, plan.splits.val
    weak, curated = (labels_of(plan.methods[name].stages[0]) for name in ("weak", "mine"))
    soft = weak.align(train.ids).soft_label
    keep = np.abs(soft - 0.5) > np.median(np.abs(soft - 0.5))
    assert keep.sum() == 8
    np.testing.assert_array_equal(curated.align(train.ids).keep, keep)
    np.testing.assert_array_equal(curated.align(train.ids).soft_label, soft)
    np.testing.assert_array_equal(curated.align(val.ids).soft_label, weak.align(val.ids).soft_label)
    kept = {row.method: row.rows_kept for row in results.rows}
    assert kept["mine"] == kept["control"] == keep.sum()
    assert plan.methods["mine"].stages[1].inputs["labels"] is plan.methods["mine"].stages[0]


def test_an_edit_moves_the_address_and_is_what_runs(
    place: Path, write: Callable[[str], str]
) -> None:
    """Also in one session, where the module has been imported before."""
    spec = write(EXAMPLE) + ":drop_unsure"

    def addresses() -> list[str]:
        return [stage.address for stage in plan_of(place, spec).methods["mine"].stages]

    before = addresses()
    assert addresses() == before
    write(EXAMPLE.replace("> np.median(certain)", ">= 0"))
    after = addresses()
    assert not {*before} & {*after}
    labels = LabelTable(*TABLE)
    function = CurationFunction.load(spec)
    assert function(np.zeros((2, 3)), labels, ["x", "y"]).keep.all()
    write(EXAMPLE)
    assert addresses() == before


def test_two_functions_of_a_file_are_two_stages(place: Path, write: Callable[[str], str]) -> None:
    name = write(EXAMPLE + "\ndef other(X, labels, texts):\n    return labels\n")
    one, two = (
        plan_of(place, f"{name}:{f}").methods["mine"].stages for f in ("drop_unsure", "other")
    )
    assert one[0].address != two[0].address
    layer = plan_of(place, f"{name}:other", layer=2).methods["mine"].stages
    assert layer[0].address != two[0].address


def test_it_gets_activations_labels_and_texts_of_the_same_rows(
    place: Path, write: Callable[[str], str]
) -> None:
    name = write(
        """
        seen = []

        def look(X, labels, texts):
            seen[:] = [X, labels, texts]
            return labels
        """
    )
    plan = plan_of(place, f"{name}:look")
    run_one(plan, place / "results")
    X, labels, texts = __import__(name).seen
    train = plan.splits.strong_train
    assert (X.shape, X.dtype) == ((16, 32), np.float32)
    assert labels.ids.tolist() == train.ids.tolist()
    assert texts == train.texts
    assert plan.methods["mine"].stages[0].params["layer"] == plan.layer


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("def g(X, labels, texts): pass", ["no function 'f'"]),
        ("f = 3", ["is a int", "a function"]),
        ("def f(X, labels): pass", ["takes (X, labels)", "function(X, labels, texts)"]),
        ("from json import loads as f", ["is not from a file of module", "defined there"]),
        ("1 / 0", ["raised ZeroDivisionError", ".py:1"]),
    ],
)
def test_a_function_that_cannot_be_used_is_refused_by_the_plan(
    place: Path, write: Callable[[str], str], code: str, parts: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        plan_of(place, write(code) + ":f")
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("return None", ["returned None", "a LabelTable"]),
        ("return labels.align(labels.ids[:1])", ["returned 1 rows for 2", "keep=False"]),
        ("return labels.missing", ["raised AttributeError", ".py:2"]),
    ],
)
def test_what_it_returns_is_checked(
    write: Callable[[str], str], body: str, parts: list[str]
) -> None:
    function = CurationFunction.load(write(f"def f(X, labels, texts):\n    {body}\n") + ":f")
    with pytest.raises(InputError) as caught:
        function(np.zeros((2, 3)), LabelTable(*TABLE), ["x", "y"])
    for part in parts:
        assert part in str(caught.value)


def test_rows_may_come_back_in_any_order(write: Callable[[str], str]) -> None:
    code = "def f(X, labels, texts):\n    return labels.align(labels.ids[::-1])\n"
    function = CurationFunction.load(write(code) + ":f")
    assert function(np.zeros((2, 3)), LabelTable(*TABLE), ["x", "y"]).ids.tolist() == ["a", "b"]
