"""Regret of layers and settings that are chosen by weak labels alone, on tasks of BIG-bench.

    python -m benchmarks.choices FOLDER [TASK ...] [--model smollm2-135m] [--l2s 1e-4:1e3:log15]

Weak labels are those of a logistic regression on character n-grams of 300 rows; probes are fitted
on the weak labels of 300 others, on every layer, and their regret is the AUC on 600 test rows that
is lost to the best point there. FOLDER keeps stores, labels and sweeps: what is there is read.
"""

import argparse
import time
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from w2sprobe.cache import ActivationStore
from w2sprobe.data import Splits, SplitSizes, join_rows, load_task, make_splits
from w2sprobe.extraction import extract
from w2sprobe.labels import LabelTable
from w2sprobe.metrics import roc_auc
from w2sprobe.numbers import parse_numbers
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec
from w2sprobe.probing.sweep import Sweep, sweep

TASKS = (
    "multiemo/all_sentence_en",
    "multiemo/medicine_sentence_en",
    "fact_checker/fever",
    "winowhy",
)
RULES = ("weak_log_loss", "weak_auc")
SIZES = SplitSizes(300, 300, 100, 600)


def weak_labels(splits: Splits) -> LabelTable:
    """Soft labels of strong-train, validation and test rows."""
    rows = join_rows(splits.strong_train, splits.val, splits.test)
    ngrams = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    weak = LogisticRegression(max_iter=1000)
    weak.fit(ngrams.fit_transform(splits.weak_train.texts), splits.weak_train.labels)
    return LabelTable(rows.ids, weak.predict_proba(ngrams.transform(rows.texts))[:, 1])


def sweep_task(task: str, folder: Path, model: str, spec: VoteSpec) -> tuple[Sweep, float]:
    """Every layer and setting; and the AUC of the weak labels on test rows."""
    splits = make_splits(load_task(f"bigbench:{task}").rows, SIZES, seed=0)
    labels, place = weak_labels(splits), folder / f"{task.replace('/', '-')}.store"
    if not place.exists():
        rows = join_rows(splits.strong_train, splits.val, splits.test)
        extract(model, rows.records(), place, layers="all")
    store, rows_ = ActivationStore.open(place), ProbedRows.of_splits(splits)
    out = folder / f"{task.replace('/', '-')}-{max(spec.probes['logistic']):g}"
    done = sweep(store, spec, rows_, labels, out)
    test = labels.align(splits.test.ids).soft_label
    return done, roc_auc(splits.test.labels, test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("tasks", nargs="*", default=TASKS)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--ks", default="1:200:log10")
    parser.add_argument("--l2s", default="1e-4:1e3:log15")
    given = parser.parse_args()
    ks, l2s = parse_numbers(given.ks, int, "--ks"), parse_numbers(given.l2s, float, "--l2s")
    spec = VoteSpec(probes={"knn": ks, "logistic": l2s})
    columns = [(probe, rule) for probe in ("knn", "logistic") for rule in RULES]
    regrets = []
    print("| task, test AUC of the weak labels |", " | ".join(map(" ".join, columns)), "|")
    print("|---" * (1 + len(columns)) + "|")
    start = time.perf_counter()
    for task in given.tasks:
        done, auc = sweep_task(task, given.folder, given.model, spec)
        chosen = {(one.among, one.rule): one.regret for one in done.selections}
        regrets.append([chosen[column] for column in columns])
        print(f"| {task}, {auc:.3f} |", " | ".join(f"{one:.3f}" for one in regrets[-1]), "|")
    means = [sum(column) / len(column) for column in zip(*regrets, strict=True)]
    print("| mean |", " | ".join(f"{mean:.3f}" for mean in means), "|")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
