"""Pre-registration: declaring a study before it is run, and comparing the run with it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from w2sprobe import __version__
from w2sprobe.atomic import make_folder
from w2sprobe.declaration import FORMAT, PREREGISTRATION, Declaration
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.experiments.design import design_of, family_of, warnings_of_design
from w2sprobe.experiments.pilots import DEFAULTS, measure
from w2sprobe.fingerprint import fingerprint
from w2sprobe.results import Preregistration, Results

if TYPE_CHECKING:  # imports torch, which joining results does not need
    from w2sprobe.experiments.plan import StudyPlan

# fields that may differ between declarations that count as the same
NOT_DECLARED: Final = {"written", "w2sprobe", "stages_done"}
NAMES: Final = ("name", "positive", "negative", "model", "task")  # identify sections in a list
NOTHING: Final = "nothing"
SHOWN = 3  # most differences in a message
LONGEST = 60  # characters; of longer lists, a message has only the items that differ


def declare(plan: "StudyPlan", pilots: Sequence[Path] = ()) -> Declaration:
    """Declare the questions of a study, its tests, and the effects that it can detect.

    Parameters
    ----------
    pilots : sequence of Path, optional
        Results folders to measure variances in; default: variances of the first reproduction.

    Raises
    ------
    InputError
        A pilot has no results, or not the baseline.
    """
    config = plan.config
    family, outside = family_of(config)
    spread = measure(pilots, family, config.analysis.against) if pilots else DEFAULTS
    design = design_of(plan, spread)
    resolved = config.resolved()
    return Declaration(
        format=FORMAT,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        w2sprobe=__version__,
        name=config.name,
        **config.analysis.model_dump(exclude={"family"}),
        family=family,
        outside=outside,
        min_gap=config.min_gap,
        min_gap_se=config.min_gap_se,
        design=design,
        warnings=tuple(warnings_of_design(config, design)),
        stages_done=sum(stage.done for stage in plan.stages),
        stages=len(plan.stages),
        config_fingerprint=fingerprint(resolved),
        config=resolved,
    )


def write_declaration(declaration: Declaration, out: Path) -> Declaration:
    """Write preregistration.json, unless it exists and declares the same.

    Parameters
    ----------
    out : Path
        Folder for the results.

    Returns
    -------
    Declaration
        Content of the file: the earlier declaration, with its date, if it declares the same.

    Raises
    ------
    InputError
        The file declares something else, or is damaged.
    """
    earlier = Declaration.read(out)
    if earlier is None:
        make_folder(out)
        declaration.write(out)
        return declaration
    held, own = (
        one.model_dump(mode="json", exclude=NOT_DECLARED) for one in (earlier, declaration)
    )
    if held != own:
        different = sorted(  # the design last, as it follows from the rest
            _differences(held, own, ""), key=lambda one: one[0].startswith("design")
        )
        more = f" (and {len(different) - SHOWN} more)" if len(different) > SHOWN else ""
        raise InputError(
            f"{str(out / PREREGISTRATION)!r}, written {earlier.written}, declares something else: "
            + "; ".join(
                f"{path} is {held_value} there, {value} now"
                for path, held_value, value in different[:SHOWN]
            )
            + more,
            advice="A declaration is not replaced: choose another --out.",
        )
    return earlier


def preregistered(plan: "StudyPlan", out: Path) -> Preregistration | None:
    """Compare a study that is about to be run with the declaration in its folder.

    Returns
    -------
    Preregistration or None
        None if nothing was declared.

    Raises
    ------
    InputError
        preregistration.json is damaged, or was changed after it was written.
    """
    declaration = Declaration.read(out)
    if declaration is None:
        return None
    rows = {
        one.config.task.label: one.splits.about.get("fingerprint", "") for one in plan.experiments
    }
    return _record(declaration, plan.config, rows)


def joined(
    results: Sequence[Results], folders: Sequence[Path], config: StudyConfig
) -> tuple[Declaration, Preregistration] | None:
    """Compare a joined study with the one declaration that all its parts refer to.

    Parameters
    ----------
    results : sequence of Results
        Results of the parts.
    folders : sequence of Path
        Folders of the parts; one of them has the file.
    config : StudyConfig
        Config of the joined study.

    Returns
    -------
    (Declaration, Preregistration) or None
        None if the parts refer to no declaration, or to different ones.

    Raises
    ------
    InputError
        The file is damaged, or was changed after it was written.
    """
    hashes = {one.preregistration.sha256 if one.preregistration else "" for one in results}
    for folder in folders:
        declaration = Declaration.read(folder)
        if declaration is not None and hashes == {declaration.sha256}:
            rows = {one.task: one.fingerprint for one in results}
            return declaration, _record(declaration, config, rows)
    return None


def _record(
    declaration: Declaration, config: StudyConfig, rows: Mapping[str, str]
) -> Preregistration:
    own = config.resolved()
    deviations = [
        f"{path}: {_deviation(*values)}"
        for path, *values in _differences(declaration.config, own, "")
    ]
    deviations += [
        f"the rows of task {one.task} are not those that were declared"
        for one in declaration.design.tasks
        if rows.get(one.task, one.fingerprint) != one.fingerprint
    ]
    return Preregistration(
        sha256=declaration.sha256,
        written=declaration.written,
        deviations=tuple(deviations),
        stages_done=declaration.stages_done,
    )


def _deviation(declared: str, run: str) -> str:
    if run == NOTHING:
        return f"{declared} declared, not run"
    if declared == NOTHING:
        return f"{run} run, not declared"
    return f"{declared} declared, {run} run"


def _differences(held: Any, own: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Paths of two configs whose values differ, with both values as text."""
    if held == own:
        return
    if {type(held), type(own)} == {dict, list}:  # one section, or a list of several
        held, own = ([one] if isinstance(one, dict) else one for one in (held, own))
    first, second = _by_name(held), _by_name(own)
    if first is not None and second is not None:
        for key in {**first, **second}:
            yield from _differences(
                first.get(key, ...), second.get(key, ...), f"{path}.{key}".removeprefix(".")
            )
        return
    if isinstance(held, list) and isinstance(own, list) and len(str(held + own)) > LONGEST:
        held, own = (
            [value for value in held if value not in own],
            [value for value in own if value not in held],
        )
    yield path, _said(held), _said(own)


def _by_name(value: Any) -> dict[str, Any] | None:
    """Items of a section by key, of a list of sections by name; None for other values."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return {" ".join(str(one[key]) for key in NAMES if one.get(key)): one for one in value}
    return None


def _said(value: Any) -> str:
    if value is ... or value == []:
        return NOTHING
    if isinstance(value, dict):
        return f"a section with {', '.join(value)}"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else repr(value)
