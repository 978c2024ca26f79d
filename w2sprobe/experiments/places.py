"""Where results of a study's experiments lie."""

import re
from collections.abc import Iterable
from pathlib import Path

from w2sprobe.experiments.builder import Experiment
from w2sprobe.fingerprint import fingerprint

LONGEST = 80


def result_folders(experiments: list[Experiment], out: Path) -> list[Path]:
    """Folder of each experiment: `out` where there is one, else TASK/WEAK--STRONG--SEED in it.

    Parameters
    ----------
    experiments : list of Experiment
    out : Path

    Returns
    -------
    list of Path
        In the order of the experiments.
    """
    if len(experiments) == 1:
        return [out]
    configs = [each.config for each in experiments]
    tasks = file_names(config.task.label for config in configs)
    models = file_names(model.model for config in configs for model in (config.weak, config.strong))
    places = []
    for config in configs:
        pair = f"{models[config.weak.model]}--{models[config.strong.model]}"
        seed = f"--seed{config.seed}" if config.seed else ""
        places.append(out / tasks[config.task.label] / (pair + seed))
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
