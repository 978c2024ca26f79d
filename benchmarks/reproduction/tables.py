"""Tables of docs/reproduction, as Markdown, from the small files alone."""

from collections.abc import Iterator

from benchmarks.reproduction.contrast_tables import contrasts
from benchmarks.reproduction.curve_tables import overfitting
from benchmarks.reproduction.gain_tables import differences, ends, overall
from benchmarks.reproduction.label_tables import filters, log_confidence, relabellings
from benchmarks.reproduction.markdown import PROBES, Table
from benchmarks.reproduction.study import Study
from benchmarks.reproduction.sweep_tables import layers, settings
from w2sprobe.comparison import Comparison, Pair
from w2sprobe.errors import InputError


def page(study: Study) -> str:
    """Markdown of all tables that a study has, and the titles of those that it has not."""
    made = [*_tables(study)]
    absent = [f"- {table.title.removesuffix(':')}" for table in made if not table.rows]
    blocks = [str(table) for table in made if table.rows]
    if absent:
        blocks.append("\n".join(["Not in this study:", "", *absent]))
    return "\n\n".join(blocks)


def _tables(study: Study) -> Iterator[Table]:
    compared = {pair: found for pair in study.pairs if (found := _compared(study, pair))}
    yield overall(study, compared)
    for pair in study.pairs:
        yield ends(study, pair)
    for pair, comparison in compared.items():
        yield from differences(study, pair, comparison)
        yield from contrasts(study, pair)
    yield from layers(study)
    for probe in PROBES:
        yield from settings(study, probe)
    yield filters(study)
    yield relabellings(study)
    yield from log_confidence(study)
    yield from overfitting(study)


def _compared(study: Study, pair: Pair) -> Comparison | None:
    try:
        return study.compared(pair)
    except InputError:  # without the baseline
        return None
