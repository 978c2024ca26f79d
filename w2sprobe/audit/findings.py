"""Findings of an audit in words: what is wrong, where, what it means, what to do."""

from w2sprobe.audit.result import (
    Balance,
    Baseline,
    CrossDuplicates,
    Cue,
    Duplicates,
    ErasedCue,
    Overflow,
    Suffix,
)
from w2sprobe.results import Finding, Level

DUPLICATE_SHARE = 0.01  # of rows with a near-duplicate in another split; more is flagged
BALANCED = (0.4, 0.6)  # shares of label 1 that are not noted
LEVELS: tuple[Level, ...] = ("flag", "warning", "note")
BASELINE_WORDS = {
    "length": "length alone",
    "characters": "character n-grams",
    "words": "single words",
}
SHOWN_SUFFIX = 60
ERASED_LOSS = 0.03  # in AUC, beyond that of the shuffled cue
ERASED_WORDS = {
    "length": "the text's length",
    "options": "the number of options",
    "template": "its opening and ending",
    "all": "all cues of the format",
}


def find_baselines(baselines: tuple[Baseline, ...]) -> list[Finding]:
    """Report flagged baselines with their cues; note if there is no AUC."""
    if any(baseline.auc is None for baseline in baselines):
        message = (
            "No baseline has an AUC, as weak-train or test has one label only. "
            "Choose splits with both labels."
        )
        return [Finding(kind="baseline", level="note", message=message)]
    flagged = [
        f"{BASELINE_WORDS[baseline.name]}, test AUC {baseline.auc:.3f} ({_why(baseline)})"
        for baseline in baselines
        if baseline.flagged
    ]
    if not flagged:
        return []
    message = (
        f"The labels can be predicted without understanding the text, by {'; by '.join(flagged)}. "
        "If that comes from the format, fix the source; if it is content, the task is so easy "
        "that weak and strong models will hardly differ."
    )
    return [Finding(kind="baseline", level="flag", message=message)]


def find_duplicate_rows(duplicates: Duplicates, n_strong: int, n_test: int) -> list[Finding]:
    """Report near-duplicates; a flag if more than `DUPLICATE_SHARE` of the rows have one.

    Test rows that are also in training can be memorised. Strong-train rows that are also in
    weak-train have better weak labels than the weak model gives to new rows.
    """
    of_test = [cross for cross in duplicates.between if cross.reaches_test]
    of_strong = [
        cross for cross in duplicates.between if cross.splits == ("weak_train", "strong_train")
    ]
    elsewhere = [
        cross for cross in duplicates.between if cross not in (*of_test, *of_strong) and cross.pairs
    ]
    found = [
        _finding(
            of_test,
            f"{duplicates.test_rows:,} of {n_test:,} test rows",
            duplicates.test_rows / n_test,
            "weak-train or strong-train: memorising it helps if the labels agree and misleads "
            "if they differ",
        ),
        _finding(
            of_strong,
            f"{sum(cross.rows[1] for cross in of_strong):,} of {n_strong:,} strong-train rows",
            sum(cross.rows[1] for cross in of_strong) / n_strong,
            "weak-train, so the weak model labels them better, or worse, than it labels new rows",
        ),
    ]
    if elsewhere:
        message = (
            f"Pairs of near-duplicates between val and other splits: "
            f"{sum(cross.pairs for cross in elsewhere):,}. Val only selects the checkpoint."
        )
        found.append(Finding(kind="duplicates", level="note", message=message))
    return [finding for finding in found if finding]


def _finding(
    between: list[CrossDuplicates], which: str, share: float, meaning: str
) -> Finding | None:
    pairs = sum(cross.pairs for cross in between)
    if not pairs:
        return None
    conflicting = sum(cross.conflicting for cross in between)
    return Finding(
        kind="duplicates",
        level="flag" if share > DUPLICATE_SHARE else "warning",
        message=f"{which} ({100 * share:.2f} %) have a near-duplicate in {meaning}; labels differ "
        f"in {conflicting:,} of {pairs:,} pairs. Look at the examples; give rows that belong "
        "together the same group, so that they stay in one split.",
    )


def find_overflows(overflows: tuple[Overflow, ...]) -> list[Finding]:
    """Flag each model whose context is shorter than some rows."""
    return [
        Finding(
            kind="context",
            level="flag",
            message=f"Rows longer than the {overflow.context:,} tokens of {overflow.model}: "
            f"{_where(overflow.rows)}; the longest has {overflow.longest:,}. "
            "They are refused, or with --truncate cut at the end, where the question often is; "
            "shorten the texts or choose a model with a longer context.",
        )
        for overflow in overflows
        if any(overflow.rows.values())
    ]


def find_imbalance(balance: tuple[Balance, ...]) -> list[Finding]:
    """Note the splits whose share of label 1 is outside `BALANCED`."""
    shares = {part.split: part.rows_1 / (part.rows_0 + part.rows_1) for part in balance}
    uneven = [
        f"{name} {100 * share:.0f} %"
        for name, share in shares.items()
        if not BALANCED[0] <= share <= BALANCED[1]
    ]
    if not uneven:
        return []
    message = (
        f"Label 1 is far from half of the rows: {', '.join(uneven)}. AUC does not depend on this; "
        "accuracy, soft labels and losses do. Leave it if this prior is intended."
    )
    return [Finding(kind="balance", level="note", message=message)]


def find_erased(erased: tuple[ErasedCue, ...]) -> list[Finding]:
    """Warn about each cue without which a probe is worse by `ERASED_LOSS` in some layer."""
    found = []
    for name in dict.fromkeys(cue.cue for cue in erased):
        worst = min(
            (cue for cue in erased if cue.cue == name),
            key=lambda cue: cue.auc_after - cue.auc_control,
        )
        surely = worst.change_interval[1] < 0
        if not surely or worst.auc_control - worst.auc_after < ERASED_LOSS:
            continue
        message = (
            f"Without what layer {worst.layer} says about {ERASED_WORDS.get(name, name)}, the test "
            f"AUC of a probe falls from {worst.auc:.3f} to {worst.auc_after:.3f} (to "
            f"{worst.auc_control:.3f} if the cue is shuffled over rows): it reads the cue, or "
            "something that goes with it. Look whether the labels go with the cue, and compare "
            "the baselines."
        )
        found.append(Finding(kind="erased", level="warning", message=message))
    return found


def find_constant_suffix(suffix: Suffix | None) -> list[Finding]:
    """Warn about an ending that nearly all rows have."""
    if suffix is None:
        return []
    shown = suffix.text if len(suffix.text) <= SHOWN_SUFFIX else "…" + suffix.text[-SHOWN_SUFFIX:]
    message = (
        f"{100 * suffix.share:.0f} % of all rows end in {shown!r}: probes on the last token see "
        "the same token in every row, and at the lowest layers little else. Compare layers, or "
        "--position mean."
    )
    return [Finding(kind="suffix", level="warning", message=message)]


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """Flags, then warnings, then notes."""
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))


def show_cue(cue: Cue) -> str:
    """Format a cue: its text, and the weak-train rows of each label that contain it."""
    inner = repr(cue.text).replace("\\x02", "<start>").replace("\\x03", "<end>")
    return f"{inner} ({cue.rows_0:,} | {cue.rows_1:,})"


def _why(baseline: Baseline) -> str:
    """What a baseline learned: the strongest cue for each label."""
    strongest = {cue.label: cue for cue in reversed(baseline.cues)}
    cues = [f"{show_cue(strongest[label])} for label {label}" for label in sorted(strongest)]
    return ", ".join(cues) or baseline.about


def _where(rows: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in rows.items() if count)
