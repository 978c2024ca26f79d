"""Experiments: a config becomes stages, stages become folders, folders become results."""
