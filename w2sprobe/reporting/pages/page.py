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

# all values are escaped: texts of data sets may contain markup
ENVIRONMENT = Environment(
    loader=PackageLoader("w2sprobe.reporting.pages", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True)
class Page:
    """A page: template, values, styles and scripts.

    Parameters
    ----------
    template : str
        File in `templates/`; it extends base.html.j2.
    values : dict
        Variables of the template. Data for scripts goes through the filter `tojson` into a script
        element of type application/json.
    styles, scripts : sequence of str
        Texts that follow page.css and page.js; scripts run in this order.
    evaluates : bool, default False
        Allow `unsafe-eval`, which Plotly's WebGL needs. Injected attributes and scripts still do
        not run.
    """

    template: str
    title: str
    values: dict[str, Any]
    styles: Sequence[str] = ()
    scripts: Sequence[str] = ()
    evaluates: bool = False

    def render(self) -> str:
        """Render the page as HTML.

        Its content security policy allows no requests, and only scripts with known hashes: an
        attribute such as onerror does nothing, even if it got into the page.
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
    """Write a page atomically."""
    text = page.render()
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def resource(name: str) -> str:
    """Text of a file in `assets/`."""
    return files("w2sprobe.reporting.pages").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """Hash of a script for a content security policy (CSP 3, section 2.3.1)."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
