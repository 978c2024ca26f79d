from pathlib import Path

import numpy as np
import pytest

from w2sprobe.data import Rows
from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.labels import LabelTable
from w2sprobe.training import requirements
from w2sprobe.training.requirements import check_requirements
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.trainer import finetune


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"precision": "4bit"}, "--precision 4bit needs bitsandbytes. Run: pip install 'w2sprobe["),
        ({"report_to": "none,tensorboard"}, "--report-to tensorboard needs tensorboard"),
        ({"report_to": "wandb"}, "pip install wandb"),
    ],
)
def test_what_is_not_installed_is_named(
    settings: dict[str, str], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency) as caught:
        check_requirements(TrainSettings(**settings))
    assert part in str(caught.value)
    monkeypatch.setattr(requirements, "find_spec", lambda _: "found")
    check_requirements(TrainSettings(**settings))


def test_defaults_need_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "find_spec", lambda _: None)
    check_requirements(TrainSettings())


def test_unknown_reporters_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    rows = Rows(np.array(["a"]), ["good"], np.array([1]))
    settings = TrainSettings(report_to="smoke-signals")
    with pytest.raises(InputError, match="smoke-signals is not supported"):
        finetune("no-model", rows, LabelTable(["a"], [1]), rows, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()
