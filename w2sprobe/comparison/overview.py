"""Everything that `w2sprobe stats` shows, for one pair of models or several."""

from collections.abc import Iterable, Sequence

from w2sprobe.comparison._base import FrozenModel
from w2sprobe.comparison.analysis import Analysis
from w2sprobe.comparison.compare import Comparison, choose_methods, compare
from w2sprobe.comparison.gains import GainRow, gains
from w2sprobe.comparison.indicator_rows import IndicatorRow
from w2sprobe.comparison.matrix import Matrix, matrix
from w2sprobe.comparison.scores import Score, by_pair, complete_scores, pair_name
from w2sprobe.comparison.tasks import UNITS, Unit, by_method, task_rows
from w2sprobe.errors import InputError


class Overview(FrozenModel):
    """Comparisons of each pair of models, and tables over all pairs.

    `matrices` and `gains` cover the baseline method and those that were named;
    `gains` is empty without indicators. `notes` say which pairs could not be compared.
    """

    comparisons: tuple[Comparison, ...]
    matrices: tuple[Matrix, ...]
    gains: tuple[GainRow, ...]
    notes: tuple[str, ...]


def overview(
    scores: Iterable[Score],
    indicators: Sequence[IndicatorRow] = (),
    *,
    methods: Sequence[str] = (),
    against: str | None = None,
    units: Sequence[Unit] = UNITS,
    analysis: Analysis | None = None,
) -> Overview:
    """Compare methods pair by pair, and average them over each pair.

    Parameters
    ----------
    scores : iterable of Score
        Of any number of pairs of models; completed here, as by `complete_scores`.
    indicators : sequence of IndicatorRow, optional
        Correlated with the gains.
    methods, against, units, analysis
        As in `compare`.

    Raises
    ------
    InputError
        As `compare`, where there is one pair and no indicator. Otherwise a pair that cannot be
        compared is left out with a note.
    UnknownName
        No pair has such a method.
    """
    analysis = analysis or Analysis()
    completed = complete_scores(scores)
    shown = choose_methods({score.method for score in completed}, methods, against)
    if methods:
        completed = [score for score in completed if score.method in shown]
    pairs = by_pair(completed)
    comparisons, notes = [], []
    for pair, of_pair in pairs.items():
        try:
            comparisons.append(
                compare(of_pair, methods=methods, against=shown[0], units=units, analysis=analysis)
            )
        except InputError as error:
            if len(pairs) == 1 and not indicators:
                raise
            notes.append(f"{pair_name(pair)}: {error}")
    tasks = {pair: task_rows(by_method(of_pair), analysis) for pair, of_pair in pairs.items()}
    return Overview(
        comparisons=tuple(comparisons),
        matrices=tuple(matrix(tasks, method) for method in shown),
        gains=tuple(
            row for method in shown if indicators for row in gains(tasks, indicators, method)
        ),
        notes=tuple(notes),
    )
