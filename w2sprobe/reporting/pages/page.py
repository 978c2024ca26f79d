"""Render a template to one HTML file that works offline."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from w2sprobe.atomic import atomic_path

# values are escaped wherever they stand: texts of data sets may hold anything
ENVIRONMENT = Environment(
    loader=PackageLoader("w2sprobe.reporting.pages", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Page:
    """Template, values, styles and scripts of a page.

    Parameters
    ----------
    template : str
        Name in `templates/`; it extends base.html.j2.
    values : dict
        What the template asks for, beside the above. JSON data goes through the filter `tojson`,
        into a script element of type application/json.
    styles, scripts : sequence of str
        Texts that are put into the page after its own; scripts run in this order.
    evaluates : bool, default False
        Allow `unsafe-eval`, which Plotly's WebGL needs. Injected attributes and scripts are still
        not run.
    """

    template: str
    title: str
    values: dict[str, Any]
    styles: Sequence[str] = ()
    scripts: Sequence[str] = ()
    evaluates: bool = False

    def render(self) -> str:
        """The page as HTML.

        Its policy lets no request leave it and runs only the scripts that are known by their hash:
        an attribute such as onerror does nothing, even where it would get into the page.
        """
        scripts = [resource("page.js"), *self.scripts]
        return ENVIRONMENT.get_template(self.template).render(
            title=self.title,
            styles=[resource("page.css"), *self.styles],
            scripts=scripts,
            script_sources=[
                *(_hash(script) for script in scripts),
                *(["unsafe-eval"] if self.evaluates else []),
            ],
            **self.values,
        )


def write_page(page: Page, path: Path) -> None:
    """Write a page atomically.

    Parameters
    ----------
    path : Path
        Of the HTML file.
    """
    text = page.render()
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def resource(name: str) -> str:
    """Text of a file beside the templates."""
    return files("w2sprobe.reporting.pages").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """As a content security policy names a script (CSP 3, section 2.3.1)."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
