"""A study as `collect` left it: scores, means, sweeps, curations, and what they are asked for."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from w2sprobe.comparison import Analysis, Comparison, Pair, Score, by_pair, compare, read_scores
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.methods import Method

Row = Mapping[str, Any]
Gains = dict[float, dict[str, float]]  # by layer or setting: AUC less the supervisor's, by task

BASELINE, WEAK_TO_WEAK = "logistic_probe", "weak_to_weak_logistic"
SETTINGS = {"logistic": ("l2", 1.0), "knn": ("n_neighbors", 50)}  # field, value if it was chosen


@dataclass(frozen=True)
class Study:
    """The small files of a folder.

    Parameters
    ----------
    scores : list of Score
    kept : mapping of (pair, method) to mapping of (task, seed) to int
        Rows that learners were given.
    summary, sweeps, curations, differences, curves : list of mapping
        Rows of the files of these names.
    config : StudyConfig
    analysis : Analysis
    layer : int or None
        That of the probes; None where it was chosen.
    """

    scores: list[Score]
    kept: Mapping[tuple[Pair, str], Mapping[tuple[str, str], int]]
    summary: list[Row]
    sweeps: list[Row]
    curations: list[Row]
    differences: list[Row]
    curves: list[Row]
    config: StudyConfig
    analysis: Analysis
    layer: int | None

    @classmethod
    def read(cls, folder: Path) -> "Study":
        """Read what `collect` wrote."""
        config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
        kept: dict[tuple[Pair, str], dict[tuple[str, str], int]] = {}
        for row in pq.read_table(folder / "scores.parquet").to_pylist():
            key = (row["weak_model"], row["strong_model"]), row["method"]
            kept.setdefault(key, {})[row["task"], str(row["seed"])] = row["rows_kept"]
        names = ("summary", "sweeps", "curations", "differences", "curves")
        return cls(
            scores=read_scores(folder / "scores.parquet"),
            kept=kept,
            **{name: pq.read_table(folder / f"{name}.parquet").to_pylist() for name in names},
            config=StudyConfig.model_validate(config),
            analysis=Analysis.of_config(config),
            layer=json.loads((folder / "about.json").read_text("utf-8"))["layer"],
        )

    @cached_property
    def pairs(self) -> dict[Pair, list[Score]]:
        """Scores of every pair of models."""
        return by_pair(self.scores)

    @property
    def against(self) -> str:
        """The baseline."""
        return self.config.analysis.against or BASELINE

    @property
    def noise(self) -> str:
        """The baseline's learner on truth with as much noise as the weak labels have."""
        return f"{self.against}_on_noise"

    def supervisor(self, pair: Pair) -> str:
        """What a pair is called: by its supervisor, and its strong model where several are."""
        several = len({strong for _, strong in self.pairs}) > 1
        return f"{pair[0]} → {pair[1]}" if several else pair[0]

    def has(self, pair: Pair, *methods: str) -> bool:
        """Whether a pair has scores of all these methods."""
        return all((pair, method) in self.kept for method in methods)

    def compared(
        self, pair: Pair, against: str | None = None, methods: Sequence[str] = ()
    ) -> Comparison:
        """What `w2sprobe stats --pair` computes, in AUC."""
        named = {"weak", "ceiling", against, *methods}
        return compare(
            [score for score in self.pairs[pair] if not methods or score.method in named],
            methods=methods,
            against=against or self.against,
            units=["auc"],
            analysis=self.analysis,
        )

    def means(self, pair: Pair) -> dict[str, dict[str, Row]]:
        """Rows of the summary by task and method."""
        found: dict[str, dict[str, Row]] = {}
        for row in self.summary:
            if (row["weak_model"], row["strong_model"]) == pair:
                found.setdefault(row["task"], {})[row["method"]] = row
        return found

    def curated(self, pair: Pair, method: str) -> list[Row]:
        """What a method did to the labels, a row a task."""
        return [
            row
            for row in self.curations
            if (row["weak_model"], row["strong_model"], row["method"]) == (*pair, method)
        ]

    def methods(self, curation: str) -> dict[str, Method]:
        """Methods of the study with this curation."""
        entries = self.config.entries
        names = dict.fromkeys(method for _, method in self.kept if method in entries)
        return {name: entries[name] for name in names if entries[name].curation == curation}

    def control(self, pair: Pair, name: str) -> str | None:
        """Random filter of the size of a filter, for the same learner; None where there is none.

        The one that names this filter, otherwise one that kept as many rows in every run.
        """
        entries, method = self.config.entries, self.config.entries[name]
        controls = [
            (other, str(control.same_size_as))
            for other, control in self.methods("random_filter").items()
            if self.has(pair, other) and control.own_ceiling == method.own_ceiling
        ]
        named = [other for other, like in controls if _same_filter(entries[like], method)]
        equal = [other for other, _ in controls if self._as_many(pair, other, name)]
        return next(iter(named + equal), None)

    def _as_many(self, pair: Pair, one: str, other: str) -> bool:
        """Whether two methods learn from equally many rows, in every run that has both."""
        ours, theirs = self.kept[pair, one], self.kept[pair, other]
        both = ours.keys() & theirs.keys()
        return bool(both) and all(ours[run] == theirs[run] for run in both)

    def setting(self, probe: str) -> float:
        """k or l2 of the study's probes."""
        field, value = SETTINGS[probe]
        given = getattr(self.config.probes, field)
        return float(value if isinstance(given, str) else given)

    def middle(self, layers: Sequence[float]) -> float:
        """Layer of the probes where the sweep has it, otherwise its layer nearest to that."""
        wanted = (layers[0] + layers[-1]) / 2 if self.layer is None else self.layer
        return min(layers, key=lambda layer: abs(layer - wanted))

    def swept(self, pair: Pair, probe: str, fitted_on: str, **fixed: float) -> Gains:
        """Test AUC of probes less the supervisor's along a sweep, on the tasks that have it all.

        Parameters
        ----------
        pair : Pair
        probe, fitted_on : str
        **fixed : float
            `layer`, which gives gains by setting, or `value`, which gives gains by layer.
        """
        ((name, at),) = fixed.items()
        along = "value" if name == "layer" else "layer"
        found: Gains = {}
        for row in self.sweeps:
            kind = (row["weak_model"], row["strong_model"], row["probe"], row["fitted_on"])
            if kind == (*pair, probe, fitted_on) and math.isclose(row[name], at):
                found.setdefault(row[along], {})[row["task"]] = row["auc"] - row["weak_auc"]
        tasks = _in_all(found.values())
        return {x: {task: found[x][task] for task in tasks} for x in sorted(found)}


def _in_all(by_task: Iterable[Mapping[str, float]]) -> list[str]:
    """Tasks that every mapping has."""
    tables = list(by_task)
    return [
        task
        for task in dict.fromkeys(t for one in tables for t in one)
        if all(task in one for one in tables)
    ]


def _same_filter(one: Method, other: Method) -> bool:
    """Whether two methods remove the same rows, whoever learns from the others."""
    fields = ("labels", "probe", "curation", "rule", "function", "contamination", "per_class")
    more = ("layer", "layers", "n_neighbors", "cv", "preprocess", "graph")
    return all(getattr(one, name) == getattr(other, name) for name in (*fields, *more))
