"""A study's results as small files, and the tables and figures of docs/reproduction made of them.

    python -m benchmarks.reproduction collect RESULTS FOLDER
    python -m benchmarks.reproduction tables FOLDER
    python -m benchmarks.reproduction figures FOLDER OUT [--supervisor NAME]

RESULTS is the folder of a study as `w2sprobe run` leaves it, hundreds of MB; FOLDER gets
a few MB, which the repository keeps. `tables` and `figures` read nothing else.
"""

import argparse
from pathlib import Path

from benchmarks.reproduction.collect import collect
from benchmarks.reproduction.figures import draw
from benchmarks.reproduction.study import Study
from benchmarks.reproduction.tables import page


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect", help="write the small files")
    collecting.add_argument("results", type=Path)
    collecting.add_argument("folder", type=Path)
    commands.add_parser("tables", help="print Markdown").add_argument("folder", type=Path)
    drawing = commands.add_parser("figures", help="write PNGs")
    drawing.add_argument("folder", type=Path)
    drawing.add_argument("out", type=Path)
    drawing.add_argument(
        "--supervisor",
        default="200 rows",
        help="part of a supervisor's name (default: %(default)s); of several that have it, or "
        "where none has, the first",
    )
    given = parser.parse_args()
    if given.command == "collect":
        collect(given.results, given.folder)
    elif given.command == "tables":
        print(page(Study.read(given.folder)))
    else:
        draw(Study.read(given.folder), given.out, given.supervisor)


if __name__ == "__main__":
    main()
