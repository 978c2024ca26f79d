"""Studies that were run apart, by seeds, tasks or models, as one study."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from w2sprobe.atomic import atomic_folder
from w2sprobe.declaration import PREREGISTRATION
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import ExperimentConfig, StudyConfig
from w2sprobe.experiments.places import result_folders
from w2sprobe.experiments.preregistration import joined
from w2sprobe.experiments.study_files import CONFIG, FIGURE, SPLITS, warnings_of, write_study
from w2sprobe.experiments.summary import Scored, rescored, summarise
from w2sprobe.results import RESULTS, Failure, Results, RunKey, StudyResults, study_in

SECTIONS: Final = ("task", "weak", "strong")  # several of each may be joined, by their names
LEFT: Final = (SPLITS, CONFIG, FIGURE, PREREGISTRATION)  # files that are not an experiment's own
VARIED: Final = {"task": "split", "weak": "weak", "strong": "strong"}
FIELDS: Final = {"cut": "splits", "weak": "supervisor_seeds", "strong": "learner_seeds"}
RUN_PARTS: Final = re.compile(r"(cut|weak|strong)(\d+)")  # in names such as cut0-weak1
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
    varied, runs = _runs(results)
    found: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    shared: dict[str, Any] = {}
    define: dict[str, Any] = {}
    for one in results:
        config = _complete(one.config)
        keys = {"task": one.task, "weak": one.weak_model, "strong": one.strong_model}
        for section, known in found.items():
            own = {**config[section], **({"seed": 0} if section in varied else {})}
            key = keys[section]
            _agree(known.setdefault(key, own), own, f"{section} {key}", one)
        common = {key: value for key, value in config.items() if key not in MAY_DIFFER}
        shared = shared or common
        _agree(shared, common, "", one)
        for method, entry in config["define"].items():
            _agree({method: define.setdefault(method, entry)}, {method: entry}, "define", one)
    return StudyConfig.model_validate(
        {
            **shared,
            **runs,
            "name": name,
            "define": define,
            "methods": list(dict.fromkeys(m for one in results for m in one.config["methods"])),
            "tasks": list(found["task"].values()),
            "weak": list(found["weak"].values()),
            "strong": list(found["strong"].values()),
        }
    )


def _complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with what later versions can say; early stopping was by AUC before it could."""
    values = dict(config)
    for section in ("weak", "strong"):
        if values[section].get("kind", "finetuned") == "finetuned":
            values[section] = {"early_stopping": "auc", **values[section]}
    return ExperimentConfig.model_validate(values).model_dump(mode="json", exclude={"seed"})


def _runs(results: Sequence[Results]) -> tuple[set[str], dict[str, Any]]:
    """Sections whose seeds vary, and the fields of a study that say so."""
    names = list(dict.fromkeys(one.seed for one in results))
    if "" in names and len(names) > 1:
        without = next(one for one in results if not one.seed)
        raise InputError(f"{_said(without.key)} was run without seeds, others with {names[-1]}")
    nested = [dict(RUN_PARTS.findall(name)) for name in names]
    if any(nested):
        fields: dict[str, Any] = {}
        for part, field in FIELDS.items():
            seeds = [int(run[part]) for run in nested if part in run]
            if 0 < len(seeds) < len(nested):
                raise InputError(
                    f"runs {names[0]!r} and {names[-1]!r}", allowed="runs that vary the same"
                )
            fields |= {field: list(dict.fromkeys(seeds))} if seeds else {}
        of_section = {"task": "splits", "weak": "supervisor_seeds", "strong": "learner_seeds"}
        return {section for section, field in of_section.items() if field in fields}, fields
    varied = {
        section
        for section in SECTIONS
        if all(one.seed == str(one.config[section].get("seed")) for one in results)
    }
    vary = [VARIED[section] for section in SECTIONS if section in varied]
    return varied, {"seeds": [int(name) for name in names if name], "vary": vary}


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
