"""Extraction and the store beside their peers, in one run.

python -m benchmarks.cache [--smoke] [extraction|reading|compression|memory ...]

Peers: a loop that asks for all hidden states of one row at a time and saves one tensor; loading
such a file whole and slicing a layer; raw reading of the same bytes.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from w2sprobe.bench.measuring import timed
from w2sprobe.cache import ActivationStore, ActivationWriter
from w2sprobe.data import load_task
from w2sprobe.extraction import extract
from w2sprobe.extraction.forward import Extractor
from w2sprobe.models import describe_model, load_base, load_tokenizer
from w2sprobe.tokens import tokenize

MODEL, TASK = "smollm2-135m", "bigbench:multiemo/all_sentence_en"
LAYERS = range(17)
CPU = torch.device("cpu")


def report(name: str, ours: float, peer: float, target: str) -> None:
    print(f"{name:<58} {ours:8.2f} s {peer:8.2f} s {peer / ours:7.2f}   {target}", flush=True)


def rows_of_task(n: int) -> list[dict[str, str]]:
    rows = load_task(TASK).rows
    chosen = np.random.default_rng(0).permutation(len(rows))[:n]
    return rows.select(chosen).records()


@torch.inference_mode()
def one_by_one(rows: Sequence[dict[str, str]], path: Path) -> None:
    info = describe_model(MODEL)
    network, tokenizer = load_base(info, info.dtype, CPU), load_tokenizer(info.source)
    states = [
        torch.stack(
            [
                layer[0, -1]
                for layer in network(
                    **tokenizer(row["text"], return_tensors="pt"), output_hidden_states=True
                ).hidden_states
            ]
        )
        for row in rows
    ]
    torch.save(torch.stack(states), path)


def forward_only(rows: Sequence[dict[str, str]], layers: Sequence[int]) -> None:
    """The batches that an extraction runs, and nothing else."""
    info = describe_model(MODEL)
    network, tokenizer = load_base(info, info.dtype, CPU), load_tokenizer(info.source)
    texts = [row["text"] for row in rows]
    tokens = tokenize(tokenizer, texts, texts, max_tokens=None)
    spans = np.stack([tokens.lengths - 1, tokens.lengths], axis=1)
    extractor = Extractor(network, average=False, dtype=info.dtype, batch_tokens=512)
    for start in range(0, len(rows), 1024):
        part = slice(start, start + 1024)
        extractor.states(tokens.input_ids[part], spans[part], layers)


def extraction(n: int, folder: Path) -> None:
    rows = rows_of_task(n)
    _, peer = timed(lambda: one_by_one(rows, folder / "peer.pt"))
    _, bare = timed(lambda: forward_only(rows, range(31)))
    _, ours = timed(lambda: extract(MODEL, rows, folder / "all"))
    _, half = timed(lambda: extract(MODEL, rows, folder / "half", layers="0:16"))
    print(f"{n} rows: {n / peer:.1f} a second one by one, {n / ours:.1f} in batches")
    report("extraction, all 31 layers | one row at a time", ours, peer, "target 2.5")
    report("extraction, layers 0 to 15 | one row at a time", half, peer, "target 5")
    report("extraction, all 31 layers | bare forward passes", ours, bare, "target 0.9")
    _, again = timed(lambda: extract(MODEL, rows, folder / "all"))
    print(f"asking for it again: {again:.2f} s")


def make_store(folder: Path, n: int, width: int, compression: str | None) -> ActivationStore:
    writer = ActivationWriter.create(
        folder,
        identity={},
        ids=[str(row) for row in range(n)],
        layers=LAYERS,
        hidden_size=width,
        dtype="bfloat16",
        compression=compression,
    )
    random = np.random.default_rng(0)
    for index, rows in writer.missing():
        shape = (rows.stop - rows.start, width)
        states = {layer: random.normal(size=shape).astype(np.float32) for layer in LAYERS}
        bits = {layer: (x.view(np.uint32) >> 16).astype(np.uint16) for layer, x in states.items()}
        writer.write_shard(index, bits)
    return writer.finish({})


def reading(n: int, width: int, folder: Path) -> None:
    store = make_store(folder / "store", n, width, None)
    tensor = torch.stack([torch.from_numpy(store.read(layer)).bfloat16() for layer in LAYERS])
    torch.save(tensor, folder / "peer.pt")
    tensor[8].view(torch.uint16).numpy().tofile(folder / "raw")

    def load_and_slice() -> torch.Tensor:
        loaded: torch.Tensor = torch.load(folder / "peer.pt", weights_only=True)
        return loaded[8].float()

    def raw() -> np.ndarray:
        bits = np.fromfile(folder / "raw", dtype=np.uint16)
        return (bits.astype(np.uint32) << 16).view(np.float32)

    def opened() -> np.ndarray:
        return ActivationStore.open(folder / "store").read(8)

    values, ours = timed(opened, 5)
    whole, peer = timed(load_and_slice, 3)
    plain, bare = timed(raw, 5)
    assert np.array_equal(values, whole.numpy())
    assert np.array_equal(values.ravel(), plain)
    report("one layer of 17, checksums on | load the file and slice", ours, peer, "target 10")
    report("one layer of 17, checksums on | numpy.fromfile and cast", ours, bare, "target 0.67")


def compression(n: int, folder: Path) -> None:
    rows = rows_of_task(n)
    for name in (None, "bitshuffle-zstd"):
        store = extract(MODEL, rows, folder / str(name), compression=name)
        _, seconds = timed(lambda store=store: [store.read(layer) for layer in store.layers], 3)
        size = sum(file.stat().st_size for file in store.path.rglob("*.h5"))
        print(f"{name or 'plain'}: {size / 1e6:.1f} MB, all layers read in {seconds:.2f} s")


def memory(small: int, large: int) -> None:
    """Peak memory of extractions in processes of their own."""
    peaks = []
    for n in (small, large):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.cache", "--peak", str(n)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout.split()[-1]))
    print(
        f"peak memory: {peaks[0] / 1e6:.0f} MB for {small} rows, {peaks[1] / 1e6:.0f} MB for "
        f"{large} rows, {(peaks[1] - peaks[0]) / 1e6:+.0f} MB   target within 100"
    )


def peak(n: int, folder: Path) -> None:
    rows = rows_of_task(1000)
    many = [
        {"id": str(number), "text": f"{number} {rows[number % len(rows)]['text']}"}
        for number in range(n)
    ]
    extract(MODEL, many, folder / "store", layers="0,1")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("extraction", "reading", "compression", "memory")
    parser.add_argument("parts", nargs="*", default=parts)
    parser.add_argument("--smoke", action="store_true", help="small sizes")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="w2sprobe-benchmark-"))
    try:
        if options.peak:
            peak(options.peak, folder)
            return
        print(f"{torch.get_num_threads()} threads, {MODEL}")
        print(f"{'ours | peer':<58} {'ours':>10} {'peer':>10} {'ratio':>7}")
        for part in options.parts:
            place = folder / part
            place.mkdir()
            if part == "extraction":
                extraction(24 if options.smoke else 2000, place)
            elif part == "reading":
                reading(*((500, 64) if options.smoke else (10_000, 2048)), place)
            elif part == "compression":
                compression(24 if options.smoke else 2000, place)
            else:
                memory(*((24, 48) if options.smoke else (2000, 20_000)))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
