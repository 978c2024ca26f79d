"""A BIG-bench asset of two small tasks, in a home of the test's own."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from w2sprobe import assets
from w2sprobe.atomic import write_json

CLASSES = ("ambivalent", "positive", "negative", "neutral")


def scores(best: str) -> list[tuple[str, float]]:
    return [(name, float(name == best)) for name in CLASSES]


@pytest.fixture
def bigbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("W2SPROBE_HOME", str(tmp_path / "home"))
    folder = assets.asset_path("bigbench")
    examples = [
        ("good", scores("positive")),
        ("bad", scores("negative")),
        ("so so", scores("neutral")),
        ("good", scores("positive")),
        ("unclear", scores("positive")),
        ("unclear", scores("negative")),
        ("tied", [("positive", 1.0), ("negative", 1.0)]),
        (" ", scores("positive")),
        ("awful", scores("negative")),
    ]
    for task in ("multiemo/all_sentence_en", "multiemo/all_sentence_de"):
        columns = {"input": [t for t, _ in examples], "target_scores": [s for _, s in examples]}
        path = folder / f"{task}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns, schema=assets.BIGBENCH_SCHEMA), path)
    write_json(folder / assets.MANIFEST, assets.identity("bigbench"))
    return folder
