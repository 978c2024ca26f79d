"""Studies that were run apart, by seeds, tasks or models, as one study."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from w2sprobe.atomic import atomic_folder
from w2sprobe.declaration import PREREGISTRATION
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import AnalysisConfig, StudyConfig
from w2sprobe.experiments.places import result_folders
from w2sprobe.experiments.preregistration import joined
from w2sprobe.experiments.study_files import CONFIG, FIGURE, SPLITS, warnings_of, write_study
from w2sprobe.experiments.summary import Scored, rescored, summarise
from w2sprobe.results import RESULTS, Failure, Results, RunKey, StudyResults, study_in

SECTIONS: Final = ("task", "weak", "strong")  # several of each may be joined, by their names
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
    seeds = list(dict.fromkeys(one.seed for one in results))
    if "" in seeds and len(seeds) > 1:
        without = next(one for one in results if not one.seed)
        raise InputError(f"{_said(without.key)} was run without seeds, others with {seeds[-1]}")
    varied = [
        section
        for section in SECTIONS
        if all(one.seed == str(one.config[section]["seed"]) for one in results)
    ]
    found: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    shared: dict[str, Any] = {}
    define: dict[str, Any] = {}
    for one in results:
        for section, known in found.items():
            own = dict(one.config[section])
            if section != "task":  # results from before there was a choice do not say it
                own.setdefault("early_stopping", "auc")
            if section in varied:
                own["seed"] = 0
            key = one.task if section == "task" else own["model"]
            _agree(known.setdefault(key, own), own, f"{section} {key}", one)
        common = {key: value for key, value in one.config.items() if key not in MAY_DIFFER}
        # nor do results from before an analysis could be declared
        common.setdefault("analysis", AnalysisConfig().model_dump(mode="json"))
        shared = shared or common
        _agree(shared, common, "", one)
        for method, entry in one.config["define"].items():
            _agree({method: define.setdefault(method, entry)}, {method: entry}, "define", one)
    return StudyConfig.model_validate(
        {
            **shared,
            "name": name,
            "define": define,
            "methods": list(dict.fromkeys(m for one in results for m in one.config["methods"])),
            "tasks": list(found["task"].values()),
            "weak": list(found["weak"].values()),
            "strong": list(found["strong"].values()),
            "seeds": [int(seed) for seed in seeds if seed],
            "vary": ["split" if section == "task" else section for section in varied],
        }
    )


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
