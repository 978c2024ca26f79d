"""Scores in long form, a row a task, method and seed: from results, CSV or Parquet."""

import csv
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from w2sprobe.errors import InputError
from w2sprobe.metrics import CONFIDENCE, pgr
from w2sprobe.results import Results

RESULTS = "results.json"
REQUIRED = ("task", "method")
SHARED = ("weak_auc", "ceiling_auc", "gap_se")  # the same for all methods of a task and seed
NUMBERS = ("auc", "pgr", *SHARED)
END_ROWS = {"weak": "weak_auc", "ceiling": "ceiling_auc"}  # methods that are ends of the gap
CONTRADICTION = 0.005  # in AUC: more than rounding of published numbers explains
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Score:
    """One method on one task with one seed; nan where a number is not known.

    Parameters
    ----------
    task, method : str
    seed : str
        Empty where there is one run.
    auc : float
        Test AUC of the method, in [0, 1].
    weak_auc, ceiling_auc : float
        Of the weak model and of the ceiling, on the same rows.
    pgr : float
        (auc - weak_auc) / (ceiling_auc - weak_auc).
    gap_se : float
        Standard error of ceiling_auc - weak_auc.
    where : str
        File and row, for messages.
    """

    task: str
    method: str
    seed: str = ""
    auc: float = UNKNOWN
    weak_auc: float = UNKNOWN
    ceiling_auc: float = UNKNOWN
    pgr: float = UNKNOWN
    gap_se: float = UNKNOWN
    where: str = "scores"


def read_scores(path: Path) -> list[Score]:
    """Read scores as they stand in a file; `complete_scores` fills in what follows from them.

    Parameters
    ----------
    path : Path
        `results.json` of `w2sprobe run`, a folder that holds one, or a `.csv` or `.parquet` file
        with the columns task, method, and optionally seed, auc, weak_auc, ceiling_auc, pgr and
        gap_se; other columns are not read. An empty cell is a number that is not known.

    Returns
    -------
    list of Score

    Raises
    ------
    InputError
        No such file, another kind, a column or a cell that cannot be used: names file, row and
        column.
    """
    if path.is_dir():
        path = path / RESULTS
    if path.suffix == ".json":
        return _of_results(Results.read(path), str(path))
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(
            f"scores {str(path)!r} are of unknown kind",
            allowed=f"a folder with {RESULTS}, a .json of w2sprobe run, .csv, .parquet, or the "
            "name published",
        )
    rows = _csv_rows if path.suffix == ".csv" else _parquet_rows
    try:
        return [_score(row, where) for row, where in rows(path)]
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise InputError(f"cannot read scores: {error}", where=str(path)) from error


def complete_scores(scores: Iterable[Score]) -> list[Score]:
    """Fill in what follows from other numbers, and refuse what contradicts them.

    Parameters
    ----------
    scores : iterable of Score
        Rows of the methods weak and ceiling give the ends of their task and seed, those without
        a seed the ends of every seed that has none of its own.

    Returns
    -------
    list of Score
        Without the rows of weak and ceiling. PGR from the AUCs, an AUC from PGR and ends.

    Raises
    ------
    InputError
        A task, method and seed occurs twice; a row has neither AUC nor PGR; two rows disagree on
        the ends of a task and seed, or AUC and PGR of a row on each other.
    """
    given = list(scores)
    seen: dict[tuple[str, str, str], Score] = {}
    for score in given:
        key = (score.task, score.method, score.seed)
        if key in seen:
            raise InputError(
                f"task {score.task!r}, method {score.method!r}, seed {score.seed!r} occurs twice",
                where=f"{seen[key].where} and {score.where}",
                allowed="one row a task, method and seed",
                advice="Repeated runs need different seeds; compare one pair of models at a time.",
            )
        seen[key] = score
    shared = _shared_numbers(given)
    return [_complete(score, shared) for score in given if score.method not in END_ROWS]


def _shared_numbers(scores: list[Score]) -> dict[tuple[str, str, str], Score]:
    """Of every task, seed and name in `SHARED`, the first row that gives that number."""
    found: dict[tuple[str, str, str], Score] = {}
    for score in scores:
        if score.method in END_ROWS:
            end: dict[str, Any] = {END_ROWS[score.method]: score.auc}
            score = replace(score, **end)
        for name in SHARED:
            value = getattr(score, name)
            if math.isnan(value):
                continue
            first = found.setdefault((score.task, score.seed, name), score)
            if getattr(first, name) != value:
                raise InputError(
                    f"{name} is {getattr(first, name):g} and {value:g}",
                    where=f"{first.where} and {score.where}",
                    allowed=f"one {name} a task and seed",
                )
    return found


