"""Votes that methods request: layers, settings, folds, and what model and rows do not allow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.cases import DEFINED, plan_one, save_study, study
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import L2S
from w2sprobe.experiments.experiment import Experiment
from w2sprobe.experiments.methods import DEFAULT_METHODS
from w2sprobe.experiments.stages import Stage

Make = Callable[..., Experiment]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    save_study(folder)
    return folder


@pytest.fixture(scope="module")
def make(place: Path) -> Make:
    def plan(**sections: Any) -> Experiment:
        return plan_one(study(place, **sections), place / "cache")

    return plan


def own(plan: Experiment, name: str) -> list[Stage]:
    """Stages of a method's own."""
    return plan.methods[name].stages


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_neighbors": 17}, r"define\.other_layer\.n_neighbors is 17.*up to 16, the rows"),
        (
            {"n_neighbors": 13, "layer": "auto"},
            r"define\.other_layer\.n_neighbors is 13.*up to 12, the rows",
        ),
        (
            {"predicts": "student", "curation": "relabel", "n_neighbors": 16},
            r"define\.other_layer\.n_neighbors is 16.*up to 15, the rows",
        ),
        (
            {"predicts": "student", "curation": "relabel", "n_neighbors": 9, "cv": 2},
            r"define\.other_layer\.n_neighbors is 9.*up to 8, the rows",
        ),
        ({"layer": "all"}, r"define\.other_layer\.layer is 'all'.*one layer number"),
    ],
)
def test_what_model_and_rows_do_not_allow_is_named(
    make: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(define={"other_layer": {**DEFINED["other_layer"], **changes}})


def test_only_what_is_auto_is_tried(make: Make) -> None:
    plan = make(
        probes={"layer": "mid", "n_neighbors": 3, "l2": "auto"},
        methods=["knn_probe", "logistic_probe", "mass_mean_probe"],
    )
    assert plan.layer == 1
    picks = {name: plan.methods[f"{name}_probe"].reading.pick for name in ("knn", "mass_mean")}
    for pick in picks.values():
        assert (pick.chooses, pick.layers) == (False, (1,))
    pick = plan.methods["logistic_probe"].reading.pick
    assert (pick.chooses, pick.layers, pick.values) == (True, (1,), L2S)


def test_auto_that_has_nothing_to_choose_by_is_refused(make: Make) -> None:
    define = {"mine": {"predicts": "student", "function": "json:loads"}}
    with pytest.raises(InputError, match=r"layer auto for the function of mine"):
        make(probes={"layer": "auto", "n_neighbors": 3}, define=define, methods=["mine"])
    with pytest.raises(InputError, match=r"candidates\.ks are \[99\].*up to 12, the rows"):
        make(probes={"n_neighbors": "auto", "candidates": {"ks": [99]}}, methods=["knn_probe"])


def test_in_sample_changes_what_it_is_for(make: Make) -> None:
    names = [*DEFAULT_METHODS, "confident_learning_filter", "deep_knn_filter"]
    plain, published = (
        make(methods=names, probes={"n_neighbors": 3, "cv": cv}) for cv in (None, "in-sample")
    )
    read = {
        name: {own(plan, name)[0].work.split for plan in (plain, published)}
        for name in names
        if own(plain, name)[0].kind == "curate" and name != "random_filter"
    }
    assert read == {
        "knn_relabel": {"leave_one_out", "in_sample"},
        "knn_filter": {"leave_one_out", "in_sample"},
        "logistic_relabel": {"train", "in_sample"},
        "logistic_filter": {"train", "in_sample"},
        "confident_learning_filter": {"train"},
        "deep_knn_filter": {"leave_one_out"},
        "topofilter": {"leave_one_out"},
    }


def test_settings_that_no_method_reads_are_not_checked(make: Make) -> None:
    make(methods=["student", "logistic_probe"], probes={"n_neighbors": 50})
    with pytest.raises(InputError, match="n_neighbors is 50"):
        make(methods=["knn_probe"], probes={"n_neighbors": 50})


def test_folds_that_topofilter_does_not_read_do_not_move_it(make: Make) -> None:
    one, two = (
        own(make(methods=["topofilter"], probes={"n_neighbors": 3, "cv": cv}), "topofilter")
        for cv in (None, 4)
    )
    assert one[0].address == two[0].address


def test_each_filter_has_a_graph_of_its_own(make: Make) -> None:
    """The union of neighbours joins nearly all rows; the source's code asks for strong ties."""
    define = {
        graph: {"probe": "topofilter", "curation": "filter", "graph": graph}
        for graph in ("strong", "mutual")
    }
    plan = make(methods=["topofilter", *define], define=define, probes={"n_neighbors": 3})
    votes = [plan.methods[name].curator for name in ("topofilter", *define)]
    graphs = [reading.stage.work.spec.topofilter.graph for reading in votes]
    assert graphs == ["union", "strong", "mutual"]
    assert len({reading.stage.address for reading in votes}) == 3
    everywhere = make(methods=["topofilter"], probes={"n_neighbors": 3, "graph": "strong"})
    curator = everywhere.methods["topofilter"].curator
    assert curator.stage.work.spec.topofilter == votes[1].stage.work.spec.topofilter
