"""How far stored states are from those of transformers, and the usual cause where one fits."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from w2sprobe.errors import InputError
from w2sprobe.extraction.reference import MISREAD, PERMUTED, Cause, Reference
from w2sprobe.extraction.selftest import TOLERANCE
from w2sprobe.models import DTYPES
from w2sprobe.progress import progress_bar

AUDIT_ROWS = 16
SEARCHED_ROWS = 256  # rows in memory while the rows that states belong to are searched
CLEARLY = 0.5  # a cause fits where its error is below this share of the error without it
ROUNDING = 0.05  # share of the tolerance below which nothing is explained

COARSER = "Were they computed in bfloat16? --dtype bfloat16 compares in that type."
SMALLEST = float(np.finfo(np.float32).tiny)
WORST = float(np.finfo(np.float32).max)  # finite, as JSON has no infinity
MAX_LINES = 3  # layers that a message describes


@dataclass(frozen=True)
class Stored:
    """States that are compared with a model's.

    Parameters
    ----------
    ids : sequence of str, length n
    input_ids : sequence of ndarray of int, length n
        Tokens of each row.
    kept : sequence of ndarray of int64, length n
        Numbers of the tokens whose states are stored.
    read : callable
        Maps row numbers and a layer to their vectors one after the other, float32, (vectors,
        width).
    dtype : {"float32", "float16", "bfloat16"}
        Type in which they are stored.
    average : bool
        A row's vector is the mean over its kept tokens.
    """

    ids: Sequence[str]
    input_ids: Sequence[np.ndarray]
    kept: Sequence[np.ndarray]
    read: Callable[[Sequence[int], int], np.ndarray]
    dtype: str
    average: bool

    def vectors(self, rows: Sequence[int], layer: int) -> list[np.ndarray]:
        """Vectors of each row."""
        lengths = [1 if self.average else len(self.kept[row]) for row in rows]
        return np.split(self.read(rows, layer), np.cumsum(lengths)[:-1])


@dataclass(frozen=True)
class LayerDrift:
    """Drift of one layer.

    Parameters
    ----------
    layer : int
    relative_error : float
        Largest norm of a vector's difference, relative to the norm of transformers' vector.
    cosine : float
        Smallest cosine of a vector and transformers'.
    cause : str
        What the states are instead, where a usual cause fits; else empty.
    advice : str
    """

    layer: int
    relative_error: float
    cosine: float
    cause: str = ""
    advice: str = ""


@dataclass(frozen=True)
class Drift:
    """Drift of stored states from those of transformers.

    Parameters
    ----------
    model : str
    n_rows : int
        Rows that were computed again.
    computed_in : str
        Type in which transformers computed.
    tolerance : float
        Largest relative error of states that count as the model's.
    layers : tuple of LayerDrift
    """

    model: str
    n_rows: int
    computed_in: str
    tolerance: float
    layers: tuple[LayerDrift, ...]

    @property
    def worst(self) -> LayerDrift:
        """The layer with the largest error."""
        return max(self.layers, key=lambda layer: layer.relative_error)

    @property
    def problems(self) -> tuple[LayerDrift, ...]:
        """Layers beyond the tolerance, and those that another reading explains clearly better."""
        return tuple(
            layer for layer in self.layers if layer.relative_error > self.tolerance or layer.cause
        )

    def line(self) -> str:
        """How far the states are from transformers', in one line."""
        rows = "row" if self.n_rows == 1 else "rows"
        return (
            f"{self.n_rows} {rows} computed again with transformers ({self.model}, "
            f"{self.computed_in}): largest relative error {self.worst.relative_error:.2g} "
            f"(layer {self.worst.layer}, tolerance {self.tolerance:.2g}), smallest cosine "
            f"{min(layer.cosine for layer in self.layers):.4f}"
        )

    def problem_lines(self) -> list[str]:
        """One line for each layer that is not the model's."""
        return [
            f"layer {layer.layer}: relative error {layer.relative_error:.2g}, cosine "
            f"{layer.cosine:.4f}"
            + (f"; it {layer.cause}" if layer.cause else "; no usual cause fits")
            for layer in self.problems
        ]

    def refuse(self, where: str, advice: str) -> None:
        """Raise InputError where the states are not the model's."""
        if self.problems:
            lines = self.problem_lines()
            more = len(lines) - MAX_LINES
            lines = lines[:MAX_LINES] + [f"and {more} more layers"] * (more > 0)
            fixes = dict.fromkeys(layer.advice for layer in self.problems if layer.advice)
            raise InputError(
                f"the states in {where!r} are not those of {self.model!r} in transformers: "
                f"{'; '.join(lines)}",
                allowed=f"relative errors up to {self.tolerance}",
                advice=" ".join([*fixes, advice]),
            )

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {"line": self.line(), **asdict(self)}