def _complete(score: Score, shared: dict[tuple[str, str, str], Score]) -> Score:
    if math.isnan(score.auc) and math.isnan(score.pgr):
        raise InputError("neither auc nor pgr", where=score.where, allowed="at least one of them")
    for name in SHARED:
        source = shared.get((score.task, score.seed, name)) or shared.get((score.task, "", name))
        if source:
            score = replace(score, **{name: getattr(source, name)})
    gap = score.ceiling_auc - score.weak_auc
    if math.isnan(gap):
        return score
    implied = score.weak_auc + score.pgr * gap  # nan without a PGR
    if math.isnan(score.auc):
        return replace(score, auc=implied)
    if abs(implied - score.auc) > CONTRADICTION:
        raise InputError(
            f"pgr {score.pgr:g} means an auc of {implied:.3f}, but auc is {score.auc:g}",
            where=score.where,
            allowed="pgr = (auc - weak_auc) / (ceiling_auc - weak_auc)",
        )
    return replace(score, pgr=pgr(score.weak_auc, score.auc, score.ceiling_auc))


def _of_results(results: Results, where: str) -> list[Score]:
    parts = (results.config.get(part, {}) for part in ("task", "weak", "strong"))
    seeds = [str(part["seed"]) for part in parts if "seed" in part]
    (ceiling,) = (row for row in results.rows if row.method == "ceiling")
    # the ceiling's gain over the weak model is the gap; its interval spans +-1.96 standard errors
    low, high = ceiling.delta_auc_interval
    gap_se = (high - low) / (2 * float(stats.norm.ppf((1 + CONFIDENCE) / 2)))
    return [
        Score(
            results.task,
            row.method,
            seed="/".join(seeds if len({*seeds}) > 1 else seeds[:1]),
            auc=row.auc,
            gap_se=gap_se,
            where=f"{where}, method {row.method}",
        )
        for row in results.rows
    ]


def _csv_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        _check_columns(reader.fieldnames or [], path)
        for number, row in enumerate(reader, start=1):
            where = f"{path}, data row {number} (line {reader.line_num})"
            if None in row or None in row.values():
                raise InputError("number of cells differs from the header's", where=where)
            yield row, where


def _parquet_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    names = pq.read_schema(path).names
    _check_columns(names, path)
    wanted = [field.name for field in fields(Score) if field.name in names]
    for number, row in enumerate(pq.read_table(path, columns=wanted).to_pylist(), start=1):
        yield row, f"{path}, data row {number} (counted from 1)"


def _check_columns(names: Iterable[str], path: Path) -> None:
    names = list(names)
    missing = [name for name in REQUIRED if name not in names]
    if not {"auc", "pgr"} & {*names}:
        missing.append("auc or pgr")
    if missing:
        raise InputError(
            f"no column {', no column '.join(missing)}",
            where=str(path),
            allowed=f"{', '.join(REQUIRED)}, and seed, {', '.join(NUMBERS)}",
            advice=f"Columns there: {', '.join(names) or 'none'}.",
        )


def _score(row: dict[str, Any], where: str) -> Score:
    values: dict[str, Any] = {name: _text(row.get(name)) for name in (*REQUIRED, "seed")}
    for name in REQUIRED:
        if not values[name]:
            raise InputError("empty cell", where=f"{where}, column {name}", allowed="a name")
    for name in NUMBERS:
        values[name] = _number(row.get(name), name, f"{where}, column {name}")
    return Score(**values, where=where)


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _number(cell: Any, name: str, where: str) -> float:
    allowed = {"pgr": "a number", "gap_se": "0 or more"}.get(name, "0 to 1")
    text = _text(cell)
    try:
        value = float(text) if text else UNKNOWN
    except ValueError:
        raise InputError(f"{name} is {text!r}", where=where, allowed=allowed) from None
    low, high = {"pgr": (-math.inf, math.inf), "gap_se": (0.0, math.inf)}.get(name, (0.0, 1.0))
    if math.isinf(value) or value < low or value > high:
        raise InputError(f"{name} is {value:g}", where=where, allowed=allowed)
    return value
