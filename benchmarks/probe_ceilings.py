"""Which tasks leave room above the weak model: probes on truth, of both base models.

    python -m benchmarks.probe_ceilings [TASK ...] [--preset cpu]

A logistic probe is fitted on the truth of strong-train rows, on the last layer of the weak model
and on several layers of the strong one, and scored on weak-train rows. Nothing is finetuned, and
validation and test rows have no say. Without tasks: those of the preset.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from w2sprobe.data import Rows, join_rows
from w2sprobe.experiments.config import load_config
from w2sprobe.extraction import extract
from w2sprobe.metrics import roc_auc
from w2sprobe.probes import LogisticProbe

STRONG_LAYERS = "0.5,0.67,0.83,-1"


def probe_aucs(model: str, layers: str, train: Rows, held_out: Rows) -> dict[int, float]:
    rows, n = join_rows(train, held_out).records(), len(train)
    with tempfile.TemporaryDirectory() as folder:
        store = extract(model, rows, Path(folder) / "store", layers=layers, dtype="float32")
        aucs = {}
        for layer in store.layers:
            X = store.read(layer)
            probe = LogisticProbe().fit(X[:n], train.labels)
            aucs[layer] = roc_auc(held_out.labels, probe.predict_proba(X[n:])[:, 1])
    return aucs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", help="cut as those of the preset are")
    parser.add_argument("--preset", default="cpu", help="or a YAML file")
    given = parser.parse_args()
    setting = [f"tasks={json.dumps(given.tasks)}"] if given.tasks else []
    for config in load_config(given.preset, setting).experiments():
        start = time.perf_counter()
        splits = config.task.load()
        train, held_out = splits.strong_train, splits.weak_train
        (weak,) = probe_aucs(config.weak.model, "-1", train, held_out).values()
        strong = probe_aucs(config.strong.model, STRONG_LAYERS, train, held_out)
        layers = "  ".join(f"{layer:>2}: {value:.3f}" for layer, value in strong.items())
        print(
            f"{config.task.name:<50}{len(train):>5} rows   weak {weak:.3f}   strong {layers}   "
            f"room {max(strong.values()) - weak:+.3f}   {time.perf_counter() - start:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
