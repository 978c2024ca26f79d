"""Write an explorer for each task whose activations are in the cache."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from w2sprobe.labels import LabelTable
from w2sprobe.reporting.explorer import ExplorerData, explorer_page
from w2sprobe.reporting.pages import write_page
from w2sprobe.reporting.report.sources import ResultsFolder, RunFolder

SPLITS = "splits.parquet"

# from the folder of a store, weak labels and the splits' file, as `w2sprobe.explorer.explore_run`:
# it fits probes, which takes torch, and reports do without
Explore = Callable[[Path, LabelTable, Path], ExplorerData]


@dataclass(frozen=True)
class Link:
    """Link to a page beside the report."""

    text: str
    file: str


def write_explorers(
    sources: Sequence[ResultsFolder], stores: Path, out: Path, explore: Explore
) -> Iterator[tuple[ResultsFolder, Link]]:
    """Write a page for each task and pair of models whose store exists, for the first seed.

    Parameters
    ----------
    stores : Path
        Folder that holds activation stores by their names.
    out : Path
        Gets explorer-1.html, explorer-2.html, ...
    explore : callable
        Computes what a page shows.
    """
    number = 0
    for source in sources:
        seen = set()
        for run in source.runs:
            results = run.results
            key = (results.task, results.weak_model, results.strong_model)
            splits, weak = _splits_of(run), _weak_labels(run)
            store = stores / results.store
            there = results.store and (store / "manifest.json").is_file()
            if key in seen or not there or splits is None or weak is None:
                continue
            seen.add(key)
            number += 1
            name = f"explorer-{number}.html"
            title = f"{results.strong_model} on {run.name}"
            write_page(explorer_page(explore(store, weak, splits), title), out / name)
            yield source, Link(f"{title}, labelled by {results.weak_model}", name)


def _splits_of(run: RunFolder) -> Path | None:
    """File of the run's splits, or of those that it shares with other seeds and pairs."""
    files = (folder / SPLITS for folder in (run.folder, run.folder.parent))
    return next((file for file in files if file.is_file()), None)


def _weak_labels(run: RunFolder) -> LabelTable | None:
    if run.labels is None:
        return None
    own = run.labels.filter(pc.equal(run.labels["method"].cast("string"), "weak"))
    return LabelTable(own["id"].to_pylist(), own["soft_label"].to_numpy())
