"""Studies that were run apart, by seeds, tasks or models, as one study."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from w2sprobe.atomic import atomic_folder
from w2sprobe.declaration import PREREGISTRATION
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import NAMED, PARTS, ExperimentConfig, StudyConfig
from w2sprobe.experiments.methods import FINETUNED
from w2sprobe.experiments.mistakes import describe
from w2sprobe.experiments.places import result_folders
from w2sprobe.experiments.preregistration import joined
from w2sprobe.experiments.study_files import CONFIG, FIGURE, SPLITS, warnings_of, write_study
from w2sprobe.experiments.summary import Scored, rescored, summarise
from w2sprobe.results import RESULTS, Failure, Results, RunKey, StudyResults, study_in

SECTIONS: Final = ("task", "weak", "strong")  # several of each may be joined, by their names
PART: Final = dict(zip(SECTIONS, PARTS, strict=True))
SEEDS: Final = {"task": "splits", "weak": "supervisor_seeds", "strong": "learner_seeds"}
LEFT: Final = (SPLITS, CONFIG, FIGURE, PREREGISTRATION)  # files that are not an experiment's own
MAY_DIFFER: Final = (*SECTIONS, "name", "methods", "define")


def join_studies(folders: Sequence[Path], out: Path, *, name: str | None = None) -> StudyResults:
    """Copy experiments of several results into one study, and compute what it says as a whole.

    Predictions are scored again, so that results of earlier versions get the intervals of this one.

    Parameters
    ----------
    folders : sequence of Path
        As `w2sprobe run` leaves them, of one experiment or of a study.
    out : Path
        Must not exist.
    name : str, optional
        Of the study; default: that of the first.

    Returns
    -------
    StudyResults
        Of a study that not all combinations of tasks, models and seeds were run of, if so: its
        config.yaml runs them all.

    Raises
    ------
    InputError
        A folder without results; an experiment that is there twice, or only one; settings that
        differ where a study has one value; `out` exists. Nothing is written then.
    """
    if out.exists():
        raise InputError(f"{str(out)!r} is there already", advice="Choose another --out.")
    places: dict[RunKey, Path] = {}
    scored: list[Scored] = []
    failures: list[Failure] = []
    for folder in folders:
        inside, failed = _experiments(folder)
        failures.extend(failed)
        for place in inside:
            one = _rescored(place)
            key = one.results.key
            if key in places:
                raise InputError(f"{_said(key)} is in {str(places[key])!r} and in {str(place)!r}")
            places[key] = place
            scored.append(one)
    if len(scored) < 2:
        raise InputError(f"experiments to join: {len(scored)}", allowed="2 or more")
    results = [one.results for one in scored]
    config = _config(results, name or results[0].name)
    inner = [path.relative_to(out) for path in result_folders(list(places), out)]
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
    )
    with atomic_folder(out) as temporary:
        _copy({place: temporary / to for place, to in zip(places.values(), inner, strict=True)})
        for of_one, to in zip(results, inner, strict=True):
            of_one.write(temporary / to / RESULTS)
        write_study(study, results, temporary)
        if declared:
            declared[0].write(temporary)
    return study


def _experiments(folder: Path) -> tuple[list[Path], tuple[Failure, ...]]:
    """Folders of the experiments in a result, and what has failed there."""
    study = study_in(folder)
    if study is None:
        return [folder], ()
    return [folder / place for place in study.experiments], study.failures


def _rescored(place: Path) -> Scored:
    one = Scored.read(place)
    try:
        return rescored(one)
    except InputError as error:  # it does not say whose test rows these are
        raise InputError(
            error.what, where=repr(str(place)), allowed=error.allowed, advice="Leave it out."
        ) from error


def _config(results: Sequence[Results], name: str) -> StudyConfig:
    """One config for all."""
    completed = [_completed(one) for one in results]
    configs = [one.model_dump(mode="json", exclude={"seed"}) for one in completed]
    seeds = _seeds(completed)
    varied = {*seeds, *seeds.get("vary", ())}
    found: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    shared: dict[str, Any] = {}
    define: dict[str, Any] = {}
    for one, config in zip(results, configs, strict=True):
        for (section, known), key in zip(found.items(), one.key[:3], strict=True):
            own = config[section]
            if "seed" in own and varied & {SEEDS[section], PART[section]}:
                own["seed"] = 0
            _agree(known.setdefault(key, own), own, f"{section} {key}", one)
        common = {key: value for key, value in config.items() if key not in MAY_DIFFER}
        shared = shared or common
        _agree(shared, common, "", one)
        for method, entry in config["define"].items():
            _agree({method: define.setdefault(method, entry)}, {method: entry}, "define", one)
    return StudyConfig.model_validate(
        {
            **shared,
            "name": name,
            "define": define,
            "methods": list(dict.fromkeys(m for config in configs for m in config["methods"])),
            "tasks": list(found["task"].values()),
            "weak": list(found["weak"].values()),
            "strong": list(found["strong"].values()),
            **seeds,
        }
    )


def _completed(one: Results) -> ExperimentConfig:
    """Config of a result, with the defaults of settings that its version did not have."""
    config = {**one.config, **{section: dict(one.config[section]) for section in SECTIONS}}
    config["seed"] = one.seed
    for section in ("weak", "strong"):
        if config[section].get("kind", FINETUNED) == FINETUNED:
            # results from before there was a choice
            config[section].setdefault("early_stopping", "auc")
    try:
        return ExperimentConfig.model_validate(config)
    except ValidationError as error:
        raise InputError(describe(error, ExperimentConfig), where=_said(one.key)) from error


def _seeds(runs: Sequence[ExperimentConfig]) -> dict[str, Any]:
    """Fields of a study that give these runs."""
    names = list(dict.fromkeys(one.seed for one in runs))
    kinds = {name.isdigit(): name for name in names}
    if len(kinds) > 1:
        said = (repr(name) if name else "without seeds" for name in kinds.values())
        raise InputError(
            f"runs are named in two ways: {', '.join(said)}",
            allowed="one: a seed each, or cut and seeds",
        )
    own: dict[str, list[int | None]] = {
        "task": [one.task.seed for one in runs],
        "weak": [getattr(one.weak, "seed", 0) if one.weak.varies else None for one in runs],
        "strong": [one.strong.seed for one in runs],
    }
    if True in kinds:
        varied = [
            PART[section]
            for section, seeds in own.items()
            if all(seed in (None, int(one.seed)) for one, seed in zip(runs, seeds, strict=True))
        ]
        return {"seeds": list(map(int, names)), "vary": varied}
    found: dict[str, Any] = {}
    for section, seeds in own.items():
        by_run = {
            one.seed: seed if f"{NAMED[PART[section]]}{seed}" in one.seed.split("-") else None
            for one, seed in zip(runs, seeds, strict=True)
            if seed is not None  # another one would change something
        }
        named = {seed for seed in by_run.values() if seed is not None}
        if named and None in by_run.values():
            unlike = next(name for name, seed in by_run.items() if seed is None)
            raise InputError(
                f"run {unlike!r} does not name its {NAMED[PART[section]]}, others do",
                allowed="runs that vary the same",
            )
        if named:
            found[SEEDS[section]] = sorted(named)
    return found


def _agree(known: Mapping[str, Any], own: Mapping[str, Any], where: str, one: Results) -> None:
    for key in {**known, **own}:
        if known.get(key) != own.get(key):
            raise InputError(
                f"{where} {key}".strip()
                + f" is {known.get(key)!r} in one, {own.get(key)!r} in {_said(one.key)}",
                advice="A study has one value; `w2sprobe report A B` sets two beside each other.",
            )


def _versions(results: Sequence[Results]) -> dict[str, str]:
    """Every version of each package that results were made with."""
    names = dict.fromkeys(name for one in results for name in one.versions)
    return {
        name: ", ".join(
            dict.fromkeys(one.versions[name] for one in results if name in one.versions)
        )
        for name in names
    }


def _copy(targets: Mapping[Path, Path]) -> None:
    """Files of experiments; rows once a task where all its experiments have the same."""
    rows: dict[Path, dict[Path, bytes]] = {}
    for place, target in targets.items():
        target.mkdir(parents=True)
        for file in place.iterdir():
            if file.is_file() and file.name not in LEFT:
                shutil.copyfile(file, target / file.name)
        for folder in (place, place.parent):
            if (folder / SPLITS).is_file():
                rows.setdefault(target.parent, {})[target] = (folder / SPLITS).read_bytes()
                break
    for together, found in rows.items():
        same = len(set(found.values())) == 1
        for target, content in found.items():
            ((together if same else target) / SPLITS).write_bytes(content)


def _said(key: RunKey) -> str:
    run = f", {key.run}" if key.run else ""
    return f"{key.task}, {key.weak_model} to {key.strong_model}{run}"
