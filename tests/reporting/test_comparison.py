from collections.abc import Sequence

import pytest
from rich.console import Console

from w2sprobe.comparison import Analysis, Comparison, Score, compare
from w2sprobe.reporting.comparison import comparison_tables

OTHERS = [f"a_method_of_number_{i}" for i in range(14)]


def scores(methods: Sequence[str]) -> list[Score]:
    ends = {"weak_auc": 0.7, "ceiling_auc": 0.9, "gap_se": 0.01}
    return [
        Score(task=f"task{task}", method=name, auc=0.75 + 0.001 * task + 0.002 * i, **ends)
        for task in range(3)
        for i, name in enumerate(methods)
    ]


def printed(methods: Sequence[str], width: int) -> str:
    return text_of(compare(scores(methods), against="student", units=["auc"]), width)


def text_of(comparison: Comparison, width: int = 200) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        for table in comparison_tables(comparison):
            console.print(table)
    return capture.get()


def line_of(text: str, method: str, after: str) -> str:
    lines = text[text.index(after) :].splitlines()
    return next(line for line in lines if line.strip().startswith(method))


@pytest.mark.parametrize("width", [60, 80, 120, 200, 400])
@pytest.mark.parametrize("n_others", [1, 7, 14])
def test_a_table_is_parted_where_a_terminal_cannot_hold_it(n_others: int, width: int) -> None:
    text = printed(["student", *OTHERS[:n_others]], width).split("AUC: difference to")[0]
    n_parts = text.count("AUC of each task")
    assert text.count("AUC of each task, continued") == n_parts - 1
    assert text.count("ceiling") == 1
    rows = [line.split() for line in text.splitlines() if line.strip().startswith("task1")]
    assert len(rows) == n_parts > (n_others == 14 and width < 150)
    assert all("0.751" in row for row in rows)  # the baseline
    values = [value for row in rows for value in row if value not in {"task1", "0.751"}]
    ends = ["1", "0.700", "0.900", "0.200", "0.010"]
    assert values == [*ends, *(f"{0.753 + 0.002 * i:.3f}" for i in range(n_others))]


def varied(levels: dict[str, float], n_tasks: int = 8, **ends: float) -> list[Score]:
    ends = {"weak_auc": 0.7, "ceiling_auc": 0.9, "gap_se": 0.01, "delta_auc_se": 0.01, **ends}
    return [
        Score(f"task{task}", name, auc=0.75 + level + 0.001 * ((task * (i + 1)) % 5), **ends)
        for i, (name, level) in enumerate(levels.items())
        for task in range(n_tasks)
    ]


def test_families_stand_apart_with_their_verdicts() -> None:
    levels = {"student": 0.0, "good": 0.03, "bad": -0.03, "same": 0.0, "random_filter": 0.03}
    text = text_of(compare(varied(levels)))
    family, outside = "AUC: difference to student", "AUC: difference to student, outside the"
    assert " better " in line_of(text, "good", family)
    assert " worse " in line_of(text, "bad", family)
    assert " no difference beyond ±0.01 " in line_of(text, "same", family)
    control = line_of(text, "random_filter", outside)
    assert " better " in control
    assert "(" not in control  # nothing is adjusted
    assert "(" in line_of(text, "good", family)
    assert "random_filter" not in text[text.index(family) : text.index(outside)]
    assert "not corrected for the number of methods" in text
    assert "TOST" not in text[text.index("PGR: difference") : text.index("AUC of each task")]


def test_a_family_that_cannot_reject_says_so() -> None:
    levels = {"student": 0.0, **{f"m{number}": 0.01 for number in range(8)}}
    text = " ".join(text_of(compare(varied(levels), units=["auc"])).split())
    assert (
        "With 8 tasks, the smallest possible p of the Wilcoxon and sign tests is 0.0078, or 0.062 "
        "after Holm for 8 methods: they cannot reach 0.05."
    ) in text
    one = " ".join(text_of(compare(varied({"student": 0.0, "x": 0.01}), units=["auc"])).split())
    assert "is 0.0078. A true mean difference of 0.0" in one
    assert "Holm" not in one


def test_the_side_of_the_tests_is_said() -> None:
    levels = {"student": 0.0, "x": 0.01}
    analysis = Analysis(alternative="greater")
    assert "p: one-sided, the method is better." in text_of(
        compare(varied(levels), analysis=analysis)
    )


def test_gains_over_the_weak_model_are_shown_and_shrunken() -> None:
    text = text_of(compare(varied({"student": 0.0, "x": 0.01})))
    title = "AUC gain over the weak model"
    assert line_of(text, "student", title).split()[1:4] == ["8", "8", "0"]
    assert "+0.26" in line_of(text, "student", title)  # the pooled PGR
    first = line_of(text, "task0", "AUC gain of student over the weak model")
    assert first.split()[1:4] == ["+0.200", "+0.050", "0.010"]
    unknown = text_of(compare(varied({"student": 0.0}, delta_auc_se=float("nan"))))
    assert title in unknown
    assert "AUC gain of student over" not in unknown
    without_gap = compare(varied({"student": 0.0}, ceiling_auc=0.7))
    assert "nan" not in text_of(without_gap)
    (gain,) = without_gap.supervisor_gains
    open_end = gain.model_copy(update={"pgr": 0.3, "pgr_interval": None})
    changed = without_gap.model_copy(update={"supervisor_gains": (open_end,)})
    assert "+0.30 [unbounded]" in text_of(changed)
    assert "own pooled" not in unknown
    by_own = gain.model_copy(
        update={"n_own_pgr": 8, "own_pgr": 0.45, "own_pgr_interval": (0.4, 0.5)}
    )
    changed = without_gap.model_copy(update={"supervisor_gains": (by_own,)})
    assert "+0.45 [+0.40, +0.50]" in text_of(changed)


def test_seeds_are_parted_in_the_table() -> None:
    rows = [
        Score(f"t{task}", name, str(seed), auc=0.7 + 0.01 * seed * (task % 2), split_seed="0",
              weak_seed=str(seed), strong_seed=str(seed))
        for name in ("student", "x") for task in range(3) for seed in range(3)
    ]  # fmt: skip
    text = text_of(compare(rows, units=["auc"]))
    assert "weak, strong 0.0" in line_of(text, "student", "Noise of seeds")
    bare = [Score(row.task, row.method, row.seed, auc=row.auc) for row in rows]
    assert "of these" not in text_of(compare(bare, units=["auc"]))
