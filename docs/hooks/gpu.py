"""The table of GPU measurements, from docs/gpu.json, which `make gpu` writes."""

import json
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig

from w2sprobe.bench.device import markdown as table

MARK = "<!-- gpu -->"
RECORD = "gpu.json"
NOT_RUN = "**Not run yet**: no GPU was available. So no number of this documentation is from a GPU."


def on_page_markdown(markdown: str, config: MkDocsConfig, **_: Any) -> str:
    """Replace the mark of the page that has it."""
    if MARK not in markdown:
        return markdown
    record = Path(config.docs_dir) / RECORD
    measured = record.is_file()
    shown = table(json.loads(record.read_text(encoding="utf-8"))) if measured else NOT_RUN
    return markdown.replace(MARK, shown)
