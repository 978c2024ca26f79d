"""Notebooks as pages: their Markdown as it is, their code fenced, no outputs."""

from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page beside every notebook."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        path = Path(str(notebook.abs_src_path))
        page = File.generated(
            config,
            f"{notebook.src_uri.removesuffix('.ipynb')}.md",
            content=_markdown(path) + f"\n\n[The notebook itself]({path.name})\n",
        )
        files.append(page)
    return files


def _markdown(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "\n\n".join(
        cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```"
        for cell in cells
    )
