"""The reference of a study's config, from the models that check it."""

from collections.abc import Iterator
from typing import Any

from markdown.extensions.toc import slugify

from w2sprobe.experiments.config import study_schema

MARK = "<!-- config -->"
TOP, WEAK = "Top level", "weak"
# sections in the order of the page, each with its model; supervisors follow `weak`, by their kinds
SECTIONS = {
    TOP: "StudyConfig",
    "task": "SharedTask",
    "tasks": "TaskConfig",
    "task.sizes": "SplitSizes",
    "strong": "ModelConfig",
    WEAK: "",
    "probes": "ProbeConfig",
    "probes.candidates": "AutoCandidates",
    "probes.head": "HeadSettings",
    "probes.tokens": "TokenSettings",
    "sweep": "SweepConfig",
    "strong_to_strong": "StrongToStrongConfig",
    "zero_shot": "ZeroShotConfig",
    "define.NAME": "Method",
    "analysis": "AnalysisConfig",
}
ALIKE = {"TaskConfig": "task", "FinetunedSupervisor": "strong"}  # only keys that differ are shown
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}

Schema = dict[str, Any]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark of the page that has it.

    Raises
    ------
    ValueError
        A model of the config is in no section.
    """
    if MARK not in markdown:
        return markdown
    schema = study_schema()
    models: dict[str, Schema] = {**schema["$defs"], "StudyConfig": schema}
    one, _ = schema["properties"][WEAK]["oneOf"]  # or a list of them
    kinds = [_name(kind) for kind in one["oneOf"]]
    if missing := models.keys() - {*SECTIONS.values(), *kinds}:
        raise ValueError(f"docs/hooks/config.py has no section for {missing}")
    return markdown.replace(MARK, "\n".join(_lines(models, kinds)))


def _lines(models: dict[str, Schema], kinds: list[str]) -> Iterator[str]:
    for section, name in SECTIONS.items():
        yield f"## {section}\n"
        if section != WEAK:
            yield from _section(models, name)
            continue
        yield "Where weak labels come from: a section with a `kind`, or a list of several.\n"
        for kind in kinds:
            yield f"### kind: {models[kind]['properties']['kind']['const']}\n"
            yield from _section(models, kind)


def _section(models: dict[str, Schema], name: str) -> Iterator[str]:
    known = []
    yield models[name].get("description", "") + "\n"
    if name in ALIKE:
        other = ALIKE[name]
        known = _rows(models[SECTIONS[other]], models)
        yield f"As [{other}](#{other}), but for:\n"
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    yield from (row for row in _rows(models[name], models) if row not in known)
    yield ""


def _rows(model: Schema, models: dict[str, Schema]) -> list[str]:
    rows = []
    for key, field in model["properties"].items():
        default = "required" if key in model.get("required", ()) else _default(field)
        meaning = _meaning(field, models).replace("|", "\\|")
        rows.append(f"| `{key}` | {_type(field)} | {default} | {meaning} |")
    return rows


def _meaning(field: Schema, models: dict[str, Schema]) -> str:
    """Its own text, or that of its type or section.

    Raises
    ------
    ValueError
        It has none.
    """
    for one in (field, *field.get("anyOf", ())):
        if "description" in one:
            return str(one["description"])
    if "const" in field:
        return "What this section is."
    if text := models.get(_name(field), {}).get("description", ""):
        return str(text)
    raise ValueError(f"no text for {field}")


def _name(field: Schema) -> str:
    """Model that a field refers to."""
    return str(field.get("$ref", "")).rpartition("/")[2]


def _type(field: Schema) -> str:
    """In words: names of types, choices, limits; a section is a link."""
    if "$ref" in field:
        section = next(title for title, model in SECTIONS.items() if model == _name(field))
        return f"[{section}](#{slugify(section, '-')})"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    for key in ("anyOf", "oneOf"):
        if key in field:
            kinds = [one for one in field[key] if one.get("type") != "null"]
            if {"type": "string"} in kinds:  # the names beside it are for editors
                kinds = [one for one in kinds if "enum" not in one]
            if "oneOf" in kinds[0]:
                return f"[{WEAK}](#{WEAK}), or a list"
            return " or ".join(map(_type, kinds))
    if field["type"] == "array":
        inside = field.get("items") or field["prefixItems"][0]
        return f"list of {_type(inside)}"
    if field["type"] == "object":
        return f"names with {_type(field['additionalProperties'])}"
    limits = " and ".join(f"{sign} {field[key]}" for key, sign in LIMITS.items() if key in field)
    return f"{field['type']} {limits}".strip()


def _default(field: Schema) -> str:
    value = field.get("default")
    if value is None or value in ([], {}) or len(str(value)) > 80:
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
