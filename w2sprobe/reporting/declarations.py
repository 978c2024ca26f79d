"""A declaration in words: for the terminal and for reports."""

from collections.abc import Iterable, Iterator

from w2sprobe.declaration import Declaration, Spread, TaskDesign
from w2sprobe.reporting.table import Column, Table, numeric

ASKS = {
    "two-sided": ("differ from", "two-sided"),
    "greater": ("exceed", "one-sided"),
    "less": ("fall below", "one-sided"),
}
LEVELS = ("the method that varies least", "a typical method", "the one that varies most")


def declaration_tables(
    declaration: Declaration, more: Iterable[tuple[str, str]] = ()
) -> Iterator[Table]:
    """What is declared, and what each task is expected to show.

    Parameters
    ----------
    more : iterable of (str, str), optional
        Further rows of the first table.
    """
    yield declared_table([*declared_rows(declaration), *more], f" of {declaration.name}")
    yield Table.of(
        "What each task is expected to show",
        (
            Column("task"),
            numeric("test rows", "test_rows"),
            numeric("smallest gain found", "detectable"),
            numeric("smallest gap resolved", "resolvable"),
        ),
        declaration.design.tasks,
    )


def declared_table(rows: Iterable[tuple[str, str]], of_study: str = "") -> Table:
    """Facts about a declaration."""
    return Table.of_texts(f"The declaration{of_study}", ("what", "declared"), rows)


def declared_rows(declaration: Declaration) -> list[tuple[str, str]]:
    """What is declared, each fact with its name."""
    return [
        *(("hypothesis", text) for text in declaration.hypotheses),
        *_questions(declaration),
        (
            "a gap is resolved",
            f"where the ceiling exceeds the weak model by {declaration.min_gap:g} in AUC and by "
            f"{declaration.min_gap_se:g} standard errors, and the 95 % interval lies above 0.",
        ),
        ("size", _size(declaration)),
        *_expected(declaration),
    ]


def _questions(declaration: Declaration) -> Iterator[tuple[str, str]]:
    """The tests: of the baseline, of the family, of equivalence; and what is outside of them."""
    against, n, m = declaration.against, len(declaration.design.tasks), len(declaration.family)
    verb, sides = ASKS[declaration.alternative]
    over, level = f"Student's t over {n} tasks", f"level {declaration.alpha:g}"
    if against in declaration.config["methods"]:
        yield (
            "primary question",
            f"Does {against} differ from its supervisor, the weak model, in test AUC? "
            + (f"On average: {over}, two-sided, {level}. " if n > 1 else "")
            + "On each task: its interval over test rows and seeds"
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
            f"A method is called equivalent to {against} where two one-sided tests at {level} show "
            f"its mean difference to lie within {declaration.margin:g} in AUC.",
        )
    if declaration.outside:
        named = (f"{name} ({why})" for name, why in declaration.outside.items())
        yield "outside the family", "; ".join(named)


def _size(declaration: Declaration) -> str:
    design = declaration.design
    tests = sorted(one.test_rows for one in design.tasks)
    seeds = (
        f" ({design.supervisor_seeds} seeds of the supervisor, {design.learner_seeds} of the "
        f"learner, {design.cuts} cuts of the rows)"
        if design.runs > 1
        else ""
    )
    rows = f"{tests[0]:,}" if tests[0] == tests[-1] else f"{tests[0]:,} to {tests[-1]:,}"
    return (
        f"tasks: {len(tests)}; pairs of models: {design.pairs}; runs a task: {design.runs}{seeds}; "
        f"test rows a task: {rows}."
    )


def _expected(declaration: Declaration) -> Iterator[tuple[str, str]]:
    design, gap = declaration.design, declaration.design.spread.gap
    n, alpha = len(design.tasks), declaration.alpha
    if n > 1 and declaration.family:
        side = "can" if design.least_after_holm <= alpha else "cannot"
        yield (
            "least p value",
            f"Of the sign and signed-rank tests over {n} tasks: {design.least_pvalue:.2g}, after "
            f"Holm {design.least_after_holm:.2g}: they {side} reject at level {alpha:g}.",
        )
    if declaration.against in declaration.config["methods"]:
        if design.detectable_gain is not None:
            yield (
                "smallest gain found",
                f"With 80 % power, on average over tasks: {design.detectable_gain:.3f} in AUC, "
                f"{100 * design.detectable_gain / gap:.0f} % of the expected gap of {gap:.3f}. "
                f"On one task: {_range(design.tasks)}, by test rows and seeds.",
            )
        else:
            yield "smallest gain found", f"With 80 % power: {_range(design.tasks)} in AUC."
    if design.detectable_differences is not None:
        sizes = zip(design.detectable_differences, LEVELS, strict=True)
        yield (
            "smallest difference found",
            f"With 80 % power, after Holm, from {declaration.against}: "
            + ", ".join(f"{size:.3f} for {who}" for size, who in sizes)
            + ".",
        )
    yield "variances from", _spread(design.spread)


def _range(tasks: tuple[TaskDesign, ...]) -> str:
    sizes = sorted({f"{one.detectable:.3f}" for one in tasks})
    return sizes[0] if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def _spread(spread: Spread) -> str:
    assumed = f" Not known there, so by default: {', '.join(spread.assumed)}."
    return (
        f"{spread.source}. Standard deviations of the gain: {spread.gain_task_sd:.3f} between "
        f"tasks, {spread.gain_seed_sd:.3f} between runs, {spread.gain_row_sd:.2f} / sqrt(test rows)"
        f"; mean gap {spread.gap:.3f}." + (assumed if spread.assumed else "")
    )
