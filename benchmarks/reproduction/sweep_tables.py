"""Tables of layers, penalties and numbers of neighbours."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks.reproduction.markdown import PROBES, Table, mean_over_tasks
from benchmarks.reproduction.study import Gains, Study
from w2sprobe.metrics import task_mean
from w2sprobe.reporting.numbers import pvalue

KINDS = (("logistic", "weak"), ("knn", "weak"), ("logistic", "truth"))
LETTERS = {"logistic": "l2", "knn": "k"}


def layers(study: Study) -> Iterator[Table]:
    """Gains by layer, and those of the middle one less those of the first and the last."""
    found = [
        (study.supervisor(pair), probe, labels, study.swept(pair, probe, labels, value=value))
        for pair in study.pairs
        for probe, labels in KINDS
        for value in [study.setting(probe)]
    ]
    l2, k = (f"{study.setting(probe):g}" for probe in PROBES)
    all_layers = sorted({layer for *_, by in found for layer in by})
    yield Table(
        f"Test AUC of probes less the supervisor's, by layer (l2 = {l2}, k = {k}), means over "
        "tasks:",
        ["supervisor", "probe", *(f"layer {layer:g}" for layer in all_layers)],
        [
            [name, f"{PROBES[probe]}, fitted on {labels}", *_means(by, all_layers)]
            for name, probe, labels, by in found
            if by
        ],
    )
    yield Table(
        "The middle layer less the first and the last of the sweep, over tasks [Student's t]:",
        ["supervisor", "probe", "middle", *_edge_header("first", "last")],
        [
            [name, f"{PROBES[probe]}, fitted on {labels}", f"{middle:g}", *_edges(by, middle)]
            for name, probe, labels, by in found
            if by
            for middle in [study.middle([*by])]
        ],
    )


def settings(study: Study, probe: str) -> Iterator[Table]:
    """Gains by penalty or k at the middle layer, and whether the best one lies inside the grid."""
    all_layers = sorted({row["layer"] for row in study.sweeps})
    found = {}
    if all_layers:
        middle = study.middle(all_layers)
        found = {
            study.supervisor(pair): by
            for pair in study.pairs
            if (by := study.swept(pair, probe, "weak", layer=middle))
        }
    letter, name = LETTERS[probe], PROBES[probe]
    values = sorted({value for by in found.values() for value in by})
    where = f" at layer {middle:g}" if found else ""
    yield Table(
        f"Test AUC of the {name} probe fitted on weak labels less the supervisor's{where}, by "
        f"{letter}, means over tasks:",
        ["supervisor", *(f"{letter} = {value:g}" for value in values)],
        [[label, *_means(by, values)] for label, by in found.items()],
    )
    header = ["supervisor", "tasks whose best is interior", f"best interior {letter}"]
    yield Table(
        f"The {letter} inside the grid that is best on the mean of all tasks, which flatters it, "
        f"less either edge ({name} probe, Student's t over tasks):",
        [*header, *_edge_header("least", "largest")],
        [
            [label, _interior(by), f"{best:g}", *_edges(by, best)]
            for label, by in found.items()
            if len(by) > 2
            for best in [_best({value: _mean(by[value]) for value in [*by][1:-1]})]
        ],
    )


def _means(by: Gains, columns: Sequence[float]) -> list[str]:
    return [f"{_mean(by[x]):+.3f}" if by.get(x) else "–" for x in columns]


def _mean(by_task: Mapping[str, float]) -> float:
    return float(np.mean([*by_task.values()])) if by_task else math.nan


def _best(by_value: Mapping[float, float]) -> float:
    return max(by_value, key=lambda value: by_value[value])


def _edge_header(first: str, last: str) -> list[str]:
    return [cell for edge in (first, last) for cell in (f"less {edge}", "above", "p")]


def _edges(by: Gains, at: float) -> Iterator[str]:
    """Gains at one place less those at either end."""
    for edge in (min(by), max(by)):
        found = task_mean([by[at][task] - by[edge][task] for task in by[at]])
        above = sum(by[at][task] > by[edge][task] for task in by[at])
        yield from (mean_over_tasks(found), f"{above} of {found.n}", pvalue(found.pvalue))


def _interior(by: Gains) -> str:
    tasks = [*next(iter(by.values()))]
    best = [_best({x: by[x][task] for x in by}) for task in tasks]
    return f"{sum(min(by) < x < max(by) for x in best)} of {len(tasks)}"
