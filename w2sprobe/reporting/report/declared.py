"""Report section on what was declared before a run, and how the run differs from it."""

from w2sprobe.declaration import PREREGISTRATION, Declaration
from w2sprobe.errors import InputError
from w2sprobe.reporting.declarations import declaration_tables, declared_table
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.table import Table

NOTHING = (
    "Nothing was declared before this run, so all p values are exploratory. The command w2sprobe "
    "plan declares hypotheses, families of tests and margins before a study is run."
)


def declared_in_report(source: ResultsFolder) -> tuple[str, tuple[Table, ...]]:
    """Introduction, and tables of what was declared and how the run differs from it, if any."""
    record = source.preregistration
    if record is None:
        return NOTHING, ()
    intro = f"Declared {record.written}, SHA-256 {record.sha256}. " + (
        f"{record.stages_done} stages of the study had been run before."
        if record.stages_done
        else "No stage of the study had been run before."
    )
    rows = [("differs from the declaration", text) for text in record.deviations or ("nothing",)]
    declaration, problem = _declaration(source, record.sha256)
    if declaration is None:
        intro = f"{intro} Its content cannot be shown: {problem}"
        return intro, (declared_table(rows),)
    return intro, tuple(
        declaration_tables(declaration, [*rows, _not_declared(source, declaration)])
    )


def _declaration(source: ResultsFolder, sha256: str) -> tuple[Declaration | None, str]:
    """Declaration in the folder of the results, or why it cannot be used."""
    try:
        declaration = Declaration.read(source.folder)
    except InputError as error:
        return None, str(error)
    if declaration is None:
        return None, f"{PREREGISTRATION} is not in the folder of the results."
    if declaration.sha256 != sha256:
        return None, f"{PREREGISTRATION} is another file, with the SHA-256 {declaration.sha256}."
    return declaration, ""


def _not_declared(source: ResultsFolder, declaration: Declaration) -> tuple[str, str]:
    known = {declaration.against, *declaration.family}
    others = [name for name in source.methods if name not in known]
    methods = f" The methods {', '.join(others)}." if others else ""
    return (
        "not declared: exploration",
        f"Every PGR, correlation, sweep of probes and choice of a best method or task.{methods}",
    )
