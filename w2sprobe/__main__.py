"""`python -m w2sprobe`."""

from w2sprobe.cli import main

main()
