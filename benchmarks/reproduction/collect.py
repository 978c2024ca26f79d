"""The small files: what tables and figures need of a study, for the repository to keep."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

from w2sprobe.atomic import atomic_path, write_json
from w2sprobe.comparison import SCORES
from w2sprobe.declaration import PREREGISTRATION
from w2sprobe.reporting.report.label_drawings import cards_of
from w2sprobe.reporting.report.pairing import auc_difference, predicted
from w2sprobe.reporting.report.sources import ResultsFolder, RunFolder
from w2sprobe.results import STUDY, StudyResults

# differences with intervals over test rows and cuts, which the scores alone do not give
PAIRED = (("head_logconf", "head"), ("student_logconf", "student"))
CELL = ("task", "weak_model", "strong_model")
POINT = (*CELL, "probe", "layer", "setting", "value", "fitted_on")
CURVES = ("val_soft_auc", "val_true_auc")  # against the labels that were given, and the truth
SHARES = ("wrong_before", "wrong_removed", "wrong_after", "flipped", "flips_right")


def collect(results: Path, folder: Path) -> None:
    """Write the small files of a study.

    Parameters
    ----------
    results : Path
        Folder of a study, as `w2sprobe run` leaves it.
    folder : Path
        Made where it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study = StudyResults.read(results / STUDY)
    source = ResultsFolder.read(results)
    empty = pa.csv.ConvertOptions(strings_can_be_null=True, null_values=[""])
    scores = pyarrow.csv.read_csv(results / SCORES, convert_options=empty)
    write(scores.drop_columns(["seconds"]), folder / "scores.parquet")
    write(summary(study), folder / "summary.parquet")
    write(sweeps(source), folder / "sweeps.parquet")
    write(pa.Table.from_pylist([*curations(source)]), folder / "curations.parquet")
    write(pa.Table.from_pylist([*paired(source)]), folder / "differences.parquet")
    write(curves(source), folder / "curves.parquet")
    (folder / "config.yaml").write_text(yaml.safe_dump(study.config, sort_keys=False), "utf-8")
    write_json(folder / "about.json", about(study, source))
    if (results / PREREGISTRATION).is_file():
        shutil.copyfile(results / PREREGISTRATION, folder / PREREGISTRATION)


def write(table: pa.Table, path: Path) -> None:
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", compression_level=19)


def summary(study: StudyResults) -> pa.Table:
    """Means over cuts with their intervals, as study.json has them; two columns an interval."""
    rows = []
    for row in study.summary:
        values: dict[str, Any] = {}
        for name, value in row.model_dump(exclude={"performance"}).items():
            if name.endswith("_interval"):
                end = name.removesuffix("_interval")
                values[f"{end}_low"], values[f"{end}_high"] = value or (None, None)
            else:
                values[name] = value
        rows.append(values)
    return pa.Table.from_pylist(rows)


def sweeps(source: ResultsFolder) -> pa.Table:
    """Test AUC of every point of the sweeps, mean and standard error over cuts."""
    tables = []
    for run in source.runs:
        if run.sweep is None:
            continue
        own = run.sweep.filter(pc.field("evaluation") == "test")
        (weak,) = (row.auc for row in run.results.rows if row.method == "weak")
        shared = dict(zip((*CELL, "weak_auc"), (*run.results.key[:3], weak), strict=True))
        own = own.select([name for name in POINT if name not in CELL] + ["auc_truth"])
        for name, value in shared.items():
            own = own.append_column(name, pa.repeat(value, own.num_rows))
        tables.append(own)
    if not tables:
        return pa.table({name: [] for name in (*POINT, "auc", "auc_se", "n_cuts", "weak_auc")})
    found = pa.concat_tables(tables).group_by([*POINT], use_threads=False)
    of_cuts = pc.VarianceOptions(ddof=1, min_count=2)
    found = found.aggregate(
        [
            ("auc_truth", "mean"),
            ("auc_truth", "stddev", of_cuts),
            ("auc_truth", "count"),
            ("weak_auc", "mean"),
        ]
    )
    n_cuts = found["auc_truth_count"]
    columns = {name: found[name] for name in POINT}
    columns["auc"] = found["auc_truth_mean"]
    columns["auc_se"] = pc.divide(found["auc_truth_stddev"], pc.sqrt(n_cuts.cast("float64")))
    return pa.table({**columns, "n_cuts": n_cuts, "weak_auc": found["weak_auc_mean"]})


