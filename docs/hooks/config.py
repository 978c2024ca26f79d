"""The reference of a study's config, from the models that check it."""

from collections.abc import Iterator
from typing import Any

from w2sprobe.experiments.config import StudyConfig

MARK = "<!-- config -->"
TOP = "Top level"
# sections in the order of the page, each with its model
SECTIONS = {
    TOP: "StudyConfig",
    "task": "SharedTask",
    "tasks": "TaskConfig",
    "task.sizes": "SplitSizes",
    "strong": "ModelConfig",
    "weak": "WeakConfig",
    "probes": "ProbeConfig",
    "probes.candidates": "Candidates",
    "sweep": "SweepConfig",
    "strong_to_strong": "StrongToStrongConfig",
    "zero_shot": "ZeroShotConfig",
    "define.NAME": "Method",
    "analysis": "AnalysisConfig",
}
ALIKE = {"tasks": "task", "weak": "strong"}  # only keys that differ are shown
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
    schema = StudyConfig.model_json_schema()
    models: dict[str, Schema] = {**schema["$defs"], "StudyConfig": schema}
    if missing := models.keys() - set(SECTIONS.values()):
        raise ValueError(f"docs/hooks/config.py has no section for {missing}")
    return markdown.replace(MARK, "\n".join(_lines(models)))


def _lines(models: dict[str, Schema]) -> Iterator[str]:
    for section, name in SECTIONS.items():
        model = models[name]
        yield f"## {section}\n"
        if section in ALIKE:
            other = ALIKE[section]
            known = _rows(models[SECTIONS[other]], models)
            yield f"As [{other}](#{other}), but for:\n"
        else:
            known = []
            yield _summary(model) + "\n"
        yield "| key | type | default | meaning |\n|---|---|---|---|"
        yield from (row for row in _rows(model, models) if row not in known)
        yield ""


def _summary(model: Schema) -> str:
    """First line of its docstring; what follows is for readers of the code."""
    return str(model.get("description", "")).partition("\n")[0]


def _rows(model: Schema, models: dict[str, Schema]) -> list[str]:
    rows = []
    for key, field in model["properties"].items():
        default = "required" if key in model.get("required", ()) else _default(field)
        section = models.get(field.get("$ref", "").rpartition("/")[2], {})
        meaning = field.get("description", _summary(section)).replace("|", "\\|")
        rows.append(f"| `{key}` | {_type(field)} | {default} | {meaning} |")
    return rows


def _type(field: Schema) -> str:
    """In words: names of types, choices, limits; a section is a link."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        section = next(title for title, model in SECTIONS.items() if model == name)
        return f"[{section}](#{section.lower().replace('.', '')})"
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    for key in ("anyOf", "oneOf"):
        if key in field:
            kinds = [one for one in field[key] if one.get("type") != "null"]
            if {"type": "string"} in kinds:  # the names beside it are for editors
                kinds = [one for one in kinds if "enum" not in one]
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
