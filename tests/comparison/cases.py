"""Made-up scores of one pair of models."""

from w2sprobe.comparison import Comparison, Score


def scores(
    values: dict[str, list[float]], *, weak: float = 0.6, ceiling: float = 0.9, se: float = 0.01
) -> list[Score]:
    """A row a method and task, one seed."""
    ends = {"weak_auc": weak, "ceiling_auc": ceiling, "gap_se": se}
    return [
        Score(f"t{task}", method, auc=auc, **ends)
        for method, row in values.items()
        for task, auc in enumerate(row)
    ]


def repeated(method: str, table: list[list[float]], **ends: float) -> list[Score]:
    """A row a task, a column a seed."""
    ends = {"weak_auc": 0.6, "ceiling_auc": 0.8, **ends}
    return [
        Score(f"t{task}", method, str(seed), auc=auc, **ends)
        for task, row in enumerate(table)
        for seed, auc in enumerate(row)
    ]


def by_unit(comparison: Comparison) -> dict[str, object]:
    return {row.unit: row for row in comparison.methods}
