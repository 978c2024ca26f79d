"""Stages that the experiments on one cut of the rows share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.experiments.cases import plan_one, planned, save_study, study
from w2sprobe.errors import InputError
from w2sprobe.experiments.experiment import Experiment
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


def stages(experiment: Experiment, kind: str) -> list[Stage]:
    return [stage for stage in experiment.stages if stage.kind == kind]


def test_experiments_on_one_cut_share_stores_audits_and_supervisors(place: Path) -> None:
    first, second = planned(place, seeds=[0, 1], vary=["strong"]).experiments
    for kind, n in (("audit", 1), ("extract", 2)):  # stores of the strong and of the weak model
        assert stages(first, kind) == stages(second, kind)
        assert len(stages(first, kind)) == n
    assert first.methods["weak"].stages == second.methods["weak"].stages
    assert first.methods["student"].stages != second.methods["student"].stages


def test_votes_with_the_same_title_are_numbered(place: Path) -> None:
    cheap = [{"kind": "ngrams"}, {"kind": "ngrams", "C": 2.0, "name": "other"}]
    (votes,) = (one for one in planned(place, weak=cheap).stages if one.kind == "votes")
    assert votes.title == "votes: knn, logistic"  # of both supervisors; logistic for indicators
    finetuned = [{"model": str(place / name), "epochs": 1} for name in ("weak", "strong")]
    plan = planned(place, weak=finetuned)
    titles = [stage.title for stage in plan.stages if stage.kind == "votes"]
    assert titles == ["votes: knn, logistic", "votes: knn, logistic (2)"]


def test_costs_follow_tokens_and_sizes(make: Make) -> None:
    plan = make(methods=["student", "knn_probe"])
    by_kind = {stage.kind: stage.cost for stage in plan.stages}
    assert by_kind["train"].model
    assert by_kind["extract"].model
    assert not by_kind["votes"].model
    assert all(by_kind[kind].flops > 0 for kind in ("train", "extract", "votes"))
    epochs = make(methods=["student"], strong={"model": plan.config.strong.model, "epochs": 8})
    once, longer = (one.methods["student"].stages[-1].cost.flops for one in (plan, epochs))
    assert longer > 2 * once


@pytest.mark.parametrize("layer", [99, "all"])
def test_a_weak_model_has_one_layer_to_read(make: Make, place: Path, layer: Any) -> None:
    weak = {"kind": "probe", "model": str(place / "weak"), "layer": layer}
    with pytest.raises(InputError, match=r"99|weak\.layer is 'all'.*one layer"):
        make(weak=weak, methods=["knn_probe"])


def test_a_strong_model_that_cannot_answer_is_refused_before_anything_runs(
    make: Make, place: Path
) -> None:
    with pytest.raises(InputError, match="no language-model head"):
        make(methods=["zero_shot"], strong={"model": str(place / "weak")})
    with pytest.raises(InputError, match="start with the same token"):
        make(methods=["zero_shot"], zero_shot={"answers": ["Good", "Bad"]})
    make(methods=["student"], zero_shot={"answers": ["Good", "Bad"]})  # not read
