"""The pages as a site: built without a warning, whole, and reading nothing from elsewhere."""

import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

from tests.docs.pages import ROOT
from w2sprobe.cli import root
from w2sprobe.experiments.config import PRESETS, study_schema
from w2sprobe.experiments.methods import METHODS

# what a page loads, by tag; a link that a reader may follow is not among them
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
PACKAGES = (
    *("audit", "cache", "comparison", "curation", "data", "extraction"),
    *("metrics", "probes"),
)
MODULES = (  # of packages that load nothing by themselves
    *(
        "probing.probe",
        "probing.curate",
        "probing.fitting",
        "probing.heads",
        "probing.probe_types",
        "probing.rows",
    ),
    *("probing.spec", "probing.sweep", "votes.curated", "votes.picking"),
    *("votes.provenance", "votes.rules", "votes.scores", "votes.selection", "votes.table"),
)


def build(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder), *options],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_first_reproduction_s_report_is_made_from_its_data(site: Path) -> None:
    folder = site / "reproduction/version0/report"
    assert "bigbench:hyperbaton" in (folder / "report.html").read_text()
    assert list((folder / "figures").glob("*.png"))
    assert (site / "reproduction/version0/results/study.json").is_file()


class _Loads(HTMLParser):
    """What a page loads: from elsewhere, and from the site."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.own: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        address = dict(attrs).get(LOADED.get(tag, "")) or ""
        if re.match(r"(https?:)?//", address):
            self.found.append(address)
        elif address and not address.startswith("data:"):
            self.own.append(address)


def page(site: Path, name: str) -> str:
    return (site / name).read_text(encoding="utf-8")


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    loaded = {str(path): _Loads(path.read_text(encoding="utf-8")).found for path in pages}
    assert {path: found for path, found in loaded.items() if found} == {}
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert not re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//", "".join(styles))


def test_what_pages_load_is_there(site: Path) -> None:
    pages = [path for path in site.rglob("*.html") if path.name != "404.html"]  # from the root
    missing = {
        f"{path}: {address}"
        for path in pages
        for address in _Loads(path.read_text(encoding="utf-8")).own
        if not (path.parent / address.split("?")[0]).exists()
    }
    assert missing == set()
    assert "figures/auc.png" in _Loads(page(site, "reproduction/version0/index.html")).own


def test_what_would_be_loaded_is_found() -> None:
    assert _Loads('<a href="https://a.org"><script src="//b.org/x.js"></script>').found == [
        "//b.org/x.js"
    ]


def test_every_command_and_option_is_in_the_reference(site: Path) -> None:
    text = page(site, "reference/commands.html")
    seen = 0
    for path, command in walk(root, "w2sprobe"):
        assert f'id="{path.replace(" ", "-")}"' in text, path
        for option in command.params:
            assert option.param_type_name == "argument" or option.opts[0] in text
            seen += 1
    assert seen > 100


def walk(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from walk(command, f"{path} {name}")


def test_every_config_key_method_and_preset_is_in_the_reference(site: Path) -> None:
    text = page(site, "reference/config.html")
    schema = study_schema()
    keys = {key for model in [schema, *schema["$defs"].values()] for key in model["properties"]}
    assert len(keys) > 50
    assert [key for key in keys if f"<td><code>{key}</code></td>" not in text] == []
    methods = page(site, "reference/methods.html")
    assert [name for name in METHODS if f"<td><code>{name}</code></td>" not in methods] == []
    assert [name for name in PRESETS if f'id="{name}"' not in methods] == []


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    text = "".join(page(site, str(path)) for path in (site / "reference/api").glob("*.html"))
    known = {anchor.split(".")[-1] for anchor in re.findall(r'id="(w2sprobe\.[\w.]+)"', text)}
    for name in PACKAGES:
        package = importlib.import_module(f"w2sprobe.{name}")
        names = getattr(package, "__all__", None) or re.findall(
            r"import \w+ as (\w+)", inspect.getsource(package)
        )
        objects = {one: getattr(package, one) for one in names}
        documented = {n for n, o in objects.items() if inspect.isclass(o) or inspect.isfunction(o)}
        assert documented
        assert documented - known == set(), name
    for name in MODULES:
        module = importlib.import_module(f"w2sprobe.{name}")
        documented = {
            n
            for n, o in vars(module).items()
            if getattr(o, "__module__", "") == module.__name__ and not n.startswith("_")
        }
        assert documented
        assert documented - known == set(), name


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    kept = config.partition("nav:\n")[0]
    kept = re.sub(r"hooks:\n(  - .*\n)+", "", kept)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# A\n\n[b](index.md#nowhere)\n")
    (tmp_path / "mkdocs.yml").write_text(kept)
    done = build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert done.returncode == 1
    assert "nowhere" in done.stderr
