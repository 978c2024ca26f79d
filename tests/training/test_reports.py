from pathlib import Path

import pytest

from tests.tiny import save_tiny_model
from tests.training.cases import SETTINGS, TRAIN, TRUTH, VAL, weights
from w2sprobe.training.trainer import finetune


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
