from pathlib import Path

import numpy as np
import pytest

from tests.cache.cases import complete
from w2sprobe.cache import ActivationStore, graph_path, read_graph, write_graph
from w2sprobe.errors import StoreDamaged

DISTANCES = np.arange(20, dtype=np.float32).reshape(10, 2)
INDICES = np.arange(20, dtype=np.int64)[::-1].reshape(10, 2)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    complete(tmp_path / "s")
    path = graph_path(tmp_path / "s", "abc")
    write_graph(path, "abc", DISTANCES, INDICES)
    return path


def test_round_trip(graph: Path, tmp_path: Path) -> None:
    distances, indices = read_graph(graph, "abc")
    np.testing.assert_array_equal(distances, DISTANCES)
    np.testing.assert_array_equal(indices, INDICES)
    assert ActivationStore.open(tmp_path / "s").verify() == []


def test_graph_of_another_search_is_refused(graph: Path) -> None:
    with pytest.raises(StoreDamaged, match="graph of another search"):
        read_graph(graph, "def")


def test_reading_and_verify_find_damage(graph: Path, tmp_path: Path) -> None:
    data = bytearray(graph.read_bytes())
    data[data.index(INDICES.tobytes())] ^= 1
    graph.write_bytes(data)
    with pytest.raises(StoreDamaged, match=r"values differ from their checksum.*searched again"):
        read_graph(graph, "abc")
    (problem,) = ActivationStore.open(tmp_path / "s").verify()
    assert "abc.h5" in problem
