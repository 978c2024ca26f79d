"""Probes on stores: what is to be fitted, and the votes that come of it.

Import the file you need, as in `from w2sprobe.probing.cast import cast_votes`: this loads nothing.
"""
