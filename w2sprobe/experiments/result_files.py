"""Files of a study, and folders of its experiments.

A study has study.json, scores.csv, indicators.csv, transfer.csv and config.yaml.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import yaml

from w2sprobe.atomic import atomic_path, write_json
from w2sprobe.comparison import INDICATORS, SCORES, role_of
from w2sprobe.experiments.summary import ENDS
from w2sprobe.fingerprint import fingerprint
from w2sprobe.results import STUDY, Results, RunKey, StudyResults, SummaryRow

CONFIG = "config.yaml"
FIGURE = "results.png"  # figure of a single experiment
SPLITS = "splits.parquet"
TRANSFER_SCORES = "transfer.csv"
LONGEST = 80  # most characters of a folder's name


def result_folders(runs: Sequence[RunKey], out: Path) -> list[Path]:
    """Folder of each experiment: `out` for a single one, else TASK/WEAK--STRONG--RUN in it."""
    if len(runs) == 1:
        return [out]
    tasks = file_names(run.task for run in runs)
    models = file_names(model for run in runs for model in (run.weak_model, run.strong_model))
    folders = []
    for run in runs:
        pair = f"{models[run.weak_model]}--{models[run.strong_model]}"
        name = f"--{run.run.replace(' ', '')}" if run.run else ""
        folders.append(out / tasks[run.task] / (pair + name))
    return folders


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Make names that files can have, a different one for each name.

    Examples
    --------
    >>> file_names(["bigbench:navigate", "Qwen/Qwen3-0.6B"])
    {'bigbench:navigate': 'bigbench-navigate', 'Qwen/Qwen3-0.6B': 'Qwen-Qwen3-0.6B'}
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        plain = re.sub(r"[^\w.=-]+", "-", name).strip("-.")
        taken = {other.lower() for other in found.values()}  # some file systems ignore case
        if not plain or len(plain) > LONGEST or plain.lower() in taken:
            plain = f"{plain[:LONGEST]}-{fingerprint(name)[:8]}"
        found[name] = plain
    return found


def write_study(study: StudyResults, results: Sequence[Results], out: Path) -> None:
    """Write the files of a study of several experiments.

    Parameters
    ----------
    results : sequence of Results
        Results of its experiments.
    """
    summary = {(r.task, r.weak_model, r.strong_model, r.method): r for r in study.summary}
    _write_csv((row for one in results for row in _score_rows(one, summary)), out / SCORES)
    if any(one.indicators for one in results):
        _write_csv(map(_indicator_row, results), out / INDICATORS)
    else:
        (out / INDICATORS).unlink(missing_ok=True)
    if any(one.transfer for one in results):
        _write_csv((row for one in results for row in _transfer_rows(one)), out / TRANSFER_SCORES)
    else:
        (out / TRANSFER_SCORES).unlink(missing_ok=True)
    write_json(out / STUDY, study.model_dump(mode="json"))
    write_config(study.config, out)


def warnings_of(results: Mapping[str, Results]) -> tuple[str, ...]:
    """Warnings of several experiments, each after the folder of its experiment.

    Parameters
    ----------
    results : mapping of str to Results
        By folder.
    """
    return tuple(
        f"{folder}: {message}" for folder, one in results.items() for message in one.warnings
    )


def write_config(config: dict[str, Any], out: Path) -> None:
    """Write config.yaml, which runs the same study again."""
    with atomic_path(out / CONFIG) as temporary:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")


def _score_rows(
    results: Results, summary: Mapping[tuple[str, str, str, str], SummaryRow]
) -> Iterable[dict[str, Any]]:
    """Rows of scores.csv; standard errors are over the test rows that all runs of a task share."""
    auc = {row.method: row.auc for row in results.rows}
    defined = results.config.get("define", {})
    of_task = {row.method: summary[(*results.key[:3], row.method)] for row in results.rows}
    gap_se = _shared(of_task["ceiling"], "gap_row_se", results.gap_se)
    for row in results.rows:
        yield {
            **results.key._asdict(),
            **{f"{name}_seed": seed for name, seed in results.seeds._asdict().items()},
            "method": row.method,
            "role": None if row.method in ENDS else role_of(row.method, defined),
            "auc": row.auc,
            "weak_auc": auc["weak"],
            "ceiling_auc": auc["ceiling"],
            "pgr": row.pgr,
            "own_ceiling": row.own_ceiling or None,
            "own_pgr": row.own_pgr,
            "gap_se": gap_se,
            "delta_auc": row.delta_auc,
            "delta_auc_se": _shared(of_task[row.method], "delta_auc_row_se", row.delta_auc_se),
            "accuracy": row.performance.accuracy if row.performance else None,
            "resolved": row.resolved,
            "own_resolved": row.own_resolved,
            "rows_offered": row.rows_offered,
            "rows_kept": row.rows_kept,
            "seconds": row.seconds,
        }


def _shared(row: SummaryRow, name: str, of_run: float | None) -> float | None:
    """Standard error over the rows that several runs share; for a single run, its own."""
    return getattr(row, name) if row.n_seeds > 1 else of_run


def _transfer_rows(results: Results) -> Iterable[dict[str, Any]]:
    """Rows of transfer.csv: those of one run."""
    for row in results.transfer:
        yield {
            "task": row.task,
            "test_task": row.test_task,
            "weak_model": row.weak_model,
            "strong_model": row.strong_model,
            "seed": results.seed,
            **row.model_dump(
                include={
                    "method",
                    "auc",
                    "weak_auc",
                    "ceiling_auc",
                    "delta_auc",
                    "pgr",
                    "resolved",
                    "n_test_rows",
                    "n_left_out",
                }
            ),
        }


def _indicator_row(results: Results) -> dict[str, Any]:
    return {**results.key._asdict(), **results.indicators}


def _write_csv(rows: Iterable[dict[str, Any]], path: Path) -> None:
    listed = list(rows)
    names = dict.fromkeys(name for row in listed for name in row)
    table = pa.table({name: [row.get(name) for row in listed] for name in names})
    with atomic_path(path) as temporary:
        pyarrow.csv.write_csv(table, temporary)
