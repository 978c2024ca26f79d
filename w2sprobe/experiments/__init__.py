"""Experiments: configs are planned as stages, stages are run, and results are written."""
