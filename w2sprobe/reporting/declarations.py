"""Tables of a declared study, for the terminal and for reports."""

from collections.abc import Iterable, Iterator

from w2sprobe.declaration import Declaration, Spread, TaskDesign
from w2sprobe.reporting.table import Column, Table, numeric
from w2sprobe.reporting.wording import counted

ASKS = {
    "two-sided": ("differ from", "two-sided"),
    "greater": ("exceed", "one-sided"),
    "less": ("fall below", "one-sided"),
}
LEVELS = ("the method that varies least", "a typical method", "the one that varies most")


def declaration_tables(
    declaration: Declaration, more: Iterable[tuple[str, str]] = ()
) -> Iterator[Table]:
    """Tables of what is declared, and of what each task is expected to show.

    Parameters
    ----------
    more : iterable of (str, str), optional
        Further rows of the first table.
    """
    yield declared_table([*_declared_rows(declaration), *more], f" of {declaration.name}")
    yield Table.of(
        "What each task is expected to show",
        (
            Column("task"),
            numeric("test rows", "test_rows"),
            numeric("smallest gain detected", "detectable"),
            numeric("smallest gap resolved", "resolvable"),
        ),
        declaration.design.tasks,
    )


def declared_table(rows: Iterable[tuple[str, str]], of_study: str = "") -> Table:
    """Table of facts about a declaration."""
    return Table.of_texts(f"The declaration{of_study}", ("what", "declared"), rows)


def _declared_rows(declaration: Declaration) -> list[tuple[str, str]]:
    """Facts that are declared: name and text of each."""
    return [
        *(("hypothesis", text) for text in declaration.hypotheses),
        *_questions(declaration),
        (
            "resolved gap",
            f"The ceiling exceeds the weak model by at least {declaration.min_gap:g} in AUC and "
            f"{declaration.min_gap_se:g} standard errors, and the 95 % interval lies above 0.",
        ),
        ("size", _size(declaration)),
        *_expected(declaration),
    ]


def _questions(declaration: Declaration) -> Iterator[tuple[str, str]]:
    """Tests of the baseline, of the family and of equivalence; methods outside the family."""
    against, n, m = declaration.against, len(declaration.design.tasks), len(declaration.family)
    verb, sides = ASKS[declaration.alternative]
    over, level = f"Student's t over {n} tasks", f"level {declaration.alpha:g}"
    if against in declaration.config["methods"]:
        yield (
            "primary question",
            f"Does {against} differ from its supervisor, the weak model, in test AUC? "
            + (f"On average: {over}, two-sided, {level}. " if n > 1 else "")
            + "On each task: a test over test rows and seeds"
            + (f", corrected for {n} tasks (Holm)." if n > 1 else "."),
        )
    if m:
        test = (
            f"{over}, {sides}, {level}, corrected for {m} methods (Holm)"
            if n > 1
            else "With one task, no test over tasks is made"
        )
        yield (
            f"family of {m}",
            f"Does a method {verb} {against} in test AUC? {test}: {', '.join(declaration.family)}.",
        )
    if m and n > 1:
        yield (
            "equivalence",
            f"A method is called equivalent to {against} if two one-sided tests at {level} show "
            f"that its mean difference is less than {declaration.margin:g} in AUC.",
        )
    if declaration.outside:
        named = (f"{name} ({why})" for name, why in declaration.outside.items())
        yield "outside the family", "; ".join(named)


def _size(declaration: Declaration) -> str:
    design = declaration.design
    tests = sorted(task.test_rows for task in design.tasks)
    runs = (
        f" ({counted(design.cuts, 'cut')} of the rows x "
        f"{counted(design.supervisor_seeds, 'supervisor seed')} x "
        f"{counted(design.learner_seeds, 'learner seed')})"
        if design.runs > 1
        else ""
    )
    rows = f"{tests[0]:,}" if tests[0] == tests[-1] else f"{tests[0]:,} to {tests[-1]:,}"
    return (
        f"{counted(len(tests), 'task')}; {counted(design.pairs, 'pair')} of models; "
        f"{counted(design.runs, 'run')} per task{runs}; {rows} test rows per task."
    )


def _expected(declaration: Declaration) -> Iterator[tuple[str, str]]:
    design, gap = declaration.design, declaration.design.spread.gap
    n, alpha = len(design.tasks), declaration.alpha
    if n > 1 and declaration.family:
        side = "can" if design.least_after_holm <= alpha else "cannot"
        yield (
            "smallest possible p",
            f"Sign and signed-rank tests over {n} tasks: {design.least_pvalue:.2g}, or "
            f"{design.least_after_holm:.2g} after Holm. They {side} reject at level {alpha:g}.",
        )
    if declaration.against in declaration.config["methods"]:
        if design.detectable_gain is not None:
            yield (
                "smallest gain detected",
                f"With 80 % power, mean over tasks: {design.detectable_gain:.3f} in AUC, "
                f"{100 * design.detectable_gain / gap:.0f} % of the expected gap of {gap:.3f}. "
                f"On a single task: {_range(design.tasks)}.",
            )
        else:
            yield "smallest gain detected", f"With 80 % power: {_range(design.tasks)} in AUC."
    if design.detectable_differences is not None:
        sizes = zip(design.detectable_differences, LEVELS, strict=True)
        yield (
            "smallest difference detected",
            f"With 80 % power, after Holm, to {declaration.against}: "
            + ", ".join(f"{size:.3f} for {who}" for size, who in sizes)
            + ".",
        )
    yield "variances from", _spread(design.spread)


def _range(tasks: tuple[TaskDesign, ...]) -> str:
    sizes = sorted({f"{task.detectable:.3f}" for task in tasks})
    return sizes[0] if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def _spread(spread: Spread) -> str:
    assumed = f" Defaults, as not measured there: {', '.join(spread.assumed)}."
    return (
        f"{spread.source}. Standard deviations of the gain: {spread.gain_task_sd:.3f} between "
        f"tasks, {spread.gain_seed_sd:.3f} between runs, {spread.gain_row_sd:.2f} / sqrt(test rows)"
        f"; mean gap {spread.gap:.3f}." + (assumed if spread.assumed else "")
    )
