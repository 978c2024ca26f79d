"""An audit as plain text."""

from collections import Counter
from textwrap import wrap

from w2sprobe.audit.findings import show_cue
from w2sprobe.audit.result import Audit, Baseline, Duplicates, ErasedCue

WIDTH = 110
N_PAIRS = 2  # near-duplicates shown


def render(audit: Audit) -> str:
    """Render an audit as about 40 lines of text: findings first, then the numbers."""
    levels = Counter(finding.level for finding in audit.findings)
    verdict = "nothing flagged" if audit.clean else f"{levels['flag']} flagged"
    if levels["warning"]:
        verdict += f", {levels['warning']} warned about"
    lines = [f"Audit of {audit.task}: {verdict}", ""]
    for finding in audit.findings:
        lines += wrap(
            f"{finding.level.upper():7} {finding.message}", WIDTH, subsequent_indent=" " * 8
        )
    if audit.findings:
        lines.append("")
    lines.append(
        "Baselines trained on weak-train: AUC on test with 95 % interval; "
        "cues (weak-train rows of label 0 | 1)"
    )
    for baseline in audit.baselines:
        lines += _baseline(baseline)
    lines += ["", *_duplicates(audit.duplicates), ""]
    lines.append(
        f"{'Split':14}{'label 0':>9}{'label 1':>9}"
        f"{'characters: median, 95 %, max':>34}{'words: median, 95 %, max':>28}"
    )
    for lengths, balance in zip(audit.lengths, audit.balance, strict=True):
        characters, words = (
            ", ".join(f"{value:,}" for value in spread)
            for spread in (lengths.characters, lengths.words)
        )
        lines.append(
            f"{lengths.split:14}{balance.rows_0:9,}{balance.rows_1:9,}{characters:>34}{words:>28}"
        )
    lines += [
        f"{overflow.model}: longest row {overflow.longest:,} tokens, context {overflow.context:,}"
        for overflow in audit.overflows
    ]
    return "\n".join([*lines, *_erased(audit.erased)])


def _erased(cues: tuple[ErasedCue, ...]) -> list[str]:
    if not cues:
        return []
    lines = [
        "",
        "Probes on strong-train truth: test AUC before and after a cue is erased (LEACE), 95 % "
        "interval of the change;",
        "control: the cue shuffled over rows; cue: AUC of a probe for it, before and after",
        f"{'layer':>5}  {'cue':10}{'before':>7}{'after':>7}  {'change':24}{'control':>7}"
        f"{'directions':>12}  cue",
    ]
    for cue in cues:
        low, high = cue.change_interval
        change = f"{cue.auc_after - cue.auc:+.3f} [{low:+.3f}, {high:+.3f}]"
        line = (
            f"{cue.layer:5}  {cue.cue:10}{cue.auc:7.3f}{cue.auc_after:7.3f}  {change:24}"
            f"{cue.auc_control:7.3f}{cue.rank:12}"
        )
        if cue.cue_auc is not None and cue.cue_auc_after is not None:
            line += f"  {cue.cue_auc:.3f} -> {cue.cue_auc_after:.3f} {cue.about}"
        lines.append(line)
    return lines


def _baseline(baseline: Baseline) -> list[str]:
    if baseline.auc is None:
        return [f"  {baseline.name:12}no AUC"]
    between = "[{:.3f}, {:.3f}]".format(*baseline.interval) if baseline.interval else "no interval"
    lines = [f"  {baseline.name:12}{baseline.auc:.3f} {between}"]
    if baseline.flagged:
        lines[0] += "  FLAG"
    if baseline.max_characters:
        lines[0] += (
            f"  of each text, the first and last {baseline.max_characters // 2:,} characters"
        )
    if baseline.about:
        lines.append(f"{'':14}{baseline.about}")
    for label in (0, 1):
        cues = ", ".join(show_cue(cue) for cue in baseline.cues if cue.label == label)
        if cues:
            lines.append(f"{'':14}for label {label}: {cues}")
    return lines


def _duplicates(duplicates: Duplicates) -> list[str]:
    lines = [f"Near-duplicates across splits: Jaccard similarity from {duplicates.threshold} on"]
    found = [cross for cross in duplicates.between if cross.pairs]
    if not found:
        return [f"{lines[0]}: none"]
    for cross in found:
        lines.append(
            f"  {cross.splits[0]} and {cross.splits[1]}: rows {cross.rows[0]:,} and "
            f"{cross.rows[1]:,}, pairs {cross.pairs:,}, of which with different labels "
            f"{cross.conflicting:,}"
        )
    for pair in duplicates.examples[:N_PAIRS]:
        lines.append(f"  {pair.jaccard:.2f}  {pair.splits[0]} and {pair.splits[1]}:")
        lines += [
            f"        {label}  {text}" for label, text in zip(pair.labels, pair.texts, strict=True)
        ]
    return lines
