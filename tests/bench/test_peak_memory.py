import time

import numpy as np
import pytest

from w2sprobe.bench import peak_memory
from w2sprobe.bench.peak_memory import PeakMemory


def test_the_peak_is_that_inside_the_block() -> None:
    held = np.ones(30_000_000)  # 240 MB that are there before
    with PeakMemory() as peak:
        more = np.ones(10_000_000)
        time.sleep(0.1)
        del more
    assert held.nbytes > 200e6
    assert 60 < peak.megabytes < 120


def test_a_call_is_measured_in_a_fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    call = "(lambda array: time.sleep(0.1))(np.ones(8_000_000))"
    monkeypatch.setattr(peak_memory, "CALLS", {"64 MB": call})
    (measured,) = peak_memory.memory(10)
    assert measured.name == "memory above the data, 100 x 512: 64 MB"
    assert measured.unit == "MB"
    # pages that the warm-up call has left are used again
    assert measured.ours < 120
    assert float(measured.agreement.split()[0]) >= 0.1
