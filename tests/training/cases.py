"""Rows, labels and settings that tests of finetuning share."""

from pathlib import Path

import numpy as np

from tests.tiny import sentences
from w2sprobe.data import Rows
from w2sprobe.labels import LabelTable
from w2sprobe.training.settings import TrainSettings

SETTINGS = TrainSettings(epochs=2, batch_size=8, learning_rate=1e-2, precision="float32")


def make_rows(n: int, seed: int, tag: str) -> Rows:
    texts = sentences(n, seed=seed)
    labels = np.array([("good" in text or "great" in text) for text in texts], dtype=np.int64)
    return Rows(ids=np.array([f"{tag}{i}" for i in range(n)]), texts=texts, labels=labels)


TRAIN, VAL = make_rows(40, 1, "t"), make_rows(30, 2, "v")
TRUTH = LabelTable([*TRAIN.ids, *VAL.ids], [*TRAIN.labels, *VAL.labels])


def weights(folder: Path) -> bytes:
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()
