"""Probes on stores: what is to be fitted, and the votes that come of it.

Import the file you need, such as `w2sprobe.probing.cast`: this one loads nothing.
"""
