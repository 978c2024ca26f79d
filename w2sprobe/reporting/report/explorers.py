"""Write an explorer for each task whose activations are in the cache."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc

from w2sprobe.labels import LabelTable
from w2sprobe.reporting.explorer import ExplorerData, explorer_page
from w2sprobe.reporting.pages import write_page
from w2sprobe.reporting.report.sources import ResultsFolder, RunFolder

SPLITS = "splits.parquet"

# `w2sprobe.explorer.explore_run`, from the folder of a store, weak labels and the file of the
# splits; passed as an argument, because it fits probes with torch, which reports must not import
Explore = Callable[[Path, LabelTable, Path], ExplorerData]


class Link(NamedTuple):
    """Link to a page beside the report."""

    text: str
    file: str


def write_explorers(
    sources: Sequence[ResultsFolder], stores: Path, out: Path, explore: Explore
) -> Iterator[tuple[ResultsFolder, Link]]:
    """Write explorer-1.html, ... to `out` for the first run of each task and pair with a store.

    Parameters
    ----------
    stores : Path
        Folder of activation stores.
    explore : callable
        Computes what a page shows.
    """
    number = 0
    for source in sources:
        seen = set()
        for run in source.runs:
            results = run.results
            task_and_models, store = results.key[:3], stores / results.store
            has_store = results.store and (store / "manifest.json").is_file()
            if task_and_models in seen or not has_store:
                continue
            splits, weak = _splits_of(run), _weak_labels(run)
            if splits is None or weak is None:
                continue
            seen.add(task_and_models)
            number += 1
            name = f"explorer-{number}.html"
            title = f"{results.strong_model} on {run.name}"
            write_page(explorer_page(explore(store, weak, splits), title), out / name)
            yield source, Link(f"{title}, labelled by {results.weak_model}", name)


def _splits_of(run: RunFolder) -> Path | None:
    """File of the run's splits, which runs of one task may share; None if it is missing."""
    files = (folder / SPLITS for folder in (run.folder, run.folder.parent))
    return next((file for file in files if file.is_file()), None)


def _weak_labels(run: RunFolder) -> LabelTable | None:
    if run.labels is None:
        return None
    weak = run.labels.filter(pc.equal(run.labels["method"].cast("string"), "weak"))
    return LabelTable(weak["id"].to_pylist(), weak["soft_label"].to_numpy())
