"""Scores and indicators of several results together, with the analysis their configs declare."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from w2sprobe.comparison.analysis import Analysis
from w2sprobe.comparison.compare import BASELINES
from w2sprobe.comparison.indicator_rows import INDICATORS, IndicatorRow, read_indicators
from w2sprobe.comparison.overview import Overview, overview
from w2sprobe.comparison.published import published
from w2sprobe.comparison.scores import Score, by_pair, pair_name, read_scores
from w2sprobe.errors import UnknownName
from w2sprobe.results import RESULTS, STUDY, Results, StudyResults

PUBLISHED = "published"
DECLARED = ("analysis", "min_gap", "min_gap_se")  # keys of a config that declare its analysis


@dataclass(frozen=True)
class LoadedScores:
    """Scores of several results together.

    Parameters
    ----------
    config : dict
        The analysis that their configs declare; empty where they differ, or have none.
    """

    scores: list[Score]
    indicators: list[IndicatorRow]
    config: Mapping[str, Any]

    @property
    def methods(self) -> set[str]:
        """Names of all methods."""
        return {score.method for score in self.scores}

    def of_pair(self, wanted: str) -> list[Score]:
        """Scores of one pair of models, spelled as by `pair_name`.

        Raises
        ------
        UnknownName
            No such pair.
        """
        # looked up by the whole spelling, as names of models may hold colons
        pairs = {pair_name(pair): of_pair for pair, of_pair in by_pair(self.scores).items()}
        if wanted not in pairs:
            raise UnknownName("pair of models", wanted, pairs)
        return pairs[wanted]


def read_sources(names: Sequence[str]) -> LoadedScores:
    """Read results, tables of scores, or the published numbers.

    Parameters
    ----------
    names : sequence of str
        Files and folders as `read_scores` takes them, or "published".

    Raises
    ------
    InputError
        As `read_scores` and `read_indicators`.
    """
    scores = [
        score
        for name in names
        for score in (published().scores if name == PUBLISHED else read_scores(Path(name)))
    ]
    paths = [Path(name) / INDICATORS for name in names]
    indicators = [row for path in paths if path.is_file() for row in read_indicators(path)]
    configs = [_declared(Path(name)) for name in names]
    same = all(config == configs[0] for config in configs)
    return LoadedScores(scores, indicators, configs[0] if same else {})


def _declared(folder: Path) -> dict[str, Any]:
    if (folder / STUDY).is_file():
        config = StudyResults.read(folder / STUDY).config
    elif (folder / RESULTS).is_file():
        config = Results.read(folder / RESULTS).config
    else:
        return {}
    return {key: config[key] for key in DECLARED if key in config}


def study_overview(study: StudyResults, folder: Path) -> Overview | None:
    """Compare the methods of a study as its config declares; None without a baseline.

    Parameters
    ----------
    folder : Path
        Holds its scores, and its indicators where there are any.
    """
    methods = {row.method for row in study.summary}
    against = study.config.get("analysis", {}).get("against")  # may have failed: no row then
    if not methods & {*BASELINES, against}:
        return None
    loaded = read_sources([str(folder)])
    return overview(
        loaded.scores,
        loaded.indicators,
        against=against if against in methods else None,
        analysis=Analysis.of_config(study.config),
    )
