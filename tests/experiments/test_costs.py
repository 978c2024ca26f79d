"""What stages are expected to take, beside what they take."""

import pytest
import torch

from tests.experiments.calls import Call
from tests.experiments.cases import plan_one, run_one, save_study, study
from w2sprobe.experiments.costs import estimate_seconds, product_speed, train_cost
from w2sprobe.experiments.stages import Cost, Stage
from w2sprobe.models import count_parameters, describe_model, load_base
from w2sprobe.training.settings import TrainSettings


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("costs")
    save_study(folder)
    return folder


def test_parameters_are_those_of_the_loaded_model(place):
    for name in ("weak", "strong"):
        info = describe_model(str(place / name))
        counts = count_parameters(info.source)
        network = load_base(info, "float32", torch.device("cpu"))
        weights = dict(network.named_parameters())
        assert counts.total == sum(one.numel() for one in weights.values())
        matrices = [one for name, one in weights.items() if one.ndim == 2 and "embed" not in name]
        assert counts.blocks == sum(one.numel() for one in matrices)
        assert counts.sides == sum(sum(one.shape) for one in matrices)


def test_training_costs_by_hand(place):
    info = describe_model(str(place / "strong"))
    weights = count_parameters(info.source)

    def flops(**settings):
        chosen = TrainSettings(epochs=3, **settings)
        return train_cost(info, chosen, "float32", trained=100, val=10, predicted=7).flops

    assert flops() == weights.blocks * (3 * (4 * 100 + 2 * 10) + 2 * 7)
    assert flops(full=True) == weights.blocks * (3 * (6 * 100 + 2 * 10) + 2 * 7)
    below = 1 / info.n_layers  # computed once
    tokens = (1 - below) * 3 * (4 * 100 + 2 * 10) + below * 2 * 110 + 2 * 7
    assert flops(lora_from_layer=1) == pytest.approx(weights.blocks * tokens)


def test_disk_is_about_what_a_run_leaves(place):
    experiment = plan_one(study(place, methods=["student", "knn_probe"]), place / "cache")
    run_one(experiment, place / "out")
    for stage in experiment.stages:
        if stage.kind == "train":
            adapter = stage.folder / "adapter/adapter_model.safetensors"
            assert stage.cost.disk_bytes == pytest.approx(adapter.stat().st_size, rel=0.5)
        elif stage.own_folder:
            size = sum(file.stat().st_size for file in stage.folder.rglob("*.h5"))
            assert stage.cost.disk_bytes < size < 100 * stage.cost.disk_bytes


def test_time_follows_stages_of_the_same_kind_that_are_done(tmp_path):
    class Other(Call):
        KIND = "extract"

    def stage(kind, number, flops):
        work = {"train": Call, "extract": Other}[kind](number, {}, print)
        return Stage(work, "", tmp_path, cost=Cost(flops))

    done, other = stage("train", 0, 1e6), stage("train", 1, 3e6)
    unknown = stage("extract", 2, product_speed())
    found = estimate_seconds([done, other, unknown], {done.address: 2.0})
    assert found[other.address] == pytest.approx(6.0)
    assert 0.2 < found[unknown.address] < 20  # 2 s at half of the speed, on a machine at work
    assert set(found) == {other.address, unknown.address}
