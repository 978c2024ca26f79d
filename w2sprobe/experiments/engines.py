"""Local engine: runs stages one by one, and goes on with the others where one fails."""

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
    """Outcome of a stage with an input that is not done; None where all are.

    Parameters
    ----------
    outcomes : dict of str to Outcome
        Of its inputs.
    """
    for source in stage.inputs.values():
        outcome = outcomes[source.address]
        if outcome.status == "failed":
            return Outcome("blocked", error=source.title, log=outcome.log)
        if outcome.status == "blocked":
            return outcome
    return None
