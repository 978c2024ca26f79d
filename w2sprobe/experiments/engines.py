"""Local engine: runs stages one after the other; a failed one stops only those that need it."""

from collections.abc import Callable, Sequence

from w2sprobe.experiments.stages import Outcome, Stage

Report = Callable[[Stage, Outcome | None], None]
Outcomes = dict[str, Outcome]  # by the stage's address


def run_local(stages: Sequence[Stage], report: Report = lambda *_: None) -> Outcomes:
    """Run stages one after the other, in this process.

    Parameters
    ----------
    stages : sequence of Stage
        Each after its inputs.
    report : callable, optional
        Called as `report(stage, None)` before a stage and with its outcome after it; only for
        stages that are not done.

    Returns
    -------
    dict of str to Outcome
        By address.
    """
    outcomes: Outcomes = {}
    for stage in stages:
        if stage.done:
            outcomes[stage.address] = Outcome()
            continue
        outcome = blocked(stage, outcomes)
        if outcome is None:
            report(stage, None)
            outcome = stage.attempt()
        outcomes[stage.address] = outcome
        report(stage, outcome)
    return outcomes


def blocked(stage: Stage, outcomes: Outcomes) -> Outcome | None:
    """Outcome of a stage with a failed or blocked input; None if all inputs are done."""
    for source in stage.inputs.values():
        outcome = outcomes[source.address]
        if outcome.status == "failed":
            return Outcome("blocked", error=source.title, log=outcome.log)
        if outcome.status == "blocked":
            return outcome
    return None
