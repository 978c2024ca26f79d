"""Pages in Debian's chromium, driven by Playwright: what they log, ask for and show."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = [
    "--no-sandbox",
    # WebGL by software, which --disable-gpu has too, but complains of
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OpenPage = Callable[..., Page]
expect.set_options(timeout=30_000)  # a busy machine is no failure


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield started
        started.close()


@contextmanager
def watched_pages(browser: Browser) -> Iterator[OpenPage]:
    """Open files, `before` run first; at the end, no error may be logged, nothing asked for."""
    complaints: list[str] = []
    pages: list[Page] = []

    def opened(path: Path, *, width: int = 1280, dark: bool = False, before: str = "") -> Page:
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        pages.append(page)
        page.add_init_script(before)
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text) if message.type in ("error", "warning") else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file:", "data:", "blob:"))
                else complaints.append(f"asks for {request.url}")
            ),
        )
        page.goto(path.absolute().as_uri())
        return page

    yield opened
    for page in pages:
        page.close()
    assert not complaints


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    with watched_pages(browser) as opened:
        yield opened


def accessibility_problems(page: Page) -> list[str]:
    """What axe-core finds: contrast, labels, roles; one line a rule, with the first place."""
    return [
        f"{found['id']}: {found['help']}: {found['nodes'][0]['html'][:200]}"
        for found in Axe().run(page).response["violations"]
    ]
