"""Fit probes on stored activations and predict rows with them.

This file imports nothing, so that reading a config loads neither torch nor the probes:
`from w2sprobe.probing.sweep import sweep`.
"""
