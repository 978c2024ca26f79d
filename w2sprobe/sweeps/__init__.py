"""Sweeps: every layer of a store, every setting of its probes; held out, scored, chosen from."""

from w2sprobe.sweeps.choose import Choice, Choices, choose
from w2sprobe.sweeps.run import Sweep, sweep
from w2sprobe.sweeps.selection import Selection, select
from w2sprobe.sweeps.settings import SweepSettings

__all__ = ["Choice", "Choices", "Selection", "Sweep", "SweepSettings", "choose", "select", "sweep"]
