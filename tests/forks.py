"""Processes that start with everything loaded: a fresh interpreter would take seconds each time."""

import multiprocessing

FORKS = multiprocessing.get_context("forkserver")
# one server for all tests of a process, so one list
FORKS.set_forkserver_preload(
    ["tests.models", "w2sprobe.audit", "w2sprobe.experiments.runner", "w2sprobe.extraction"]
)
