"""The explorer at full size: how long its page takes to make, how large it is, how it answers.

    python -m benchmarks.explorer [--rows 10000] [--width 576] [--layers 7] [--smoke]

Made-up activations: class means that drift apart with the layer, and texts of 200 characters.
Chromium (Playwright) draws without a GPU. A time ends with the first frame after the plot is done.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

from w2sprobe.cache import ActivationStore, ActivationWriter
from w2sprobe.explorer import explore, explorer_page
from w2sprobe.labels import LabelTable
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.reporting.pages import write_page

WORDS = np.array(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])
# from the event to the first frame after Plotly's last word
TIMED = """async ([name, value]) => {
  const plot = document.getElementById("plot");
  const control = document.getElementById(name);
  const drawn = new Promise((done) => plot.once("plotly_afterplot", done));
  const start = performance.now();
  control.value = value;
  control.dispatchEvent(new Event("input", { bubbles: true }));
  await drawn;
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  return performance.now() - start;
}"""
CHANGES = {
    "another layer, for the first time": [("layer", str(n)) for n in (0, 1, 5, 6, 2)],
    "another layer, again": [("layer", str(n)) for n in (0, 1, 5, 6, 2)],
    "another k": [("k", str(n)) for n in (0, 1, 2, 3, 4)],
    "another colour": [("colour", name) for name in ("weak", "probe", "truth", "gap", "weak")],
    "a letter of a search": [("search", "seven"[: n + 1]) for n in range(5)],
}


def make_store(folder: Path, n: int, width: int, layers: int) -> tuple[ActivationStore, np.ndarray]:
    random = np.random.default_rng(0)
    truth = np.arange(n) % 2
    new = ActivationWriter.create(
        folder,
        identity={},
        ids=[f"{row:016x}" for row in range(n)],
        layers=range(layers),
        hidden_size=width,
        dtype="float32",
        rows_per_shard=n,
    )
    scale = np.linspace(3, 0.3, width)
    ((index, _),) = new.missing()
    new.write_shard(
        index,
        {
            layer: (random.normal(size=(n, width)) * scale + 0.1 * layer * truth[:, None]).astype(
                np.float32
            )
            for layer in range(layers)
        },
    )
    return new.finish({}), truth


def make_texts(ids: np.ndarray) -> dict[str, str]:
    random = np.random.default_rng(1)
    return {name: " ".join(WORDS[random.integers(0, len(WORDS), 42)]) for name in ids.tolist()}


def measure(page: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    options = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=browser, args=[*options, "--enable-unsafe-swiftshader"]
        )
        opened = started.new_page(viewport={"width": 1280, "height": 900})
        start = time.perf_counter()
        opened.goto(page.as_uri())
        opened.wait_for_function("document.getElementById('plot')._fullLayout?.xaxis?.range")
        print(f"{'opened and drawn':<36}{time.perf_counter() - start:8.2f} s")
        for name, changes in CHANGES.items():
            times = [opened.evaluate(TIMED, list(change)) for change in changes]
            least, most = min(times), max(times)
            print(f"{name:<36}{np.median(times):8.0f} ms   ({least:.0f} to {most:.0f})")
        started.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--layers", type=int, default=7)
    parser.add_argument("--smoke", action="store_true", help="300 rows of width 8")
    given = parser.parse_args()
    n, width = (300, 8) if given.smoke else (given.rows, given.width)
    with tempfile.TemporaryDirectory() as folder:
        store, truth = make_store(Path(folder) / "store", n, width, given.layers)
        soft = np.clip(0.5 + 0.3 * (truth - 0.5) + np.random.default_rng(2).normal(0, 0.2, n), 0, 1)
        table = LabelTable(store.ids, soft)
        rows = ProbedRows("labelled", store.ids, {}, LabelTable(store.ids, truth))
        for name in ("made", "made again, neighbours stored"):
            start = time.perf_counter()
            data = explore(store, table, rows, make_texts(store.ids), layers=store.layers)
            page = Path(folder) / "explorer.html"
            write_page(explorer_page(data, "Explorer"), page)
            print(f"{name:<36}{time.perf_counter() - start:8.1f} s")
        print(f"{'file':<36}{page.stat().st_size / 1e6:8.1f} MB")
        measure(page)


if __name__ == "__main__":
    main()
