"""The table of methods and the presets, from the code."""

from importlib.resources import files
from typing import Any

from w2sprobe.experiments.config import PRESETS
from w2sprobe.experiments.method_descriptions import describe_method
from w2sprobe.experiments.methods import DEFAULT_METHODS, METHODS, Method

METHODS_MARK = "<!-- methods -->"
PRESETS_MARK = "<!-- presets -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the marks of the page that has them."""
    if METHODS_MARK not in markdown:
        return markdown
    return markdown.replace(METHODS_MARK, _table()).replace(PRESETS_MARK, _presets())


def _table() -> str:
    rows = "\n".join(_row(name, method) for name, method in METHODS.items())
    head = "| method | what predicts the test rows | run by default | entry |\n|---|---|---|---|"
    return f"{head}\n{rows}"


def _row(name: str, method: Method) -> str:
    entry = method.model_dump(exclude_defaults=True)
    shown = ", ".join(f"{key}: {value}" for key, value in entry.items())
    default = "yes" if name in DEFAULT_METHODS else ""
    return f"| `{name}` | {describe_method(method)} | {default} | `{shown}` |"


def _presets() -> str:
    folder = files("w2sprobe.experiments") / "presets"
    return "\n\n".join(
        f"### {name}\n\n```yaml\n{(folder / f'{name}.yaml').read_text(encoding='utf-8')}```"
        for name in PRESETS
    )
