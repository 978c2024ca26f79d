"""Run all checks on one task's splits."""

from dataclasses import replace

import numpy as np

from w2sprobe.audit.baselines import AUC_THRESHOLD, score_baselines
from w2sprobe.audit.duplicates import find_duplicates
from w2sprobe.audit.findings import (
    find_baselines,
    find_constant_suffix,
    find_duplicate_rows,
    find_erased,
    find_imbalance,
    find_overflows,
    in_order,
)
from w2sprobe.audit.result import Audit, ErasedCue
from w2sprobe.audit.texts import (
    ModelLengths,
    count_labels,
    count_overflows,
    find_suffix,
    measure_lengths,
)
from w2sprobe.data.rows import Rows
from w2sprobe.data.splits import Splits


def audit_splits(
    splits: Splits,
    *,
    token_counts: dict[str, ModelLengths] | None = None,
    erased: tuple[ErasedCue, ...] = (),
) -> Audit:
    """Audit a task's splits.

    Parameters
    ----------
    splits : Splits
        The order of rows within a split does not matter.
    token_counts : dict of str to ModelLengths, optional
        Tokens of the rows, in the order of `splits`, by model name. None: contexts are not checked.
    erased : tuple of ErasedCue
        From `erase_cues`; to be reported with the other checks.

    Returns
    -------
    Audit
        Deterministic.

    Raises
    ------
    InputError
        The numbers of rows and of token counts of a split differ.
    UnknownName
        Token counts for an unknown split.
    """
    overflows = count_overflows(splits, token_counts or {})
    # Forests, solvers and sketches depend on the order of rows in their last digits.
    ordered = replace(
        splits,
        weak_train=_by_id(splits.weak_train),
        strong_train=_by_id(splits.strong_train),
        val=_by_id(splits.val),
        test=_by_id(splits.test),
    )
    baselines = score_baselines(ordered.weak_train, ordered.test)
    duplicates = find_duplicates(ordered)
    balance = count_labels(ordered)
    suffix = find_suffix(ordered)
    return Audit(
        task=splits.test.name,
        auc_threshold=AUC_THRESHOLD,
        baselines=baselines,
        duplicates=duplicates,
        lengths=measure_lengths(ordered),
        overflows=overflows,
        balance=balance,
        suffix=suffix,
        findings=in_order(
            [
                *find_baselines(baselines),
                *find_duplicate_rows(duplicates, len(splits.strong_train), len(splits.test)),
                *find_overflows(overflows),
                *find_constant_suffix(suffix),
                *find_imbalance(balance),
                *find_erased(erased),
            ]
        ),
        erased=erased,
    )


def _by_id(rows: Rows) -> Rows:
    return rows.select(np.argsort(rows.ids))
