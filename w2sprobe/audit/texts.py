"""Counts of an audit: lengths, rows beyond a context, label balance, common endings."""

from dataclasses import dataclass

import numpy as np

from w2sprobe.audit.result import Balance, Overflow, Suffix, TextLengths
from w2sprobe.data.splits import Splits
from w2sprobe.errors import InputError

SUFFIX_SHARE = 0.95  # of all rows must have an ending for it to be reported


@dataclass(frozen=True)
class ModelLengths:
    """Number of tokens of each row, by one model's tokenizer.

    Parameters
    ----------
    context : int or None
        Tokens that the model can read, special tokens included. None: no limit.
    tokens : dict of str to ndarray of int, shape (rows of the split,)
        Tokens of each row by split, special tokens included. Splits that the model does not read
        may be left out.
    """

    context: int | None
    tokens: dict[str, np.ndarray]

    def summary(self) -> dict[str, int | None]:
        """Median, 95 % quantile and maximum of tokens per row, and rows beyond the context."""
        tokens, context = np.concatenate(list(self.tokens.values())), self.context
        return {
            "median": int(np.median(tokens)),
            "95 %": int(np.quantile(tokens, 0.95)),
            "longest": int(tokens.max()),
            "context": context,
            "rows over it": None if context is None else int((tokens > context).sum()),
        }


def measure_lengths(splits: Splits) -> tuple[TextLengths, ...]:
    """Characters and words of each split's texts."""
    return tuple(
        TextLengths(
            split=name,
            characters=_spread([len(text) for text in rows.plain_texts]),
            words=_spread([len(text.split()) for text in rows.plain_texts]),
        )
        for name, rows in splits.items()
    )


def count_overflows(splits: Splits, models: dict[str, ModelLengths]) -> tuple[Overflow, ...]:
    """Count the rows of each split that are longer than each model's context.

    Raises
    ------
    InputError
        The numbers of rows and of token counts of a split differ.
    UnknownName
        Unknown split.
    """
    overflows = []
    for model, lengths in models.items():
        if lengths.context is None:
            continue
        over, longest = {}, 0
        for name, tokens in lengths.tokens.items():
            if len(tokens) != len(splits[name]):
                raise InputError(
                    f"{len(tokens)} token counts for {len(splits[name])} rows",
                    where=f"{name} of {model}",
                    allowed="one count per row",
                )
            over[name] = int(np.count_nonzero(np.asarray(tokens) > lengths.context))
            longest = max(longest, int(np.max(tokens)))
        overflows.append(Overflow(model=model, context=lengths.context, longest=longest, rows=over))
    return tuple(overflows)


def count_labels(splits: Splits) -> tuple[Balance, ...]:
    """Count the rows of each label in each split."""
    return tuple(
        Balance(split=name, rows_0=int((rows.labels == 0).sum()), rows_1=int(rows.labels.sum()))
        for name, rows in splits.items()
    )


def find_suffix(splits: Splits) -> Suffix | None:
    """Find the longest ending that `SUFFIX_SHARE` of all rows have; None if it is blank."""
    backwards = sorted(text[::-1] for _, rows in splits.items() for text in rows.plain_texts)
    least = int(np.ceil(SUFFIX_SHARE * len(backwards)))
    # Rows with the same ending are neighbours after sorting, and what the first and the last of a
    # run of rows have in common, all rows between them have.
    common = max(
        (
            first[: shared_start(first, last)]
            for first, last in zip(backwards, backwards[least - 1 :], strict=False)
        ),
        key=len,
    )
    if not common.strip():
        return None
    having = sum(text.startswith(common) for text in backwards)
    return Suffix(text=common[::-1], share=having / len(backwards))


def shared_start(first: str, second: str) -> int:
    """Number of characters before the first difference of two texts."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))


def _spread(values: list[int]) -> tuple[int, int, int]:
    median, high = np.quantile(values, [0.5, 0.95])
    return round(median), round(high), max(values)