def measure_drift(
    network: PreTrainedModel,
    stored: Stored,
    layers: Sequence[int],
    *,
    model: str,
    n_rows: int = AUDIT_ROWS,
) -> Drift:
    """Compute a sample of rows again, one by one, and compare them with what is stored.

    Parameters
    ----------
    network : PreTrainedModel
        Base model in evaluation mode.
    layers : sequence of int
        Layers of `stored` to compare.
    model : str
        Name of the model, for messages.
    n_rows : int
        Rows of the sample: the first, the last and rows between them.
    """
    computed_in = str(network.dtype).removeprefix("torch.")
    tolerance = max(TOLERANCE[computed_in], TOLERANCE[stored.dtype])
    sample = np.unique(np.linspace(0, len(stored.ids) - 1, n_rows).round().astype(int)).tolist()
    comparisons = {layer: _Comparison(layer, stored.dtype) for layer in layers}
    found = {layer: stored.vectors(sample, layer) for layer in layers}
    with progress_bar(f"comparing with {model}", len(sample)) as advance:
        for place, row in enumerate(sample):
            reference = Reference(
                network, stored.input_ids[row], stored.kept[row], average=stored.average
            )
            for layer in layers:
                comparisons[layer].add(row, found[layer][place], reference)
            advance(1)
    drifts = [comparisons[layer].drift(tolerance, stored) for layer in layers]
    return Drift(model, len(sample), computed_in, tolerance, tuple(drifts))


class _Comparison:
    """Stored rows of one layer beside transformers', and beside what wrong readings would give."""

    def __init__(self, layer: int, dtype: str) -> None:
        self._layer, self._dtype = layer, dtype
        self._rows: list[int] = []
        self._right: list[np.ndarray] = []  # last vector of each row
        self._errors: list[float] = []
        self._cosines: list[float] = []
        self._others: dict[Cause, list[float]] = {}

    def add(self, row: int, found: np.ndarray, reference: Reference) -> None:
        """Compare a row's vectors."""
        right = reference.states(self._layer)
        self._rows.append(row)
        self._right.append(right[-1])
        self._errors.append(_relative_error(found, right))
        self._cosines.append(_cosine(found, right))
        others = {
            cause: _relative_error(found[part], vectors)
            for cause, vectors, part in reference.readings(self._layer)
        }
        if self._dtype in MISREAD:
            other, cause = MISREAD[self._dtype]
            others[cause] = _relative_error(_misread(found, self._dtype, other), right)
        for cause, error in others.items():
            # inf: an earlier row has too few tokens for this reading
            self._others.setdefault(cause, [np.inf] * (len(self._rows) - 1)).append(error)
        for errors in self._others.values():
            errors += [np.inf] * (len(self._rows) - len(errors))

    def drift(self, tolerance: float, stored: Stored) -> LayerDrift:
        """Errors over all rows, and the cause that fits those beyond the tolerance."""
        errors = np.array(self._errors)
        suspects = np.flatnonzero(errors > tolerance)
        # without any: do all rows fit another reading better?
        rows = suspects if suspects.size else np.arange(len(errors))
        usual = float(np.median(errors[rows]))
        cause, best = self._best(rows)
        if suspects.size and not _fits(best, usual, tolerance):
            cause, best = PERMUTED, self._error_elsewhere(suspects, stored)
        worst = float(errors.max())
        if not _fits(best, usual, tolerance):
            advice = COARSER if tolerance < worst <= TOLERANCE["bfloat16"] else ""
            return LayerDrift(self._layer, worst, min(self._cosines), "", advice)
        return LayerDrift(self._layer, worst, min(self._cosines), cause.what, cause.advice)

    def _best(self, rows: np.ndarray) -> tuple[Cause, float]:
        medians = {cause: np.median(np.array(e)[rows]) for cause, e in self._others.items()}
        if not medians:  # transformers' own values are not finite
            return PERMUTED, WORST
        cause = min(medians, key=lambda cause: medians[cause])
        return cause, float(medians[cause])

    def _error_elsewhere(self, suspects: np.ndarray, stored: Stored) -> float:
        """Median error of the nearest row that is stored under another id."""
        best = np.full(len(suspects), np.inf)
        for start in range(0, len(stored.ids), SEARCHED_ROWS):
            rows = range(start, min(start + SEARCHED_ROWS, len(stored.ids)))
            for row, vectors in zip(rows, stored.vectors(rows, self._layer), strict=True):
                for place, suspect in enumerate(suspects):
                    if row != self._rows[suspect]:
                        error = _relative_error(vectors[-1:], self._right[suspect][None])
                        best[place] = min(best[place], error)
        return float(np.median(best))


def _fits(error: float, usual: float, tolerance: float) -> bool:
    return error <= tolerance and error < CLEARLY * usual and usual > ROUNDING * tolerance


def _misread(found: np.ndarray, dtype: str, other: str) -> np.ndarray:
    """The same bytes, read as another type of two bytes."""
    return torch.from_numpy(found).to(DTYPES[dtype]).view(DTYPES[other]).float().numpy()


def _relative_error(found: np.ndarray, right: np.ndarray) -> float:
    """Largest over vectors; `WORST` where a value is not finite."""
    if not (np.isfinite(found).all() and np.isfinite(right).all()):
        return WORST
    norms = np.linalg.norm(right.astype(np.float64), axis=1)
    difference = np.linalg.norm(found.astype(np.float64) - right, axis=1)
    return float((difference / np.maximum(norms, SMALLEST)).max())


def _cosine(found: np.ndarray, right: np.ndarray) -> float:
    """Smallest over vectors; 0 where a value is not finite."""
    if not (np.isfinite(found).all() and np.isfinite(right).all()):
        return 0.0
    a, b = found.astype(np.float64), right.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.maximum(norms, SMALLEST)).min())
