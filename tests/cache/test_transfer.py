from pathlib import Path

import fsspec
import numpy as np
import pytest
import yaml

from tests.cache.cases import IDS, complete, contents, values, write, writer
from tests.cache.conftest import Hub
from tests.cache.foreign import KINDS, assert_same, by_datasets, store_of
from w2sprobe.cache import ActivationStore, copy_store, push_store
from w2sprobe.errors import InputError, OutputError, StoreDamaged, StoreMismatch


def test_a_copied_store_is_the_same(bucket: str, tmp_path: Path) -> None:
    complete(tmp_path / "s", "bfloat16")
    sent = push_store(tmp_path / "s", bucket)
    assert sent[-1] == "manifest.json"
    back = copy_store(bucket, tmp_path / "back")
    assert back.verify() == []
    one, other = contents(tmp_path / "s"), contents(tmp_path / "back")
    assert all(one[name] == other[name] for name in one if name != "manifest.json")


def test_single_layers_are_copied(bucket: str, tmp_path: Path) -> None:
    complete(tmp_path / "s")
    push_store(tmp_path / "s", bucket, [3])
    assert ActivationStore.open(bucket).layers == (3,)
    with pytest.raises(InputError, match="no layer 0"):
        copy_store(bucket, tmp_path / "none", [0])
    copy_store(bucket, tmp_path / "back", [3])
    grown = copy_store(tmp_path / "s", tmp_path / "back")
    assert grown.layers == (0, 3)
    np.testing.assert_array_equal(grown.read(0), values("float32")[0])


def test_nothing_is_overwritten_and_no_damage_is_copied(bucket: str, tmp_path: Path) -> None:
    complete(tmp_path / "s")
    push_store(tmp_path / "s", bucket)
    other = writer(tmp_path / "other", identity={"model": "another"})
    write(other, values("float32"))
    other.finish({})
    with pytest.raises(OutputError, match=r"another store is there: .* in .*memory:.*bucket"):
        push_store(tmp_path / "other", bucket)
    with pytest.raises(OutputError, match=r"layers \[0\] would be lost"):
        push_store(tmp_path / "s", bucket, [3])
    with pytest.raises(StoreMismatch):
        copy_store(tmp_path / "other", tmp_path / "s")
    shard = tmp_path / "s/shards/00001.h5"
    data = bytearray(shard.read_bytes())
    data[-5] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreDamaged, match="shard 1"):
        push_store(tmp_path / "s", "memory://elsewhere")
    assert not fsspec.filesystem("memory").exists("/elsewhere")
    assert ActivationStore.open(bucket).ids.tolist() == IDS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows_per_shard": 3}, "rows per shard: the target has 3, the source 4"),
        ({"compression": "bitshuffle-zstd"}, "the target has bitshuffle-zstd, the source none"),
        ({"ids": [f"other-{row}" for row in IDS]}, "another store is there"),
    ],
)
def test_shards_that_the_old_manifest_cannot_read_are_not_sent(
    changes: dict, message: str, tmp_path: Path
) -> None:
    complete(tmp_path / "s")
    old = writer(tmp_path / "target", **changes)
    write(old, values("float32"))
    old.finish({})
    before = contents(tmp_path / "target")
    with pytest.raises(OutputError, match=message):
        push_store(tmp_path / "s", tmp_path / "target")
    assert contents(tmp_path / "target") == before


def test_more_layers_are_sent_to_the_same_target(bucket: str, tmp_path: Path) -> None:
    complete(tmp_path / "s")
    push_store(tmp_path / "s", bucket, [3])
    push_store(tmp_path / "s", bucket)
    sent = ActivationStore.open(bucket)
    assert (sent.layers, sent.verify()) == ((0, 3), [])


def test_a_lost_shard_is_copied_with_every_layer_of_the_target(tmp_path: Path) -> None:
    complete(tmp_path / "s")
    copy_store(tmp_path / "s", tmp_path / "copy")
    copy_store(tmp_path / "s", tmp_path / "one layer", [3])
    (tmp_path / "copy/shards/00001.h5").unlink()
    with pytest.raises(InputError, match=r"shard 1 of the target is lost .* no layer 0"):
        copy_store(tmp_path / "one layer", tmp_path / "copy")
    assert copy_store(tmp_path / "s", tmp_path / "copy", [3]).verify() == []


