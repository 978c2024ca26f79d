"""How often the 95 % intervals of `recalls_at_fpr` hold the true recall, and those of a bootstrap.

    python -m benchmarks.recall_coverage [--repetitions 1000]

Scores of class 0 are normal, those of class 1 normal with mean 1, 2 or 3 and SD 1 or 1.5, so that
recalls lie between .02 and .9. Rows are independent, or in groups of five that share 30 % of the
variance of their noise. The bootstrap draws rows of each class with replacement; groups are not
bootstrapped.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
from scipy import stats

from w2sprobe.metrics import FALSE_POSITIVE_RATES, recalls_at_fpr

N_ZEROS = (200, 1000, 5000)
MEANS, SDS = (1.0, 2.0, 3.0), (1.0, 1.5)
GROUP_SIZE, SHARED = 5, 0.3
N_RESAMPLES, BOOTSTRAPPED = 300, 5  # resamples; every so many repetitions are bootstrapped


def sample(
    n: int, mean: float, sd: float, random: np.random.Generator, *, grouped: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Truth, scores and groups of `n` rows of each class."""
    truth, noise, groups = np.arange(2 * n) % 2, random.normal(size=2 * n), None
    if grouped:
        groups = random.permutation(2 * n) // GROUP_SIZE
        of_group = random.normal(size=groups.max() + 1)[groups]
        noise = math.sqrt(SHARED) * of_group + math.sqrt(1 - SHARED) * noise
    return truth, np.where(truth == 1, mean + sd * noise, noise), groups


def bootstrap(
    truth: np.ndarray, scores: np.ndarray, fpr: float, random: np.random.Generator
) -> tuple[float, float]:
    """Percentile interval of a bootstrap over the rows of each class."""
    ones, zeros = scores[truth == 1], scores[truth == 0]
    n_allowed = int(fpr * len(zeros) + 1e-9)
    recalls = [
        (random.choice(ones, len(ones)) > np.sort(random.choice(zeros, len(zeros)))[-1 - n_allowed])
        .mean()
        for _ in range(N_RESAMPLES)
    ]  # fmt: skip
    low, high = np.quantile(recalls, [0.025, 0.975])
    return low, high


def table(repetitions: int) -> Iterator[str]:
    """Markdown: lowest and highest percentage over means and SDs; of the bootstrap, the lowest."""
    names = [f"FPR {fpr:g}" for fpr in FALSE_POSITIVE_RATES]
    yield f"| rows of class 0 | rows | {' | '.join(names)} |"
    yield "| --- " * (2 + len(names)) + "|"
    for n, grouped in product(N_ZEROS, (False, True)):
        shares = defaultdict(list)
        for mean, sd in product(MEANS, SDS):
            for key, values in held(n, mean, sd, repetitions, grouped=grouped).items():
                shares[key].append(100 * float(np.mean(values)))
        cells = []
        for fpr in FALSE_POSITIVE_RATES:
            ours, theirs = shares["ours", fpr], shares["bootstrap", fpr]
            text = f"{min(ours):.1f} to {max(ours):.1f}" if ours else "-"
            cells.append(f"{text}; {min(theirs):.0f}" if theirs else text)
        yield f"| {n:,} | {'groups of 5' if grouped else 'independent'} | {' | '.join(cells)} |"


def held(
    n: int, mean: float, sd: float, repetitions: int, *, grouped: bool
) -> dict[tuple[str, float], list[bool]]:
    """Whether each interval holds the true recall, by method and rate."""
    found = defaultdict(list)
    random = np.random.default_rng([n, int(10 * mean), int(10 * sd), grouped])
    for repetition in range(repetitions):
        truth, scores, groups = sample(n, mean, sd, random, grouped=grouped)
        for one in recalls_at_fpr(truth, scores, groups=groups):
            if math.isnan(one.recall):
                continue
            true = float(stats.norm.sf((stats.norm.isf(one.fpr) - mean) / sd))
            found["ours", one.fpr].append(one.interval[0] <= true <= one.interval[1])
            if not grouped and n <= 1000 and repetition % BOOTSTRAPPED == 0:
                low, high = bootstrap(truth, scores, one.fpr, random)
                found["bootstrap", one.fpr].append(low <= true <= high)
    return found


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=1000)
    options = parser.parse_args(None if arguments is None else [*arguments])
    for line in table(options.repetitions):
        print(line)


if __name__ == "__main__":
    main()
