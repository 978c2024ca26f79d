from pathlib import Path

import numpy as np
import pytest
from transformers.integrations.integration_utils import get_reporting_integration_callbacks

from w2sprobe.data import Rows
from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.labels import LabelTable
from w2sprobe.training import requirements
from w2sprobe.training.requirements import check_requirements
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.trainer import finetune


def test_four_bits_need_bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency) as caught:
        check_requirements(TrainSettings(precision="4bit"))
    assert "4bit needs bitsandbytes. Run: pip install 'w2sprobe[4bit]'" in str(caught.value)
    check_requirements(TrainSettings())
    monkeypatch.setattr(requirements, "find_spec", lambda _: "found")
    check_requirements(TrainSettings(precision="4bit"))


@pytest.mark.parametrize("name", ["wandb", "azure_ml"])
def test_reporters_that_are_not_installed_are_named(name: str) -> None:
    get = get_reporting_integration_callbacks
    try:
        get([name])[0]()
    except RuntimeError:
        with pytest.raises(MissingDependency, match=f"--report-to {name}: .*install"):
            check_requirements(TrainSettings(report_to=f"none,{name}"))
    else:
        check_requirements(TrainSettings(report_to=f"none,{name}"))


def test_unknown_reporters_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    rows = Rows(np.array(["a"]), ["good"], np.array([1]))
    settings = TrainSettings(report_to="smoke-signals")
    with pytest.raises(InputError, match="smoke-signals is not supported"):
        finetune("no-model", rows, LabelTable(["a"], [1]), rows, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()