def curves(source: ResultsFolder) -> pa.Table:
    """Scores of validation rows at every evaluation of the finetuning runs."""
    rows = [
        {
            **dict(zip((*CELL, "seed"), (*run.results.key[:3], run.results.key.run), strict=True)),
            **row,
        }
        for run in source.runs
        if run.curves is not None
        for row in run.curves.to_pylist()
    ]
    kept = (*CELL, "seed", "method", "epoch", *CURVES, "chosen")
    return pa.table({name: [row.get(name) for row in rows] for name in kept})


def cells(source: ResultsFolder) -> Iterator[tuple[dict[str, str], list[RunFolder]]]:
    """Every task and pair of models, with its runs."""
    runs: dict[tuple[str, ...], list[RunFolder]] = {}
    for run in source.runs:
        runs.setdefault(run.results.key[:3], []).append(run)
    for key, own in runs.items():
        yield dict(zip(CELL, key, strict=True)), own


def curations(source: ResultsFolder) -> Iterator[dict[str, Any]]:
    """What filters and relabellings did to the weak labels, against the truth.

    Rows are means over cuts; shares are of all cuts together: a cut counts by the rows it removes.
    """
    for cell, runs in cells(source):
        cards: dict[str, list[dict[str, Any]]] = {}
        for run in runs:
            labels = run.strong_train_labels
            for card in [] if labels is None else cards_of(labels, run.name):
                if not card["step"]:
                    cards.setdefault(card["method"], []).append(card)
        for method, own in cards.items():
            offered, removed, flipped = (
                sum(card[name] for card in own) for name in ("offered", "removed", "flipped")
            )
            kept = [card["offered"] - card["removed"] for card in own]
            shares = (
                _weighted(own, "noise_before", [card["offered"] for card in own]),
                _weighted(own, "precision", [card["removed"] for card in own]),
                _weighted(own, "noise_after", kept),
                flipped / offered,
                _weighted(own, "flips_right", [card["flipped"] for card in own]),
            )
            yield {
                **cell,
                "method": method,
                "n_cuts": len(own),
                "rows_offered": offered / len(own),
                "rows_kept": (offered - removed) / len(own),
                **dict(zip(SHARES, shares, strict=True)),
            }


def _weighted(cards: list[dict[str, Any]], name: str, weights: list[int]) -> float | None:
    total = sum(weights)
    if not total:
        return None
    values = zip(cards, weights, strict=True)
    return float(sum(card[name] * weight for card, weight in values if weight) / total)


def paired(source: ResultsFolder) -> Iterator[dict[str, Any]]:
    """AUC of one method less that of another on each task, with intervals over rows and cuts."""
    for cell, runs in cells(source):
        for method, against in PAIRED:
            found = auc_difference(predicted(runs, against), predicted(runs, method))
            if found is not None:
                low, high = found.interval
                names = {"method": method, "against": against}
                yield {**cell, **names, "difference": found.value, "low": low, "high": high}


def about(study: StudyResults, source: ResultsFolder) -> dict[str, Any]:
    """What the study was, beside its config."""
    layers = {run.results.layer for run in source.runs}
    return {
        "name": study.name,
        "n_experiments": len(study.experiments),
        "without_results": len(study.without_results),
        "failures": [failure.model_dump() for failure in study.failures],
        "preregistration": study.preregistration and study.preregistration.model_dump(),
        "layer": layers.pop() if len(layers) == 1 else None,  # None: chosen, or several
        "versions": study.versions,
        "machine": source.runs[0].results.machine,
    }
