"""What a planned study can detect: families of tests, smallest p values, detectable effects."""

import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from w2sprobe.data import Splits
from w2sprobe.declaration import Design, Spread, TaskDesign
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.metrics import Estimate, detectable_effect, least_pvalue
from w2sprobe.metrics.estimates import t_quantile

if TYPE_CHECKING:  # imports torch, which is not needed to compare with a declaration
    from w2sprobe.experiments.plan import StudyPlan

POWER = 0.8


def family_of(config: StudyConfig) -> tuple[tuple[str, ...], dict[str, str]]:
    """Methods whose p values are corrected together, and why the other methods are outside.

    Returns
    -------
    family : tuple of str
        `analysis.family`; by default all methods except the baseline, controls, zero_shot and
        those fitted on true labels. Empty if the baseline is not run.
    outside : dict of str to str
        Reason for each other method, except weak model, ceiling and baseline.
    """
    analysis, entries = config.analysis, config.entries
    others = [
        name
        for name in config.methods
        if name != analysis.against and entries[name].predicts not in ("weak", "ceiling")
    ]
    if analysis.against not in config.methods:
        return (), dict.fromkeys(others, f"{analysis.against}, the baseline, is not run")
    if analysis.family is None:
        family = [name for name in others if not entries[name].apart]
    else:
        family = list(analysis.family)
    outside = {
        name: entries[name].apart or "left out by analysis.family"
        for name in others
        if name not in family
    }
    return tuple(family), outside


def design_of(plan: "StudyPlan", spread: Spread) -> Design:
    """Compute what a study of this size can detect.

    Parameters
    ----------
    spread : Spread
        Expected standard deviations of its results.

    Notes
    -----
    The baseline's gain is tested two-sided, whatever the alternative of the family. Over tasks:
    `detectable_effect`, exact for differences that are normal over tasks; the first step of Holm
    tests at alpha / number of methods. On a single task: a true gain of (critical value + normal
    quantile of the power) standard errors, which has approximately this power.
    """
    config, analysis = plan.config, plan.config.analysis
    family, _ = family_of(config)
    first = {one.config.task.label: one.splits for one in reversed(plan.experiments)}
    splits = dict(reversed(first.items()))
    n, levels = len(splits), config.levels
    least = least_pvalue(n, analysis.alternative)
    gain_sd = _sd_over_tasks(config, spread, [len(one.test) for one in splits.values()])

    def difference(sd: float) -> float:
        return detectable_effect(
            sd,
            n,
            alpha=analysis.alpha / len(family),
            power=POWER,
            alternative=analysis.alternative,
        )

    return Design(
        pairs=len({(one.config.weak.label, one.config.strong.model) for one in plan.experiments}),
        runs=config.n_runs,
        cuts=levels["split"],
        supervisor_seeds=levels["weak"],
        learner_seeds=levels["strong"],
        tasks=tuple(_task(config, spread, label, one, n) for label, one in splits.items()),
        spread=spread,
        least_pvalue=least,
        least_after_holm=min(1.0, least * max(1, len(family))),
        detectable_gain=detectable_effect(gain_sd, n, alpha=analysis.alpha, power=POWER)
        if n > 1
        else None,
        detectable_differences=_three(map(difference, spread.method_sds))
        if n > 1 and family
        else None,
    )


def _three(values: Iterable[float]) -> tuple[float, float, float]:
    least, middle, largest = values
    return least, middle, largest


def _task(
    config: StudyConfig, spread: Spread, label: str, splits: Splits, n_tasks: int
) -> TaskDesign:
    n_rows, analysis = len(splits.test), config.analysis
    gain = _noise(config, spread.gain_row_sd**2 / n_rows, spread.gain_seed_sd**2)
    gap = _noise(config, spread.gap_row_sd**2 / n_rows, spread.gap_seed_sd**2)
    tail = analysis.alpha / n_tasks / 2
    return TaskDesign(
        task=label,
        fingerprint=splits.about.get("fingerprint", ""),
        test_rows=n_rows,
        detectable=(gain.critical(tail) + t_quantile(1 - POWER, math.inf)) * gain.se,
        resolvable=max(config.min_gap, max(config.min_gap_se, gap.critical()) * gap.se),
    )


