"""Which tasks could show generalisation, by a rule that no student has a say in.

    w2sprobe run docs/reproduction/configs/stage0.yaml --out results/stage0
    python -m benchmarks.choose_tasks results/stage0

Reads a study of probes on truth and on truth with noise. A task is kept where, for at least one
supervisor, there is a gap to recover, the supervisor knows something, and a learner recovers from
labels that are wrong as often as the supervisor's, but independently of the text: where that
fails, no student could be expected to do better. Numbers are means over the cuts of the rows.
Of several controls, which differ in layer or penalty, that with the largest mean test AUC on the
tasks kept is the one whose settings a study should take.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.reproduction.markdown import lines_of, short
from w2sprobe.comparison import Score, read_scores
from w2sprobe.reporting.wording import ENDS

MIN_GAP, MIN_WEAK_AUC, MIN_NOISE_PGR = 0.06, 0.58, 0.3
CONTROL = "logistic_probe_on_noise"


def mean(scores: Iterable[Score], name: str) -> float:
    return float(np.mean([getattr(score, name) for score in scores]))


def verdict(gap: float, weak: float, noise_pgr: float) -> str:
    """Why a task is left out; empty where it is kept."""
    reasons = {
        f"gap below {MIN_GAP:g}": gap < MIN_GAP,
        f"weak AUC below {MIN_WEAK_AUC:g}": weak < MIN_WEAK_AUC,
        f"PGR of noise below {MIN_NOISE_PGR:g}": gap >= MIN_GAP and noise_pgr < MIN_NOISE_PGR,
    }
    return ", ".join(reason for reason, applies in reasons.items() if applies)


Group = dict[str, list[Score]]  # scores of one task and supervisor, by method


def line(task: str, supervisor: str, methods: Group, control: str) -> list[str]:
    """Numbers of one task and supervisor, and why it is left out; empty where it is kept."""
    scores = methods[control]
    weak, ceiling = mean(scores, "weak_auc"), mean(scores, "ceiling_auc")
    # mean gain by mean gap: of small gaps a mean of ratios would be noise
    noise_pgr = (mean(scores, "auc") - weak) / (ceiling - weak)
    return [
        short(task),
        supervisor,
        *(f"{value:.3f}" for value in (weak, ceiling)),
        f"{ceiling - weak:+.3f}",
        f"{noise_pgr:+.2f}" if ceiling - weak >= MIN_GAP else "–",
        verdict(ceiling - weak, weak, noise_pgr),
    ]


def by_setting(groups: dict[tuple[str, str], Group], kept: set[str]) -> list[list[str]]:
    """Mean test AUC of every method on the tasks kept."""
    names = [name for name in next(iter(groups.values())) if name not in ENDS]
    chosen = [group for (task, _), group in groups.items() if task in kept]
    return [
        [name, f"{np.mean([mean(group[name], 'auc') for group in chosen]):.4f}"] for name in names
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="folder or scores.csv of stage 0")
    parser.add_argument("--control", default=CONTROL, help="method on truth with noise")
    given = parser.parse_args()
    groups: dict[tuple[str, str], Group] = {}
    for score in read_scores(given.results):
        group = groups.setdefault((score.task, score.weak_model), {})
        group.setdefault(score.method, []).append(score)
    lines = [line(*key, group, given.control) for key, group in groups.items()]
    head = ["task", "supervisor", "its AUC", "probe on truth", "gap", "PGR of noise", "left out"]
    print(lines_of(head, lines), end="\n\n")
    kept = {key[0] for key, cells in zip(groups, lines, strict=True) if not cells[-1]}
    print(f"Kept: {', '.join(sorted(kept)) or 'none'}.", end="\n\n")
    if kept:
        print(lines_of(["method", "mean test AUC on the tasks kept"], by_setting(groups, kept)))


if __name__ == "__main__":
    main()
