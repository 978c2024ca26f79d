"""Finetuning on a LabelTable: losses, settings, trainer, predictions.

Import the file you need, e.g. `from w2sprobe.training import losses`: this one loads nothing.
"""
