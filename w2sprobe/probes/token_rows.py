"""Rows of several tokens: one vector per token, and where each row begins."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from w2sprobe.checks import check_activations
from w2sprobe.errors import InputError

BLOCK_TOKENS = 8192  # tokens that are read at a time: 19 MB in float32 where the width is 576


@dataclass(frozen=True)
class TokenRows:
    """Vectors of all tokens, one row after the other, as a ragged store reads them.

    Parameters
    ----------
    values : ndarray of float32, shape (t, d)
    offsets : ndarray of int64, shape (n + 1,)
        Row r has the vectors offsets[r] to offsets[r + 1], at least one.
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def checked(
        cls, values: ArrayLike, offsets: ArrayLike, width: int | None = None
    ) -> "TokenRows":
        """Check shapes and values.

        Raises
        ------
        InputError
            Not a finite matrix of this width; offsets that do not divide its rows, or that give a
            row no token.
        """
        matrix = check_activations(values, "values", width)
        ends = np.asarray(offsets)
        if ends.ndim != 1 or ends.dtype.kind not in "iu" or len(ends) < 2:
            raise InputError(
                f"offsets of shape {ends.shape} and type {ends.dtype}",
                allowed="integers of shape (rows + 1,), as `ActivationStore.offsets`",
            )
        ends = ends.astype(np.int64)
        if ends[0] != 0 or ends[-1] != len(matrix):
            raise InputError(
                f"offsets from {ends[0]} to {ends[-1]}", allowed=f"0 to {len(matrix)}, all vectors"
            )
        empty = np.flatnonzero(np.diff(ends) < 1)
        if empty.size:
            raise InputError(
                f"row {empty[0]} has {ends[empty[0] + 1] - ends[empty[0]]} tokens "
                f"(and {empty.size - 1} more rows)",
                allowed="at least one token",
            )
        return cls(matrix, ends)

    @classmethod
    def join(cls, parts: "Sequence[TokenRows]") -> "TokenRows":
        """Rows of all parts, in their order."""
        lengths = np.concatenate([part.lengths for part in parts])
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return cls(np.concatenate([part.values for part in parts]), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64, shape (n,)."""
        return np.diff(self.offsets)

    def span(self, start: int, stop: int) -> "TokenRows":
        """Rows start to stop, without a copy of their vectors."""
        offsets = self.offsets[start : stop + 1]
        return TokenRows(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    def select(self, rows: np.ndarray) -> "TokenRows":
        """Copy some rows."""
        parts = [self.values[self.offsets[row] : self.offsets[row + 1]] for row in rows.tolist()]
        offsets = np.concatenate([[0], np.cumsum(self.lengths[rows])])
        return TokenRows(np.concatenate(parts), offsets)

    def blocks(self, n_tokens: int = BLOCK_TOKENS) -> Iterator[tuple[slice, "TokenRows"]]:
        """Divide the rows into blocks of about so many tokens, at least one row each."""
        start = 0
        while start < len(self):
            end = int(np.searchsorted(self.offsets, self.offsets[start] + n_tokens, "right")) - 1
            stop = max(start + 1, end)
            yield slice(start, stop), self.span(start, stop)
            start = stop

    def means(self) -> np.ndarray:
        """Mean over the tokens of each row, float32, shape (n, d)."""
        means = np.empty((len(self), self.values.shape[1]), dtype=np.float32)
        for rows, block in self.blocks():
            sums = np.add.reduceat(block.values, block.offsets[:-1], axis=0, dtype=np.float64)
            means[rows] = sums / block.lengths[:, None]
        return means

    def last(self) -> np.ndarray:
        """Last token of each row, float32, shape (n, d)."""
        last: np.ndarray = self.values[self.offsets[1:] - 1]
        return last

    def sums(self, weights: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Sums over all tokens of x - centre and of its square, weighted by row.

        Parameters
        ----------
        weights : ndarray of float32, shape (k, n)
        centre : ndarray of float32, shape (d,)

        Returns
        -------
        tuple of ndarray of float64, shape (k, d) each
        """
        shape = (len(weights), self.values.shape[1])
        sums, squares = np.zeros(shape), np.zeros(shape)
        for rows, block in self.blocks():
            of_tokens = np.repeat(weights[:, rows], block.lengths, axis=1)
            shifted = block.values - centre
            # float32 over the few thousand tokens of a block, float64 over blocks
            sums += of_tokens @ shifted
            squares += of_tokens @ np.square(shifted, out=shifted)
        return sums, squares
