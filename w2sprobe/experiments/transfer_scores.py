"""Scores of methods on tasks that they were not trained on, over the runs of a study."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from w2sprobe.experiments.elsewhere import Elsewhere
from w2sprobe.experiments.summary import ENDS, LIMITS, Scored, bounded, known, methods_by_runs
from w2sprobe.metrics import ScoredRun, gap_recovered, mean_scores
from w2sprobe.results import TransferRow

Tested = tuple[Scored, Elsewhere]  # a run, and its test on one other task


def transfer_rows(scored: Iterable[Scored]) -> list[TransferRow]:
    """Score each method on each other task, over the runs of each task and pair of models.

    Weak model, ceiling and method are those that were trained at home, so that all three stand
    before the same change of task. Intervals cover test rows, cuts and seeds as at home.
    """
    cells: dict[tuple[str, str, str, str], list[Tested]] = {}
    for one in scored:
        for test in one.elsewhere:
            cells.setdefault((*one.results.key[:3], test.task), []).append((one, test))
    return [row for runs in cells.values() for row in _of_runs(runs)]


def _of_runs(tested: Sequence[Tested]) -> Iterator[TransferRow]:
    for runs, names in methods_by_runs([test.predictions for _, test in tested]).items():
        yield from _rows(names, [tested[number] for number in runs])


def _rows(names: list[str], tested: Sequence[Tested]) -> Iterator[TransferRow]:
    first, test = tested[0][0].results, tested[0][1]
    limits = {name: first.config[name] for name in LIMITS}
    means = mean_scores([_run(one, other, names) for one, other in tested])
    for name in names:
        result = gap_recovered(means, name, **limits)
        yield TransferRow(
            task=first.task,
            test_task=test.task,
            weak_model=first.weak_model,
            strong_model=first.strong_model,
            method=name,
            n_seeds=len(tested),
            n_test_rows=round(float(np.mean([len(other.ids) for _, other in tested]))),
            n_left_out=round(float(np.mean([other.n_left_out for _, other in tested]))),
            auc=result.student_auc,
            weak_auc=result.weak_auc,
            ceiling_auc=result.ceiling_auc,
            delta_auc=result.delta_auc,
            delta_auc_interval=bounded(result.delta_auc_interval),
            pgr=known(result.pgr),
            pgr_interval=bounded(result.pgr_interval),
            resolved=result.resolved,
        )


def _run(one: Scored, test: Elsewhere, names: Sequence[str]) -> ScoredRun:
    scores = {name: test.predictions[name] for name in dict.fromkeys((*ENDS, *names))}
    return ScoredRun(test.labels, scores, test.groups, test.ids, *one.results.seeds)
