"""Which tasks could show generalisation, by a rule that no student has a say in.

    w2sprobe run docs/reproduction/configs/stage0.yaml --out results/stage0
    python -m benchmarks.choose_tasks results/stage0

Reads a study of probes on truth and on truth with noise. A task is kept where there is a gap to
recover, where its supervisor knows something, and where a learner recovers from labels that are
wrong as often as the supervisor's, but independently of the text: where that fails, no student
could be expected to do better. Numbers are means over the cuts of the rows.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from w2sprobe.comparison import Score, read_scores

MIN_GAP, MIN_WEAK_AUC, MIN_NOISE_PGR = 0.06, 0.58, 0.3
CONTROL = "logistic_probe_on_noise"
ENDS = ("weak", "ceiling")


def mean(scores: Iterable[Score], name: str) -> float:
    return float(np.mean([getattr(score, name) for score in scores]))


def verdict(gap: float, weak: float, noise_pgr: float) -> str:
    """Why a task is left out; empty where it is kept."""
    reasons = {
        f"gap below {MIN_GAP:g}": gap < MIN_GAP,
        f"weak AUC below {MIN_WEAK_AUC:g}": weak < MIN_WEAK_AUC,
        f"PGR of the noise control below {MIN_NOISE_PGR:g}": noise_pgr < MIN_NOISE_PGR,
    }
    return ", ".join(reason for reason, applies in reasons.items() if applies)


def pooled_pgr(scores: list[Score]) -> float:
    """Mean gain by mean gap: of small gaps a mean of ratios would be noise."""
    weak = mean(scores, "weak_auc")
    return (mean(scores, "auc") - weak) / (mean(scores, "ceiling_auc") - weak)


def rows(by_task: dict[str, dict[str, list[Score]]], control: str) -> list[list[str]]:
    """A line a task: its numbers, those of the other methods, and whether it is kept."""
    found = []
    for task, methods in by_task.items():
        scores = methods[control]
        weak, ceiling = mean(scores, "weak_auc"), mean(scores, "ceiling_auc")
        noise_pgr = pooled_pgr(scores)
        reason = verdict(ceiling - weak, weak, noise_pgr)
        found.append(
            [task.removeprefix("bigbench:"), str(len(scores))]
            + [f"{value:.3f}" for value in (weak, ceiling)]
            + [f"{ceiling - weak:+.3f}", f"{noise_pgr:+.2f}", reason or "**kept**"]
        )
    return found


def other_settings(by_task: dict[str, dict[str, list[Score]]]) -> list[list[str]]:
    """Mean test AUC of every method over tasks: which layer and penalty stand noise best."""
    names = [name for name in next(iter(by_task.values())) if name not in ENDS]
    return [
        [name, f"{np.mean([mean(methods[name], 'auc') for methods in by_task.values()]):.4f}"]
        for name in names
    ]


def table(head: list[str], lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder or scores.csv of stage 0")
    parser.add_argument("--control", default=CONTROL, help="method on truth with noise")
    given = parser.parse_args()
    path = given.results / "scores.csv" if given.results.is_dir() else given.results
    by_task: dict[str, dict[str, list[Score]]] = {}
    for score in read_scores(path):
        by_task.setdefault(score.task, {}).setdefault(score.method, []).append(score)
    head = ["task", "cuts", "supervisor", "probe on truth", "gap", "noise control's PGR", "verdict"]
    print(table(head, rows(by_task, given.control)), end="\n\n")
    print(table(["method", "mean test AUC over tasks"], other_settings(by_task)))


if __name__ == "__main__":
    main()
