"""Where results of a study's experiments lie."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from w2sprobe.fingerprint import fingerprint
from w2sprobe.results import RunKey

LONGEST = 80


def result_folders(runs: Sequence[RunKey], out: Path) -> list[Path]:
    """Folder of each experiment: `out` where there is one, else TASK/WEAK--STRONG--RUN in it.

    Parameters
    ----------
    runs : sequence of RunKey
    out : Path

    Returns
    -------
    list of Path
        In the order of the experiments.
    """
    if len(runs) == 1:
        return [out]
    tasks = file_names(run.task for run in runs)
    models = file_names(model for run in runs for model in (run.weak_model, run.strong_model))
    places = []
    for run in runs:
        pair = f"{models[run.weak_model]}--{models[run.strong_model]}"
        name = f"--{run.run.replace(' ', '')}" if run.run else ""
        places.append(out / tasks[run.task] / (pair + name))
    return places


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Names that files can have, a different one for each name.

    Parameters
    ----------
    names : iterable of str

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> file_names(["bigbench:navigate", "Qwen/Qwen3-0.6B"])
    {'bigbench:navigate': 'bigbench-navigate', 'Qwen/Qwen3-0.6B': 'Qwen-Qwen3-0.6B'}
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        plain = re.sub(r"[^\w.=-]+", "-", name).strip("-.")
        taken = {other.lower() for other in found.values()}  # some file systems know no case
        if not plain or len(plain) > LONGEST or plain.lower() in taken:
            plain = f"{plain[:LONGEST]}-{fingerprint(name)[:8]}"
        found[name] = plain
    return found
