"""Noise of seeds: spread of repeated runs of one method."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from w2sprobe.comparison._base import UNKNOWN, FrozenModel
from w2sprobe.comparison.differences import Difference, difference
from w2sprobe.comparison.scores import Score
from w2sprobe.comparison.tasks import Seeds, Unit, value_of
from w2sprobe.metrics import variance_components
from w2sprobe.results import Interval

TASK = "task"
FACTORS = ("split", "weak", "strong")  # nested, outermost first


class SeedComponent(FrozenModel):
    """Standard deviation of a run due to one factor; 0 where its variance comes out below 0.

    Factors that always vary together share a component: "weak, strong". `n_levels` counts the
    levels of all tasks together.
    """

    name: str
    sd: float
    n_levels: int


class SeedRow(FrozenModel):
    """Noise of a method's seeds in one unit, from tasks that count.

    `seed_sd` is the standard deviation of one run within a task, with its interval; `task_sd` that
    of the tasks' means. `components` split `seed_sd` into cuts of the rows, seeds of the weak and
    seeds of the strong model; empty where these are not known. `noise_of_mean` is the standard
    deviation that seeds alone give to the mean difference of two runs over `n_tasks` tasks:
    sqrt(2 / n_tasks) seed_sd. `aa` is the A/A comparison, two-sided: the method's seed
    `aa_seeds[0]` less its seed `aa_seeds[1]`.
    """

    method: str
    unit: Unit
    n_scores: int
    n_tasks: int
    seed_sd: float
    seed_sd_interval: Interval
    task_sd: float
    components: tuple[SeedComponent, ...]
    noise_of_mean: float
    aa_seeds: tuple[str, str]
    aa: Difference


def seed_row(
    method: str, by_task: Mapping[str, Seeds], unit: Unit, counted: Sequence[str]
) -> SeedRow | None:
    """Measure the noise of a method's seeds; None where no task that counts has two.

    Parameters
    ----------
    by_task : mapping of task to mapping of seed to Score
        Its scores.
    unit : {"pgr", "auc"}
    counted : sequence of str
        Tasks that count.
    """
    known: dict[str, dict[str, float]] = {}
    runs: list[tuple[Score, float]] = []
    for task in counted:
        values = {seed: value_of([score], unit) for seed, score in by_task.get(task, {}).items()}
        known[task] = {seed: value for seed, value in values.items() if not math.isnan(value)}
        runs += [(by_task[task][seed], value) for seed, value in known[task].items()]
    shared = Counter(pair for seeds in known.values() for pair in combinations(sorted(seeds), 2))
    if not shared:
        return None
    tasks = [score.task for score, _ in runs]
    parts = variance_components([value for _, value in runs], {TASK: tasks})
    within, between = parts[-1], parts[0].variance if len(parts) > 1 else UNKNOWN
    # the two seeds that most tasks have; of several such pairs the first by name
    first, second = max(sorted(shared), key=shared.__getitem__)
    differences = [
        seeds[first] - seeds[second] for seeds in known.values() if {first, second} <= {*seeds}
    ]
    low, high = within.interval
    n_tasks = len({*tasks})
    return SeedRow(
        method=method,
        unit=unit,
        n_scores=len(runs),
        n_tasks=n_tasks,
        seed_sd=math.sqrt(within.variance),
        seed_sd_interval=(math.sqrt(low), math.sqrt(high)),
        task_sd=math.sqrt(max(between, 0)),
        components=tuple(_components(runs)),
        noise_of_mean=math.sqrt(2 * within.variance / n_tasks),
        aa_seeds=(first, second),
        aa=difference(differences, "two-sided", None),
    )


def _components(runs: Sequence[tuple[Score, float]]) -> Iterable[SeedComponent]:
    labels = {name: [getattr(score, f"{name}_seed") for score, _ in runs] for name in FACTORS}
    if not all(seed for seeds in labels.values() for seed in seeds):
        return
    factors = {TASK: [score.task for score, _ in runs], **labels}
    for part in variance_components([value for _, value in runs], factors):
        if TASK not in part.name.split(", "):
            sd = math.sqrt(max(part.variance, 0))
            yield SeedComponent(name=part.name, sd=sd, n_levels=part.n_levels)
