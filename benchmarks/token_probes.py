"""Token-level probes: what they find, and what they cost.

    python -m benchmarks.token_probes planted
    python -m benchmarks.token_probes tasks --stores FOLDER
    python -m benchmarks.token_probes speed

`planted`: one token of 200 decides. `tasks`: three BIG-bench tasks with long texts, smollm2-135m,
layer 15, probes fitted on true labels; five cuts. `speed`: attention beside a plain loop of torch
with the same steps, and memory above the data. Prints Markdown.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.reproduction.markdown import lines_of
from w2sprobe import extract
from w2sprobe.cache import ActivationStore
from w2sprobe.data import Rows, SplitSizes, load_splits, load_task
from w2sprobe.metrics import roc_auc, task_mean
from w2sprobe.probes import AttentionProbe, LogisticProbe, MultiMaxProbe, SoftmaxMeanProbe
from w2sprobe.probes.token_rows import TokenRows
from w2sprobe.reporting.numbers import interval_text

# training and test rows, balanced; groups stay whole
TASKS = {
    "timedial": (500, 500),
    "real_or_fake_text/easy": (400, 400),
    "contextual_parametric_knowledge_conflicts": (400, 400),
}
CUTS, ROWS, LAYER = 5, 1200, 15
TRAINED = {"attention": AttentionProbe, "multimax": MultiMaxProbe, "softmax mean": SoftmaxMeanProbe}
POOLED = {"mean": TokenRows.means, "last token": TokenRows.last}


def planted(n: int, length: int, width: int, seed: int) -> tuple[TokenRows, np.ndarray]:
    """Gaussian tokens; in one of each row a mark and, beside it, the label are added."""
    generator = np.random.default_rng(seed)
    offsets = np.arange(n + 1) * length
    values = generator.standard_normal((n * length, width), dtype=np.float32)
    labels = generator.integers(0, 2, n)
    marked = offsets[:-1] + generator.integers(0, length, n)
    values[marked, 0] += 4
    values[marked, 1] += 4 * (2 * labels - 1)
    return TokenRows(values, offsets), labels


def aucs(train: TokenRows, y: np.ndarray, test: TokenRows, truth: np.ndarray) -> dict[str, float]:
    """Test AUC of every probe."""
    found = {}
    for name, kind in TRAINED.items():
        probe = kind().fit(train.values, y, offsets=train.offsets)
        found[name] = roc_auc(truth, probe.decision_function(test.values, offsets=test.offsets))
    for name, pool in POOLED.items():
        pooled = LogisticProbe(l2=1.0, preprocess="standardize").fit(pool(train), y)
        found[name] = roc_auc(truth, pooled.decision_function(pool(test)))
    return found


def on_planted() -> str:
    rows = []
    for n in (300, 1000):
        train, test = planted(n, 200, 128, seed=0), planted(1000, 200, 128, seed=1)
        rows.append([str(n), *(f"{auc:.3f}" for auc in aucs(*train, *test).values())])
    return lines_of(["training rows", *TRAINED, *POOLED], rows)


def on_tasks(stores: Path) -> str:
    rows = []
    for task, (n_train, n_test) in TASKS.items():
        sizes = SplitSizes(weak_train=2, strong_train=n_train, val=2, test=n_test)
        cuts = [
            load_splits(f"bigbench:{task}", rows=ROWS, sizes=sizes, seed=cut) for cut in range(CUTS)
        ]
        everything = load_task(f"bigbench:{task}").rows
        used = np.concatenate([part.ids for cut in cuts for part in (cut.strong_train, cut.test)])
        store = _store(
            stores / task.replace("/", "-"),
            everything.select(np.flatnonzero(np.isin(everything.ids, used))),
        )
        tokens = TokenRows(store.read(LAYER), store.offsets)
        by_cut = [
            aucs(*_part(store, tokens, cut.strong_train), *_part(store, tokens, cut.test))
            for cut in cuts
        ]
        means = [task_mean([cut[name] for cut in by_cut]) for name in by_cut[0]]
        cells = [f"{one.mean:.3f} {interval_text(one.mean_interval, 3)}" for one in means]
        rows.append([task, f"{n_train} + {n_test}", f"{tokens.lengths.mean():.0f}", *cells])
    return lines_of(["task", "rows", "tokens per row", *TRAINED, *POOLED], rows)


def _part(store: ActivationStore, tokens: TokenRows, rows: Rows) -> tuple[TokenRows, np.ndarray]:
    return tokens.select(np.asarray(store.rows_of(rows.ids))), rows.labels


def _store(folder: Path, rows: Rows) -> ActivationStore:
    return extract("smollm2-135m", rows, folder, layers=str(LAYER), position="all", truncate=True)


def plain_loop(values: np.ndarray, lengths: np.ndarray, y: np.ndarray, steps: int) -> None:
    """Attention probe as one writes it: padded batches, two linear layers, autograd and Adam."""
    n, longest, width = len(y), int(lengths.max()), values.shape[1]
    x = torch.from_numpy(values).view(n, longest, width)
    mask = torch.arange(longest) < torch.from_numpy(lengths)[:, None]
    mean, std = x.mean((0, 1)), x.std((0, 1))
    query, value = torch.nn.Linear(width, 4, bias=False), torch.nn.Linear(width, 4)
    adam = torch.optim.Adam([*query.parameters(), *value.parameters()], lr=0.5 / width)
    soft = torch.from_numpy(y).float()
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        rows = torch.randperm(n, generator=generator)[:64]
        tokens = (x[rows] - mean) / std
        scores = query(tokens).masked_fill(~mask[rows][..., None], -torch.inf)
        logits = (torch.softmax(scores, dim=1) * value(tokens)).sum((1, 2))
        adam.zero_grad()
        binary_cross_entropy_with_logits(logits, soft[rows]).backward()
        adam.step()


def speed() -> str:
    rows, labels = planted(5000, 200, 576, seed=0)
    data = rows.values.nbytes / 2**30
    before = _peak()
    start = time.perf_counter()
    AttentionProbe().fit(rows.values, labels, offsets=rows.offsets)
    ours, memory = time.perf_counter() - start, _peak() - before
    start = time.perf_counter()
    plain_loop(rows.values, rows.lengths, labels, steps=500)
    plain = time.perf_counter() - start
    return lines_of(
        ["", "seconds", "peak memory above the data"],
        [
            ["AttentionProbe", f"{ours:.1f}", f"{memory:.2f} GiB"],
            ["plain loop, the same 500 steps of 64 rows", f"{plain:.1f}", ""],
            [f"ratio; data: {data:.1f} GiB", f"{ours / plain:.2f}", ""],
        ],
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("planted", "tasks", "speed"))
    parser.add_argument("--stores", type=Path, default=Path("results/token_probes"))
    given = parser.parse_args()
    if given.part == "tasks":
        print(on_tasks(given.stores))
    else:
        print(on_planted() if given.part == "planted" else speed())


if __name__ == "__main__":
    main()
