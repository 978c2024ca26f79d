"""Joining of studies that were run separately, by seeds, tasks or models, into one study.

Only needed if the parts share no cache: with one cache, running the whole study uses what its parts
have computed.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from w2sprobe.atomic import atomic_folder
from w2sprobe.declaration import PREREGISTRATION
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import NAMED, PARTS, ExperimentConfig, StudyConfig
from w2sprobe.experiments.config_errors import describe
from w2sprobe.experiments.methods import FINETUNED
from w2sprobe.experiments.preregistration import joined
from w2sprobe.experiments.result_files import (
    CONFIG,
    FIGURE,
    SPLITS,
    result_folders,
    warnings_of,
    write_study,
)
from w2sprobe.experiments.summary import Scored, summarise
from w2sprobe.experiments.transfer_scores import transfer_rows
from w2sprobe.results import Failure, Results, RunKey, StudyResults, study_in

SECTIONS: Final = ("task", "weak", "strong")  # sections that a study may have several of
SEED_KEYS: Final = ("splits", "supervisor_seeds", "learner_seeds")  # in the order of `SECTIONS`
NOT_COPIED: Final = (SPLITS, CONFIG, FIGURE, PREREGISTRATION)  # written again, or about the part
MAY_DIFFER: Final = (*SECTIONS, "name", "methods", "define", "test_on")


def join_studies(folders: Sequence[Path], out: Path, *, name: str | None = None) -> StudyResults:
    """Copy the experiments of several results into one study, and summarise them all.

    Parameters
    ----------
    folders : sequence of Path
        Result folders of `w2sprobe run`, of one experiment or of a study.
    out : Path
        Must not exist.
    name : str, optional
        Name of the study; default: that of the first.

    Returns
    -------
    StudyResults
        Its config has all combinations of tasks, models and seeds, including those that no part
        has run.

    Raises
    ------
    InputError
        A folder has no results; there is only one experiment, or one of them twice; settings
        differ that a study has only one value of; `out` exists. Nothing is written then.
    """
    if out.exists():
        raise InputError(f"{str(out)!r} exists already", advice="Choose another --out.")
    sources: dict[RunKey, Path] = {}
    scored: list[Scored] = []
    failures: list[Failure] = []
    for folder in folders:
        study = study_in(folder)
        failures += study.failures if study else ()
        for source in [folder / name for name in study.experiments] if study else [folder]:
            one = Scored.read(source)
            key = one.results.key
            if key in sources:
                raise InputError(
                    f"{_title(key)} is in {str(sources[key])!r} and in {str(source)!r}"
                )
            sources[key] = source
            scored.append(one)
    if len(scored) < 2:
        raise InputError(f"experiments to join: {len(scored)}", allowed="2 or more")
    results = [one.results for one in scored]
    config = _joint_config(results, name or results[0].name)
    inner = [path.relative_to(out) for path in result_folders(list(sources), out)]
    declared = joined(results, folders, config)
    study = StudyResults(
        name=config.name,
        experiments=tuple(map(str, inner)),
        summary=tuple(summarise(scored)),
        failures=tuple(failures),
        warnings=warnings_of(dict(zip(map(str, inner), results, strict=True))),
        config=config.resolved(),
        versions=_versions(results),
        preregistration=declared[1] if declared else None,
        transfer=tuple(transfer_rows(scored)),
    )
    with atomic_folder(out) as temporary:
        _copy({source: temporary / to for source, to in zip(sources.values(), inner, strict=True)})
        write_study(study, results, temporary)
        if declared:
            declared[0].write(temporary)
    return study


def _joint_config(results: Sequence[Results], name: str) -> StudyConfig:
    """Config with tasks, models, methods and seeds of all results; other settings must agree."""
    experiments = [_experiment_config(one) for one in results]
    if len({one.seed.isdigit() for one in results}) > 1:
        raise _mixed_names(results)
    seeds = _seeds(experiments)
    several: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    shared: dict[str, Any] = {}
    define: dict[str, Any] = {}
    methods: dict[str, None] = {}
    for one, experiment in zip(results, experiments, strict=True):
        config = experiment.model_dump(mode="json", exclude={"seed"})
        for section, key, part, seed_key in zip(
            SECTIONS, one.key[:3], PARTS, SEED_KEYS, strict=True
        ):
            own = config[section]
            if "seed" in own and (seed_key in seeds or part in seeds.get("vary", ())):
                own["seed"] = 0  # replaced by those of the study
            _agree(several[section].setdefault(key, own), own, f"{section} {key}", one)
        common = {key: value for key, value in config.items() if key not in MAY_DIFFER}
        shared = shared or common
        _agree(shared, common, "", one)
        for method, entry in config["define"].items():
            _agree({method: define.setdefault(method, entry)}, {method: entry}, "define", one)
        methods |= dict.fromkeys(config["methods"])
    cuts = "splits" in seeds or "split" in seeds.get("vary", ())
    sections = {
        "tasks" if section == "task" else section: list(found.values())
        for section, found in several.items()
    }
    values = {**shared, "name": name, "define": define, "methods": [*methods], **sections, **seeds}
    without = {"seed"} if cuts else set()
    values["test_on"] = _tested_on(experiments, results, several["task"], without)
    joint = StudyConfig.model_validate(values)
    if not {one.key for one in results} <= {one.key for one in joint.experiments()}:
        raise _mixed_names(results)
    return joint


def _tested_on(
    experiments: Sequence[ExperimentConfig],
    results: Sequence[Results],
    tasks: Mapping[str, dict[str, Any]],
    without: set[str],
) -> list[dict[str, Any]]:
    """Tasks that any of the experiments is tested on; those of the study as they are there.

    Parameters
    ----------
    without : set of str
        Settings that the study replaces: the seed, if it has several cuts.
    """
    found: dict[str, dict[str, Any]] = {}
    for one, experiment in zip(results, experiments, strict=True):
        for task in experiment.test_on:
            values = task.model_dump(mode="json", exclude=without)
            own = tasks.get(task.label, values)
            _agree(found.setdefault(task.label, own), own, f"test_on {task.label}", one)
    return list(found.values())


def _experiment_config(one: Results) -> ExperimentConfig:
    """Config of a result."""
    config = {**one.config, "seed": one.seed}
    for section in ("weak", "strong"):
        if config[section].get("kind", FINETUNED) == FINETUNED:
            # earlier versions had no such key and stopped by AUC, which is not the default now
            config[section] = {"early_stopping": "auc", **config[section]}
    try:
        return ExperimentConfig.model_validate(config)
    except ValidationError as error:
        raise InputError(describe(error, ExperimentConfig), where=_title(one.key)) from error


def _seeds(experiments: Sequence[ExperimentConfig]) -> dict[str, Any]:
    """Keys of a study with these runs: `seeds` and `vary`, or seeds of each level."""
    names = list(dict.fromkeys(one.seed for one in experiments))
    # a supervisor that does not depend on its seed fits any seed
    by_level = [
        [(one.seed, one.task.seed) for one in experiments],
        [(one.seed, getattr(one.weak, "seed", 0)) for one in experiments if one.weak.varies],
        [(one.seed, one.strong.seed) for one in experiments],
    ]
    if all(map(str.isdigit, names)):
        varied = [
            part
            for part, runs in zip(PARTS, by_level, strict=True)
            if all(name == str(seed) for name, seed in runs)
        ]
        return {"seeds": [*map(int, names)], "vary": varied}
    return {
        key: sorted({seed for _, seed in runs})
        for part, key, runs in zip(PARTS, SEED_KEYS, by_level, strict=True)
        if any(NAMED[part] in name for name in names)  # as in cut0-weak1-strong2
    }


def _mixed_names(results: Sequence[Results]) -> InputError:
    names = dict.fromkeys(one.seed or "without seeds" for one in results)
    return InputError(
        f"names of runs do not go together: {', '.join(names)}",
        allowed="one number each, or the same of cut, supervisor seed and learner seed",
    )


def _agree(known: Mapping[str, Any], own: Mapping[str, Any], where: str, one: Results) -> None:
    """Refuse settings that differ from those of other results."""
    for key in {**known, **own}:
        if known.get(key) != own.get(key):
            raise InputError(
                f"{where} {key}".strip()
                + f" is {known.get(key)!r} in one, {own.get(key)!r} in {_title(one.key)}",
                advice="A study has one value; `w2sprobe report A B` compares two studies.",
            )


def _versions(results: Sequence[Results]) -> dict[str, str]:
    """All versions of each package that the results were made with."""
    found: dict[str, dict[str, None]] = {}
    for one in results:
        for package, version in one.versions.items():
            found.setdefault(package, {})[version] = None
    return {package: ", ".join(versions) for package, versions in found.items()}


def _copy(targets: Mapping[Path, Path]) -> None:
    """Copy files of experiments; splits once per task if all its experiments share them."""
    rows: dict[Path, dict[Path, bytes]] = {}
    for source, target in targets.items():
        target.mkdir(parents=True)
        for file in source.iterdir():
            if file.is_file() and file.name not in NOT_COPIED:
                shutil.copyfile(file, target / file.name)
        for folder in (source, source.parent):
            if (folder / SPLITS).is_file():
                rows.setdefault(target.parent, {})[target] = (folder / SPLITS).read_bytes()
                break
    for task_folder, found in rows.items():
        is_shared = len(set(found.values())) == 1
        for target, content in found.items():
            ((task_folder if is_shared else target) / SPLITS).write_bytes(content)


def _title(key: RunKey) -> str:
    run = f", {key.run}" if key.run else ""
    return f"{key.task}, {key.weak_model} to {key.strong_model}{run}"
