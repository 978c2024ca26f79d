"""What held-out AUCs say of noise: rows that know nothing of labels, by the old rules and the new.

    python -m benchmarks.held_out [--draws 400] [--json] [--smoke]

Rows are normal, labels are independent of them, in fixed numbers of both classes: whatever the
penalty or k, an AUC that has no bias is one half on average. Old rules: logistic regression over 5
folds, all rows ranked together; kNN that leaves out single rows. New rule: both over the same 5
folds, the mean of the AUCs inside the folds.
"""

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from w2sprobe.folds import FOLDS, folds_of
from w2sprobe.metrics import auc_inside_folds
from w2sprobe.probes import knn_cross_fit, knn_path, logistic_cross_fit_path

SIZES = (100, 400)  # rows
WIDTHS = (64, 576)
SHARES = (0.5, 0.2)  # of class 1
L2S = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3)
KS = (1, 2, 5, 10, 20, 50, 80, 100, 200, 320)
VECTORS = 20  # of labels for one matrix of rows: each is a draw, and the matrix is solved once
RULES = ("old", "new")
TARGET = 0.01


def draws(n: int, width: int, share: float, n_draws: int) -> Iterator[dict[str, np.ndarray]]:
    """AUCs of one draw, by "logistic old" and the like, each of all settings."""
    random = np.random.default_rng([n, width, int(100 * share)])
    n_draws = n_draws * max(SIZES) // n
    folds = folds_of(n, FOLDS)
    ks = [k for k in KS if k <= n - n // FOLDS]
    labels = (np.arange(n) < share * n).astype(np.int64)
    for _ in range(-(-n_draws // VECTORS)):
        X = random.normal(size=(n, width)).astype(np.float32)
        y = np.stack([random.permutation(labels) for _ in range(VECTORS)])
        logistic, _, _ = logistic_cross_fit_path(X, y.astype(np.float64), l2s=L2S, device="cpu")
        alone, inside = knn_path(X, y, ks=ks), knn_cross_fit(X, y, ks=ks)
        for vector, truth in enumerate(y):
            scores = {
                "logistic old": (logistic[vector], None),
                "logistic new": (logistic[vector], folds),
                "knn old": (alone[vector], None),
                "knn new": (inside[vector], folds),
            }
            yield {
                name: np.asarray(auc_inside_folds(truth, some, by).auc)
                for name, (some, by) in scores.items()
            }


def measure(n_draws: int) -> list[dict[str, Any]]:
    """A row a size, width, share, probe, setting and rule: mean AUC and its standard error."""
    rows = []
    for n in SIZES:
        for width in WIDTHS:
            for share in SHARES:
                found = list(draws(n, width, share, n_draws))
                for name in found[0]:
                    probe, rule = name.split()
                    aucs = np.array([one[name] for one in found])
                    for value, of_value in zip(
                        L2S if probe == "logistic" else KS, aucs.T, strict=False
                    ):
                        rows.append(
                            {
                                "n": n,
                                "width": width,
                                "share": share,
                                "probe": probe,
                                "value": value,
                                "rule": rule,
                                "auc": float(of_value.mean()),
                                "se": float(of_value.std(ddof=1) / len(of_value) ** 0.5),
                            }
                        )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """A line a setting, a column a rule, size, width and share."""
    columns = list(dict.fromkeys((row["n"], row["share"], row["width"]) for row in rows))
    for rule in RULES:
        print(f"\n{rule} rule: mean AUC of noise")
        print("| setting |", " | ".join(f"n={n}, {s:.0%}, d={d}" for n, s, d in columns), "|")
        print("|---" * (1 + len(columns)) + "|")
        settings = dict.fromkeys((r["probe"], r["value"]) for r in rows)
        for probe, value in sorted(settings):
            own = {
                (r["n"], r["share"], r["width"]): f"{r['auc']:.3f}"
                for r in rows
                if (r["probe"], r["value"], r["rule"]) == (probe, value, rule)
            }
            name = f"{probe} {'l2' if probe == 'logistic' else 'k'}={value:g}"
            print(f"| {name} |", " | ".join(own.get(column, "-") for column in columns), "|")
    for rule in RULES:
        worst = max((r for r in rows if r["rule"] == rule), key=lambda r: abs(r["auc"] - 0.5))
        place = f"{worst['probe']} {worst['value']:g}, n={worst['n']}, {worst['share']:.0%}"
        print(
            f"{rule} rule, farthest from .5: {worst['auc']:.3f} (standard error {worst['se']:.4f}; "
            f"{place}, d={worst['width']}); target: within {TARGET}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--draws", type=int, default=400, help="of labels of 400 rows; four times as many of 100"
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--smoke", action="store_true", help="few draws")
    given = parser.parse_args()
    start = time.perf_counter()
    rows = measure(1 if given.smoke else given.draws)
    if given.json:
        print(json.dumps(rows))
        return
    show(rows)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
