from pathlib import Path

import pytest

from w2sprobe.errors import InputError
from w2sprobe.experiments.config import PRESETS, ExperimentConfig, load_config
from w2sprobe.experiments.methods import DEFAULT_METHODS, METHODS
from w2sprobe.training.losses import LOSSES

BASE = "name: x\ntask: {name: t.csv}\nweak: {model: a}\nstrong: {model: b}\n"


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "e.yaml").write_text(text)
    return str(tmp_path / "e.yaml")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid(name: str) -> None:
    assert load_config(name).name == name


def test_defaults_are_the_published_settings(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, BASE))
    assert (config.strong.epochs, config.strong.batch_size, config.strong.learning_rate) == (
        3,
        32,
        8e-5,
    )
    assert (config.strong.lora_rank, config.strong.lora_alpha) == (8, 8)
    assert (config.probes.n_neighbors, config.probes.l2, config.probes.contamination) == (
        50,
        1e-2,
        0.1,
    )
    assert config.methods == tuple(DEFAULT_METHODS)
    assert {"strong_to_strong_1", "strong_to_strong_2", "random_filter"} <= set(config.methods)
    assert config.strong_to_strong.stop_at is None


def test_every_loss_has_a_student() -> None:
    plain = {
        method.loss: name
        for name, method in METHODS.items()
        if method.predicts == "student" and not method.curation and not method.iterations
    }
    assert plain == {loss: "student" if loss == "xent" else f"student_{loss}" for loss in LOSSES}


def test_weak_and_ceiling_are_always_run_first_and_once(tmp_path: Path) -> None:
    text = BASE + "methods: [student, ceiling, student]\n"
    assert load_config(write(tmp_path, text)).methods == ("weak", "ceiling", "student")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (BASE + "wek: {}\n", ["wek: unknown key", "did you mean 'weak'"]),
        (BASE + "probes: {k: 5}\n", ["probes.k: unknown key", "n_neighbors"]),
        (BASE + "probes: {l2: -1}\n", ["probes.l2", "greater than 0", "-1"]),
        (BASE + "methods: [studnt]\n", ["unknown method 'studnt'", "Did you mean 'student'"]),
        (BASE + "strong_to_strong: {stop_at: 1}\n", ["strong_to_strong.stop_at", "less than 1"]),
        (BASE + "strong_to_strong: {folds: 5}\n", ["strong_to_strong.folds: unknown key", "cv"]),
        (BASE.replace("t.csv", "t.csv, sizes: {weak_train: 3}"), ["task.sizes"]),
        ("name: x\n", ["task: Field required", "strong: Field required"]),
        ("- a\n", ["not a mapping"]),
        ("a: [\n", ["not YAML"]),
    ],
)
def test_mistakes_are_named_with_their_place(text: str, parts: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, text))
    for part in (*parts, "e.yaml"):
        assert part in str(caught.value)


def test_published_learning_rates_are_the_defaults() -> None:
    config = ExperimentConfig.model_validate(
        {"name": "n", "task": {"name": "t"}, "weak": {"model": "w"}, "strong": {"model": "s"}}
    )
    assert (config.weak.learning_rate, config.strong.learning_rate) == (5e-4, 8e-5)