def front_matter(folder: Path) -> dict:
    return yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_pushed_store_is_read_by_datasets_and_pulled(kind: str, hub: Hub, tmp_path: Path) -> None:
    store = store_of(kind, tmp_path / "s")
    folder = hub.make("datasets/me/acts")
    sent = push_store(tmp_path / "s", "hf://datasets/me/acts", license="cc-by-4.0")
    assert {"README.md", "parquet/layer_3/00002.parquet", "manifest.json"} <= set(sent)
    assert hub.commits == [len(sent)]
    for layer in store.layers:
        assert_same(by_datasets(folder, layer, tmp_path), store, layer)
    assert front_matter(folder)["license"] == "cc-by-4.0"
    card = (folder / "README.md").read_text()
    assert 'load_dataset("me/acts", "layer_0", split="train")' in card
    assert "`w2sprobe store pull hf://datasets/me/acts FOLDER`" in card
    back = copy_store("hf://datasets/me/acts", tmp_path / "back")
    assert back.verify() == []
    np.testing.assert_array_equal(back.read(3), store.read(3))


def test_a_card_that_was_edited_stays_when_layers_are_added(hub: Hub, tmp_path: Path) -> None:
    store = complete(tmp_path / "s")
    folder = hub.make("datasets/me/acts")
    (folder / "README.md").write_text("---\nlicense: mit\npretty_name: Ours\n---\n")
    push_store(tmp_path / "s", "hf://datasets/me/acts@main", [3])
    made = (folder / "README.md").read_text()
    assert "# Hidden states of" in made, "the text was empty"
    (folder / "README.md").write_text(made.replace("# Hidden states of", "# Our states of"))
    push_store(tmp_path / "s", "hf://datasets/me/acts")
    front = front_matter(folder)
    assert (front["license"], front["pretty_name"]) == ("mit", "Ours")
    assert [config["config_name"] for config in front["configs"]] == ["layer_0", "layer_3"]
    assert "# Our states of" in (folder / "README.md").read_text()
    assert_same(by_datasets(folder, 0, tmp_path), store, 0)
    push_store(tmp_path / "s", "hf://datasets/me/acts", license="cc0-1.0")
    assert front_matter(folder)["license"] == "cc0-1.0"


@pytest.mark.parametrize("front", ["a: [", "- only\n- a list"])
def test_a_card_that_is_no_yaml_is_left_alone(front: str, hub: Hub, tmp_path: Path) -> None:
    complete(tmp_path / "s")
    folder = hub.make("datasets/me/acts")
    (folder / "README.md").write_text(f"---\n{front}\n---\n")
    with pytest.raises(OutputError, match=r"front matter of README\.md cannot be read"):
        push_store(tmp_path / "s", "hf://datasets/me/acts")
    assert [path.name for path in folder.iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("target", "card"),
    [
        ("hf://datasets/me/acts", True),
        ("hf://datasets/me/acts/", True),
        ("hf://datasets/me/acts@main", True),
        ("hf://datasets/me/acts/llama", False),  # `datasets` reads no card of a subfolder
        ("hf://buckets/me/acts", False),
        ("elsewhere", False),
    ],
)
def test_a_card_is_sent_to_repositories_unless_told_otherwise(
    target: str, card: bool, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    complete(tmp_path / "s")
    for kind in ("datasets", "buckets"):
        hub.make(f"{kind}/me/acts")
    assert ("README.md" in push_store(tmp_path / "s", target)) == card
    assert ActivationStore.open(target).layers == (0, 3)
    assert "README.md" in push_store(tmp_path / "s", target, card=True)
    assert "README.md" not in push_store(tmp_path / "s", target, card=False)


def test_a_bucket_of_the_hub_holds_a_store(hub: Hub, tmp_path: Path) -> None:
    store = complete(tmp_path / "s", "bfloat16")
    hub.make("buckets/me/bucket")
    sent = push_store(tmp_path / "s", "hf://buckets/me/bucket/llama/acts")
    assert (sent[-1], hub.commits) == ("manifest.json", [])
    there = ActivationStore.open("hf://buckets/me/bucket/llama/acts")
    np.testing.assert_array_equal(there.read(3, [7, 1]), store.read(3, [7, 1]))
    assert copy_store("hf://buckets/me/bucket/llama/acts", tmp_path / "back").verify() == []


@pytest.mark.parametrize("target", ["hf://datasets/me/none", "hf://buckets/me/none/acts"])
def test_a_repository_or_bucket_must_exist(target: str, hub: Hub, tmp_path: Path) -> None:
    complete(tmp_path / "s")
    with pytest.raises(OutputError, match=r"no repository or bucket .*me/none.* Create it with"):
        push_store(tmp_path / "s", target)
