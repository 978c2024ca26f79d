"""Pages in one file: escaped texts, and a policy that runs known scripts only."""

import base64
import hashlib
import re
from pathlib import Path

import pytest
from jinja2 import ChoiceLoader, DictLoader, UndefinedError

from tests.reporting.cases import HOSTILE
from w2sprobe.reporting.pages import ENVIRONMENT, Page, write_page

TEMPLATE = """{% extends "base.html.j2" %}{% block body %}<p>{{ words }}</p>
<script type="application/json">{{ words | tojson }}</script>{% endblock %}"""


@pytest.fixture(autouse=True)
def _template(monkeypatch: pytest.MonkeyPatch) -> None:
    loaders = [DictLoader({"test.html.j2": TEMPLATE}), ENVIRONMENT.loader]
    monkeypatch.setattr(ENVIRONMENT, "loader", ChoiceLoader(loaders))


def policy(html: str) -> str:
    return html.split("script-src", 1)[1].split(";", 1)[0]


def test_texts_are_escaped_in_titles_bodies_and_data() -> None:
    html = Page("test.html.j2", HOSTILE, {"words": HOSTILE}).render()
    assert HOSTILE not in html
    assert "<title>&lt;script&gt;" in html
    assert "<p>&lt;script&gt;" in html


def test_only_scripts_of_the_page_run() -> None:
    html = Page("test.html.j2", "t", {"words": ""}, scripts=["let x = 1;"]).render()
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert scripts[-1] == "let x = 1;"
    for script in scripts:
        digest = hashlib.sha256(script.encode()).digest()
        assert f"'sha256-{base64.b64encode(digest).decode()}'" in policy(html)
    assert "unsafe" not in policy(html)
    assert "default-src 'none'" in html


def test_evaluation_is_allowed_on_request() -> None:
    html = Page("test.html.j2", "t", {"words": ""}, evaluates=True).render()
    assert "'unsafe-eval'" in policy(html)


def test_a_page_that_cannot_be_rendered_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    write_page(Page("test.html.j2", "t", {"words": "é"}, styles=["p {}"]), file)
    text = file.read_text(encoding="utf-8")
    assert "<p>é</p>" in text
    assert "<style>p {}</style>" in text
    with pytest.raises(UndefinedError, match="words"):
        write_page(Page("test.html.j2", "t", {}), file)
    assert file.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [file]
