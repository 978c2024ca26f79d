"""Speed and memory on one device, each beside what the device can do: `w2sprobe bench --device`.

Meant for a GPU. Every part runs on a CPU, too, where tests run them at tiny sizes.
"""

from w2sprobe.bench.device.parts import parts_of
from w2sprobe.bench.device.session import Part, Session
from w2sprobe.bench.device.sizes import FULL, TINY, Sizes
from w2sprobe.bench.device.table import markdown

__all__ = ["FULL", "TINY", "Part", "Session", "Sizes", "markdown", "parts_of"]
