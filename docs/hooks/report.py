"""The report of the first reproduction, made from its data: FOLDER/report in the site."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

from w2sprobe.experiments.method_descriptions import describe_methods
from w2sprobe.reporting.report import write_report

FOLDER = "reproduction/version0"


def on_post_build(config: MkDocsConfig) -> None:
    """Write it where its page points to."""
    results = Path(config.docs_dir) / FOLDER / "results"
    out = Path(config.site_dir) / FOLDER / "report"
    write_report([results], out, describe=describe_methods)
