"""Scores, one per task, pair of models, method and seed: read from results, CSV or Parquet."""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.comparison._base import UNKNOWN
from w2sprobe.comparison._tables import csv_rows, names_of, text
from w2sprobe.comparison.family import Role, role_of
from w2sprobe.errors import InputError
from w2sprobe.metrics import pgr
from w2sprobe.results import RESULTS, Results

SCORES = "scores.csv"  # of a study: all of its results in one table
REQUIRED = ("task", "method")
OPTIONAL = (
    *("seed", "weak_model", "strong_model"),
    *("split_seed", "weak_seed", "strong_seed", "role", "own_ceiling"),
)
SHARED = ("weak_auc", "ceiling_auc", "gap_se")  # the same for all methods of a run
NUMBERS = ("auc", "pgr", *SHARED, "delta_auc_se", "accuracy", "own_ceiling_auc")
ROLES = ("", *get_args(Role))
RANGES = {"pgr": (-math.inf, math.inf), "gap_se": (0.0, math.inf), "delta_auc_se": (0.0, math.inf)}
END_ROWS = {"weak": "weak_auc", "ceiling": "ceiling_auc"}  # methods that PGR is measured between
CONTRADICTION = 0.005  # in AUC: more than rounding of published numbers explains
NO_PAIR = "unnamed"  # name of the pair where scores name no models

Pair = tuple[str, str]  # names of the weak and the strong model; empty where not known
RunId = tuple[str, Pair, str]  # task, pair and seed: what the methods of one run share


@dataclass(frozen=True)
class Score:
    """One method on one task with one seed; nan where a number is not known.

    Parameters
    ----------
    seed : str
        Empty where there is one run.
    weak_model, strong_model : str
        The pair of models; empty where not known.
    auc : float
        Test AUC of the method, in [0, 1].
    weak_auc, ceiling_auc : float
        Of the weak model and of the ceiling, on the same rows.
    pgr : float
        (auc - weak_auc) / (ceiling_auc - weak_auc).
    gap_se, delta_auc_se : float
        Standard errors of ceiling_auc - weak_auc and auc - weak_auc over test rows; with several
        runs of a task, only the part due to test rows that all runs share.
    split_seed, weak_seed, strong_seed : str
        Seeds of the cut of the rows and of the two models; empty where not known.
    accuracy : float
        Test accuracy of the method at threshold 0.5.
    role : {"competitor", "control", ""}
        Whether the method competes with the baseline; empty: `is_competitor` decides by its name.
    own_ceiling : str
        Method that is the same learner fitted on the truth, where that is not the ceiling.
    own_ceiling_auc : float
        Its AUC in the same run.
    where : str
        File and row, for messages.
    """

    task: str
    method: str
    seed: str = ""
    weak_model: str = ""
    strong_model: str = ""
    auc: float = UNKNOWN
    weak_auc: float = UNKNOWN
    ceiling_auc: float = UNKNOWN
    pgr: float = UNKNOWN
    gap_se: float = UNKNOWN
    delta_auc_se: float = UNKNOWN
    split_seed: str = ""
    weak_seed: str = ""
    strong_seed: str = ""
    accuracy: float = UNKNOWN
    role: Role | Literal[""] = ""
    own_ceiling: str = ""
    own_ceiling_auc: float = UNKNOWN
    where: str = "scores"

    @property
    def pair(self) -> Pair:
        """The weak and the strong model."""
        return self.weak_model, self.strong_model

    @property
    def run(self) -> RunId:
        """Task, pair and seed."""
        return self.task, self.pair, self.seed


def by_pair(scores: Iterable[Score]) -> dict[Pair, list[Score]]:
    """Split scores by their pair of models, in order of first appearance."""
    pairs: dict[Pair, list[Score]] = {}
    for score in scores:
        pairs.setdefault(score.pair, []).append(score)
    return pairs


def pair_name(pair: Pair) -> str:
    """Spell a pair of models as `--pair` takes it.

    Examples
    --------
    >>> pair_name(("minilm-l6", "Qwen/Qwen3-0.6B"))
    'minilm-l6:Qwen/Qwen3-0.6B'
    """
    return ":".join(pair) if any(pair) else NO_PAIR


def read_scores(path: Path) -> list[Score]:
    """Read scores as they stand in a file; `complete_scores` fills in what follows from them.

    Parameters
    ----------
    path : Path
        `results.json` of `w2sprobe run`, a folder that holds `scores.csv` or else `results.json`,
        or a `.csv` or `.parquet` file with the columns task and method, at least one of auc and
        pgr, and any other fields of `Score`; further columns are ignored. An empty cell is a number
        or a name that is not known.

    Raises
    ------
    InputError
        No such file, another kind, a column or a cell that cannot be used: names file, row and
        column.
    """
    if path.is_dir():
        path = path / (SCORES if (path / SCORES).exists() else RESULTS)
    if path.suffix == ".json":
        return _of_results(Results.read(path), str(path))
    if path.suffix not in (".csv", ".parquet"):
        raise InputError(
            f"scores {str(path)!r} are of unknown kind",
            allowed=f"a folder with {SCORES} or {RESULTS}, a .json of w2sprobe run, .csv, "
            ".parquet, or the name published",
        )
    rows = csv_rows(path, _check_columns) if path.suffix == ".csv" else _parquet_rows(path)
    try:
        return [_score(row, where) for row, where in rows]
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        raise InputError(f"cannot read scores: {error}", where=str(path)) from error


