import sys
from contextvars import ContextVar
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest
from transformers.integrations import integration_utils

from tests.tiny import save_tiny_model
from tests.training.cases import SETTINGS, TRAIN, TRUTH, VAL, weights
from w2sprobe.training.trainer import finetune


class Trackio(ModuleType):
    """What transformers calls of trackio, recorded."""

    made: ClassVar[list["Trackio"]] = []

    def __init__(self) -> None:
        super().__init__("trackio")
        self.__spec__ = ModuleSpec("trackio", None)
        self.logs: list[dict] = []
        self.begun: dict = {}
        self.config: dict = Config()
        self.context_vars = SimpleNamespace(current_space_id=ContextVar("space", default=None))
        self.made[:] = [self]

    def init(self, **settings: object) -> None:
        print("begun")
        self.begun = settings

    def log(self, values: dict) -> None:
        self.logs.append(values)

    def finish(self) -> None:
        print("done")


class Config(dict):
    def update(self, values: dict, allow_val_change: bool) -> None:
        super().update(values)


def test_curves_go_to_trackio_and_stdout_stays_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "curves"))
    pytest.importorskip("trackio", reason="needs trackio", exc_type=ImportError)
    from trackio.sqlite_storage import SQLiteStorage

    model = save_tiny_model("llama", tmp_path / "model")
    settings = SETTINGS.model_copy(update={"report_to": "trackio"})
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "watched", settings)
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "plain", SETTINGS)
    assert weights(tmp_path / "watched") == weights(tmp_path / "plain")
    assert capsys.readouterr().out == ""
    logs = SQLiteStorage.get_logs("w2sprobe", "watched")
    losses = [log["train/global_step"] for log in logs if "train/loss" in log]
    assert losses == list(range(1, 11))
    assert [log["train/global_step"] for log in logs if "eval/auc" in log] == [5, 10]
    assert SQLiteStorage.get_runs("w2sprobe") == ["watched"]


def test_without_trackio_the_curves_reach_its_interface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in with the functions that transformers calls."""
    monkeypatch.setitem(sys.modules, "trackio", Trackio())
    monkeypatch.setattr(integration_utils, "is_trackio_available", lambda: True)
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SETTINGS.model_copy(update={"report_to": "trackio"})
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "watched", settings)
    captured = capsys.readouterr()
    assert ("begun" in captured.out, "begun" in captured.err) == (False, True)
    assert ("done" in captured.out, "done" in captured.err) == (False, True)
    (trackio,) = Trackio.made
    assert (trackio.begun["project"], trackio.begun["name"]) == ("w2sprobe", "watched")
    assert trackio.begun["space_id"] is None  # nothing leaves the machine
    steps = [log["train/global_step"] for log in trackio.logs if "train/loss" in log]
    assert steps == list(range(1, 11))


def test_curves_go_to_tensorboard(tmp_path: Path) -> None:
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SETTINGS.model_copy(update={"report_to": "tensorboard"})
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "watched", settings)
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "plain", SETTINGS)
    assert weights(tmp_path / "watched") == weights(tmp_path / "plain")
    log = events.EventAccumulator(str(tmp_path / "watched/logs"))
    log.Reload()
    assert [event.step for event in log.Scalars("train/loss")] == list(range(1, 11))
    assert [event.step for event in log.Scalars("eval/auc")] == [5, 10]
