"""A scorer for Inspect (UK AI Security Institute): a saved probe on a local model's activations."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from w2sprobe.errors import MissingDependency
from w2sprobe.integrations.monitor import Messages, Monitor

NAME = "w2sprobe_probe"  # of the scorer, in logs


def probe_scorer(
    folder: str | Path,
    *,
    model: str | Path | None = None,
    device: str = "auto",
    read: Callable[[Any], str | Messages] | None = None,
) -> Any:
    """Score each sample by a saved probe.

    Parameters
    ----------
    folder : str or Path
        Folder of a probe that was saved with a card (`w2sprobe probe ... --save`).
    model : str or Path, optional
        The local model whose activations are read, with the weights that the probe was fitted on;
        by default the name in the probe's origin. It need not be the model under evaluation.
    device : str, default "auto"
    read : callable, optional
        What the probe reads of a sample's `TaskState`: a text, or a list of messages with `role`
        and `content`. Default: the completion, or for a probe of conversations all messages.

    Returns
    -------
    inspect_ai.scorer.Scorer
        Value: P(label = 1), in [0, 1], with the metrics mean and standard error. Metadata: `layer`,
        and if the card has a threshold, `threshold` and `flagged`, whether the value is above.

    Raises
    ------
    MissingDependency
        inspect_ai is not installed.
    InputError
        As `Monitor`.
    """
    try:
        from anyio import to_thread
        from inspect_ai.scorer import Score, Target, mean, scorer, stderr
        from inspect_ai.solver import TaskState
        from inspect_ai.util import concurrency
    except ImportError as error:
        raise MissingDependency(
            "probe_scorer needs inspect_ai", advice="Run: pip install 'w2sprobe[inspect]'"
        ) from error
    monitor = Monitor(folder, model=model, device=device)
    reads = read or (messages_of if monitor.reads_conversations else _completion_of)

    async def score(state: TaskState, target: Target) -> Score:  # noqa: ARG001
        # one sample at a time, outside the event loop: the model fills the device
        async with concurrency(f"w2sprobe {folder}", 1):
            p = await to_thread.run_sync(monitor.p, reads(state))
        metadata: dict[str, Any] = {"layer": monitor.layer}
        if monitor.threshold is not None:
            metadata |= {"threshold": monitor.threshold, "flagged": p > monitor.threshold}
        return Score(value=p, metadata=metadata)

    return scorer(metrics=[mean(), stderr()], name=NAME)(lambda: score)()


def messages_of(state: Any) -> list[dict[str, str]]:
    """Messages of a sample, as w2sprobe reads conversations; those without text are left out."""
    return [
        {"role": message.role, "content": message.text}
        for message in state.messages
        if message.text
    ]


def _completion_of(state: Any) -> str:
    completion: str = state.output.completion
    return completion
