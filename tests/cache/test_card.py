"""What a card says of a store; `datasets` reads its front matter in test_export, test_transfer."""

from pathlib import Path

import pytest
import yaml

from tests.cache.cases import complete, values, write, writer
from tests.cache.foreign import store_of
from w2sprobe.cache import export_store


def card(store: Path, folder: Path, **options: object) -> tuple[dict, str]:
    export_store(store, folder, **options)
    _, front, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


def facts(text: str) -> dict[str, str]:
    rows = [line.split(" | ", 1) for line in text.splitlines() if line.startswith("| ")]
    return {row[0].removeprefix("| "): row[1].removesuffix(" |") for row in rows if len(row) == 2}


def test_a_card_says_what_the_values_depend_on(tmp_path: Path) -> None:
    revision = {"repository": "org/model", "revision": "0f3a"}
    identity = {"format": 2, "model": revision, "rows": "ab|c", "position": "last", "dtype": "x"}
    store = writer(tmp_path / "s", "bfloat16", identity=identity, model="org/model")
    write(store, values("bfloat16"))
    store.finish({})
    front, text = card(tmp_path / "s", tmp_path / "out", license="apache-2.0")
    assert front["license"] == "apache-2.0"
    assert "w2sprobe" in front["tags"]
    shown = facts(text)
    assert shown["model, revision"] == "0f3a"
    assert shown["layers"].startswith("0, 3 (")
    assert (shown["rows"], shown["width"], shown["position"]) == ("10", "6", "last")
    assert shown["type"] == "float32, from bfloat16"
    assert shown["hash of ids and texts"] == r"ab\|c"
    assert "Licence: apache-2.0" in text


def test_no_licence_is_made_up(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    front, text = card(tmp_path / "s", tmp_path / "out")
    assert "license" not in front
    assert "Licence: not stated" in text


@pytest.mark.parametrize("kind", ["float32", "ragged", "chats"])
@pytest.mark.parametrize("file_format", ["parquet", "npy"])
def test_the_code_of_a_card_loads_the_layer(
    kind: str, file_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(kind, tmp_path / "s")
    front, text = card(tmp_path / "s", tmp_path / "out", format=file_format)
    assert ("configs" in front) == (file_format == "parquet")
    assert ("0 the template's" in text) == (kind == "chats")
    monkeypatch.chdir(tmp_path if file_format == "parquet" else tmp_path / "out")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    names: dict = {}
    exec(text.partition("```python\n")[2].partition("```")[0], names)
    n_vectors = int(store.offsets[1]) if store.ragged else len(store)
    found = names["first"] if store.ragged and file_format == "npy" else names["vectors"]
    assert found.shape == (n_vectors, store.hidden_size)
    assert (found == store.read(0, [0] if store.ragged else None)).all()
    assert [str(name) for name in names["ids"]] == store.ids.tolist()
