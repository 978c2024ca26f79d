import math
from dataclasses import replace

import numpy as np
import pytest

from tests.comparison.cases import repeated
from w2sprobe.comparison import Score, compare
from w2sprobe.metrics import paired_tests, variance_components


def test_seed_noise_and_a_a_comparison() -> None:
    generator = np.random.default_rng(0)
    level = 0.7 + 0.02 * generator.normal(size=(12, 1))
    table = (level + 0.01 * generator.normal(size=(12, 2))).tolist()
    rows = [*repeated("student", table), *repeated("x", [[0.7]] * 12)]
    (row,) = compare(rows, units=["auc"]).seeds  # x has one seed: no row
    flat = [auc for pair in table for auc in pair]
    of_tasks, of_seeds = variance_components(flat, {"task": np.repeat(np.arange(12), 2)})
    assert (row.method, row.n_tasks, row.n_scores) == ("student", 12, 24)
    assert row.seed_sd == pytest.approx(math.sqrt(of_seeds.variance))
    assert row.task_sd == pytest.approx(math.sqrt(of_tasks.variance))
    assert row.components == ()  # what the seeds are of is not known
    low, high = row.seed_sd_interval
    assert low < row.seed_sd < high
    assert row.noise_of_mean == pytest.approx(row.seed_sd / math.sqrt(6))
    first, second = np.array(table).T
    tests = paired_tests(first, second, alternative="two-sided")
    assert row.aa_seeds == ("0", "1")
    assert row.aa.mean == pytest.approx(np.mean(first - second))
    assert (row.aa.wins, row.aa.t_pvalue) == (tests.wins, pytest.approx(tests.t_pvalue))


def test_seed_noise_is_split_by_factor_where_the_factors_are_known() -> None:
    generator = np.random.default_rng(0)
    rows = []
    for task, split, weak, strong in np.ndindex(6, 2, 2, 2):
        seeds = {"split_seed": f"{split}", "weak_seed": f"{weak}", "strong_seed": f"{strong}"}
        auc = 0.7 + 0.01 * generator.normal()
        rows.append(Score(f"t{task}", "student", f"{split}/{weak}/{strong}", auc=auc, **seeds))
    tied = [replace(row, weak_seed=row.strong_seed) for row in rows if row.weak_seed == "0"]
    for runs, names in (
        (rows, ["split", "weak", "strong"]),
        (tied, ["split", "weak, strong"]),
        ([row for row in tied if row.split_seed == "0"], ["weak, strong"]),
    ):
        other = [replace(row, method="x") for row in runs]
        row, _ = compare([*runs, *other], units=["auc"]).seeds
        assert [part.name for part in row.components] == names
        labels = {
            name: [getattr(score, f"{name}_seed") for score in runs]
            for name in ("split", "weak", "strong")
        }
        factors = {"task": [score.task for score in runs], **labels}
        parts = variance_components([score.auc for score in runs], factors)
        expected = [math.sqrt(max(part.variance, 0)) for part in parts[1:]]
        assert [part.sd for part in row.components] == pytest.approx(expected[-len(names) :])


def test_the_a_a_comparison_uses_the_seeds_that_most_tasks_have() -> None:
    rows = repeated("student", [[0.7, 0.71, 0.72], [0.7, 0.75, 0.72], [0.7, 0.7, 0.7]])
    rows = [row for row in rows if (row.task, row.seed) != ("t0", "0")]
    (row,) = compare([*rows, *repeated("x", [[0.7]] * 3)], units=["auc"]).seeds
    assert row.aa_seeds == ("1", "2")
    assert row.aa.n == 3


def test_pgr_seed_noise_excludes_unresolved_tasks() -> None:
    rows = [
        *repeated("student", [[0.7, 0.71], [0.72, 0.73]]),
        *(replace(s, task="small", ceiling_auc=0.61) for s in repeated("student", [[0.6, 0.9]])),
        *repeated("x", [[0.7]] * 2),
    ]
    noise = {row.unit: row for row in compare(rows).seeds}
    assert (noise["pgr"].n_tasks, noise["auc"].n_tasks) == (2, 3)
    assert noise["pgr"].seed_sd == pytest.approx(0.05 / math.sqrt(2))
