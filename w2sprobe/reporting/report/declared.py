"""Section on what was declared before a run, and where the run differs from it."""

from w2sprobe.declaration import PREREGISTRATION, Declaration
from w2sprobe.errors import InputError
from w2sprobe.reporting.declarations import declaration_tables, declared_table
from w2sprobe.reporting.report.sources import ResultsFolder
from w2sprobe.reporting.table import Table

NOTHING = (
    "Nothing was declared before this run: read p values as exploration. The command w2sprobe plan "
    "declares hypotheses, families of tests and margins before a study is run."
)


def declared_in_report(source: ResultsFolder) -> tuple[str, tuple[Table, ...]]:
    """Intro and tables on the declaration, on deviations and on exploration.

    There are no tables where nothing was declared.
    """
    record = source.preregistration
    if record is None:
        return NOTHING, ()
    intro = f"Declared {record.written}, SHA-256 {record.sha256}. " + (
        f"{record.stages_done} stages of the study had been run by then."
        if record.stages_done
        else "No stage of the study had been run by then."
    )
    rows = [("differs from what was declared", one) for one in record.deviations or ("nothing",)]
    declaration, problem = _declaration(source, record.sha256)
    if declaration is None:
        intro = f"{intro} What it says cannot be shown: {problem}"
        return intro, (declared_table(rows),)
    more = [*rows, _not_declared(source, declaration)]
    return intro, tuple(declaration_tables(declaration, more))


def _declaration(source: ResultsFolder, sha256: str) -> tuple[Declaration | None, str]:
    """Content of the file, or why it cannot be used."""
    try:
        found = Declaration.read(source.folder)
    except InputError as error:
        return None, str(error)
    if found is None:
        return None, f"{PREREGISTRATION} is not in the folder of the results."
    if found.sha256 != sha256:
        return None, f"{PREREGISTRATION} is another file, with the SHA-256 {found.sha256}."
    return found, ""


def _not_declared(source: ResultsFolder, declaration: Declaration) -> tuple[str, str]:
    known = {declaration.against, *declaration.family}
    others = [name for name in source.methods if name not in known]
    methods = f"The methods {', '.join(others)}; " if others else "Beside the tests above, "
    return (
        "not declared: exploration",
        f"{methods}every PGR, correlation, sweep of probes and choice of a best method or task.",
    )