def complete_scores(scores: Iterable[Score]) -> list[Score]:
    """Fill in what follows from other numbers, and refuse what contradicts them.

    Parameters
    ----------
    scores : iterable of Score
        Rows of the methods weak and ceiling give weak_auc and ceiling_auc of their task, pair and
        seed; those without a seed give them to every seed without such rows.

    Returns
    -------
    list of Score
        Without the rows of weak and ceiling. PGR from the AUCs, an AUC from PGR and ends, the AUC
        of an own ceiling from that method's row.

    Raises
    ------
    InputError
        A task, pair, method and seed occurs twice; a row has neither AUC nor PGR; two rows disagree
        on the ends of a task, pair and seed, or AUC and PGR of a row on each other.
    """
    given = list(scores)
    seen: dict[tuple[RunId, str], Score] = {}
    for score in given:
        key = (score.run, score.method)
        if key in seen:
            raise InputError(
                f"task {score.task!r}, method {score.method!r}, seed {score.seed!r} of the pair "
                f"{pair_name(score.pair)!r} occurs twice",
                where=f"{seen[key].where} and {score.where}",
                allowed="one row per task, pair of models, method and seed",
                advice="Repeated runs need different seeds, other models the columns weak_model "
                "and strong_model.",
            )
        seen[key] = score
    shared = _shared_numbers(given)
    return [
        _with_own_ceiling(_complete(score, shared), seen)
        for score in given
        if score.method not in END_ROWS
    ]


def _shared_numbers(scores: list[Score]) -> dict[tuple[RunId, str], Score]:
    """First row that gives each number in `SHARED`, by run and name."""
    firsts: dict[tuple[RunId, str], Score] = {}
    for score in scores:
        if score.method in END_ROWS:
            end: dict[str, Any] = {END_ROWS[score.method]: score.auc}
            score = replace(score, **end)
        for name in SHARED:
            value = getattr(score, name)
            if math.isnan(value):
                continue
            first = firsts.setdefault((score.run, name), score)
            if getattr(first, name) != value:
                raise InputError(
                    f"{name} is {getattr(first, name):g} and {value:g}",
                    where=f"{first.where} and {score.where}",
                    allowed=f"one {name} per task, pair of models and seed",
                )
    return firsts


def _complete(score: Score, shared: dict[tuple[RunId, str], Score]) -> Score:
    if math.isnan(score.auc) and math.isnan(score.pgr):
        raise InputError("neither auc nor pgr", where=score.where, allowed="at least one of them")
    for name in SHARED:
        seedless = (score.task, score.pair, "")
        source = shared.get((score.run, name)) or shared.get((seedless, name))
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


def _with_own_ceiling(score: Score, given: dict[tuple[RunId, str], Score]) -> Score:
    source = given.get((score.run, score.own_ceiling))
    if source is None or not math.isnan(score.own_ceiling_auc):
        return score
    return replace(score, own_ceiling_auc=source.auc)


def _of_results(results: Results, where: str) -> list[Score]:
    split, weak, strong = ("" if seed is None else str(seed) for seed in results.seeds)
    known = [seed for seed in (split, weak, strong) if seed]
    return [
        Score(
            results.task,
            row.method,
            seed=results.seed or "/".join(known if len({*known}) > 1 else known[:1]),
            weak_model=results.weak_model,
            strong_model=results.strong_model,
            auc=row.auc,
            gap_se=results.gap_se,
            delta_auc_se=UNKNOWN if row.delta_auc_se is None else row.delta_auc_se,
            split_seed=split,
            weak_seed=weak,
            strong_seed=strong,
            role=role_of(row.method, results.config.get("define", {})),
            own_ceiling=row.own_ceiling,
            where=f"{where}, method {row.method}",
        )
        for row in results.rows
    ]


def _parquet_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    names = pq.read_schema(path).names
    _check_columns(names, path)
    wanted = [field.name for field in fields(Score) if field.name in names]
    for number, row in enumerate(pq.read_table(path, columns=wanted).to_pylist(), start=1):
        yield row, f"{path}, data row {number} (counted from 1)"


def _check_columns(names: Sequence[str], path: Path) -> None:
    missing = [name for name in REQUIRED if name not in names]
    if not {"auc", "pgr"} & {*names}:
        missing.append("auc or pgr")
    if missing:
        raise InputError(
            f"no column {', no column '.join(missing)}",
            where=str(path),
            allowed=f"{', '.join(REQUIRED)}, and {', '.join((*OPTIONAL, *NUMBERS))}",
            advice=f"Columns there: {', '.join(names) or 'none'}.",
        )


def _score(row: dict[str, Any], where: str) -> Score:
    values: dict[str, Any] = {**names_of(row, REQUIRED, OPTIONAL, where)}
    if values["role"] not in ROLES:
        raise InputError(
            f"role is {values['role']!r}",
            where=f"{where}, column role",
            allowed="competitor, control, or an empty cell",
        )
    for name in NUMBERS:
        values[name] = _number(row.get(name), name, f"{where}, column {name}")
    return Score(**values, where=where)


def _number(cell: Any, name: str, where: str) -> float:
    low, high = RANGES.get(name, (0.0, 1.0))
    allowed = {(0.0, 1.0): "0 to 1", (0.0, math.inf): "0 or more"}.get((low, high), "a number")
    cell_text = text(cell)
    try:
        value = float(cell_text) if cell_text else UNKNOWN
    except ValueError:
        raise InputError(f"{name} is {cell_text!r}", where=where, allowed=allowed) from None
    if math.isinf(value) or value < low or value > high:
        raise InputError(f"{name} is {value:g}", where=where, allowed=allowed)
    return value