def _noise(config: StudyConfig, rows: float, seeds: float) -> Estimate:
    """Uncertainty of a task's mean over runs, from the variances of one run."""
    runs = config.n_runs
    if runs == 1:
        return Estimate(0, ((rows, math.inf),))
    if config.levels["split"] > 1:  # each run has test rows of its own
        return Estimate(0, (((rows + seeds) / runs, runs - 1),))
    return Estimate(0, ((rows, math.inf), (seeds / runs, runs - 1)))


def _sd_over_tasks(config: StudyConfig, spread: Spread, test_rows: Sequence[int]) -> float:
    """Standard deviation over tasks of the measured gain, noise of rows and seeds included."""
    noise = [
        _noise(config, spread.gain_row_sd**2 / n, spread.gain_seed_sd**2).variance
        for n in test_rows
    ]
    unseen = spread.gain_seed_sd**2 if config.n_runs == 1 else 0.0  # a single run cannot show it
    return math.sqrt(spread.gain_task_sd**2 + fmean(noise) + unseen)


def warnings_of_design(config: StudyConfig, design: Design) -> Iterator[str]:
    """Warn of questions that a study of this size cannot answer."""
    yield from _warnings_of_size(config, design)
    yield from _warnings_of_effects(config, design)


def _warnings_of_size(config: StudyConfig, design: Design) -> Iterator[str]:
    """Warn of too few tasks, runs or methods."""
    analysis, n = config.analysis, len(design.tasks)
    if analysis.against not in config.methods:
        yield (
            f"{analysis.against} is not among the methods, so whether it exceeds its supervisor is "
            "not tested, and nothing is compared with it."
        )
    if n == 1:
        yield "One task: results may not hold on other tasks, and there is no test over tasks."
    if design.runs == 1:
        yield (
            "One run per task: intervals do not cover the noise of training. Add seeds, as in "
            "--set seeds='[0, 1, 2]'."
        )
    family, _ = family_of(config)
    if n > 1 and family and design.least_after_holm > analysis.alpha:
        yield (
            f"Sign and signed-rank tests over {n} tasks cannot reject in this family: their "
            f"smallest possible p value after Holm is {design.least_after_holm:.2g}. Only the t "
            "test can; fewer methods in analysis.family, or more tasks, would help."
        )


def _warnings_of_effects(config: StudyConfig, design: Design) -> Iterator[str]:
    """Warn of plausible effects that the study would probably miss."""
    analysis, gap, n = config.analysis, design.spread.gap, len(design.tasks)
    power = f"{100 * POWER:.0f} % power"
    if design.detectable_gain is not None and design.detectable_gain > gap:
        yield (
            f"A student that recovers the whole gap, {gap:.3f} in AUC, would be missed more often "
            f"than one time in five: the smallest mean gain with {power} is "
            f"{design.detectable_gain:.3f}."
        )
    if design.detectable_differences is not None and design.detectable_differences[1] > gap:
        yield (
            "A typical method that adds as much as the whole gap to the baseline would be missed "
            f"more often than one time in five: the smallest mean difference with {power} is "
            f"{design.detectable_differences[1]:.3f}, the gap {gap:.3f}."
        )
    few = [one for one in design.tasks if one.resolvable > gap]
    if few:
        yield (
            f"On {len(few)} of {n} tasks a gap of the expected size, {gap:.3f}, would not be "
            f"resolved: there it takes {min(one.resolvable for one in few):.3f} or more. "
            "PGR is left out where the gap is not resolved."
        )
    family, _ = family_of(config)
    reach = _equivalence_reach(design, analysis.alpha)
    if reach is not None and family and reach > analysis.margin:
        yield (
            f"Equivalence within {analysis.margin:g} will probably not be shown for a typical "
            f"method, even if it does not differ at all: its interval reaches {reach:.3f} to "
            "either side."
        )


def _equivalence_reach(design: Design, alpha: float) -> float | None:
    """Half-width of the interval of an equivalence test; None for a single task."""
    n = len(design.tasks)
    return t_quantile(alpha, n - 1) * design.spread.method_sds[1] / n**0.5 if n > 1 else None
