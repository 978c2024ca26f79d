"""Printing of comparisons of methods, shared by several commands."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from w2sprobe.cli._tables import print_table

if TYPE_CHECKING:
    from w2sprobe.comparison import Overview
    from w2sprobe.results import StudyResults


def print_overview(result: "Overview") -> None:
    """Print matrices of several pairs of models, then comparisons, gains and notes."""
    from w2sprobe.comparison import pair_name
    from w2sprobe.reporting.comparison import comparison_tables
    from w2sprobe.reporting.gains import gain_tables
    from w2sprobe.reporting.matrix import matrix_tables

    several = any(len(matrix.cells) > 1 for matrix in result.matrices)
    if several:
        for matrix in result.matrices:
            for table in matrix_tables(matrix):
                print_table(table)
    for comparison in result.comparisons:
        if several:
            pair = pair_name((comparison.weak_model, comparison.strong_model))
            click.echo(f"--- {pair}")
        for table in comparison_tables(comparison):
            print_table(table)
        for note in comparison.notes:
            click.echo(f"Note: {note}")
    for table in gain_tables(result.gains):
        print_table(table)
    for note in result.notes:
        click.echo(f"Note: not compared: {note}")


def print_study(study: "StudyResults", out: Path) -> None:
    """Print a study's tables, comparisons over tasks, other tasks, warnings and file names."""
    from w2sprobe.comparison import SCORES, study_overview
    from w2sprobe.reporting.scores import n_tasks, study_tables
    from w2sprobe.reporting.transfer import transfer_tables
    from w2sprobe.results import STUDY

    for table in study_tables(study):
        print_table(table)
    result = study_overview(study, out) if n_tasks(study.summary) > 1 else None
    if result is not None:
        print_overview(result)
    for table in transfer_tables(study.summary, study.transfer):
        print_table(table)
    for message in study.warnings:
        click.echo(f"Warning: {message}")
    click.echo(f"{out / STUDY}  {out / SCORES}")
