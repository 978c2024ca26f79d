"""Imported last by the process that forks: what it has loaded is left out of collections."""

import gc

gc.freeze()
