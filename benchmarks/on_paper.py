"""What the published study needs at 8B and 70B on 8 GPUs, by arithmetic; nothing is run.

python -m benchmarks.on_paper

Qwen1.5-0.5B supervises Llama-3-8B or Llama-3-70B on the 25 tasks of the source experiments.
Operations, disk and memory are those of `w2sprobe.experiments.costs`, which `w2sprobe run
--dry-run` shows for models that are there. Shapes are read on torch's meta device. After `make gpu`
the share of the peak that a model reaches is the one in docs/gpu.json.
"""

import json
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig

from w2sprobe.bench.device.model_parts import random_llama
from w2sprobe.bench.device.peaks import peak_tflops
from w2sprobe.bench.device.sizes import LLAMA_8B
from w2sprobe.experiments import costs
from w2sprobe.experiments.stages import Cost
from w2sprobe.models import CPU_TOKENS, ModelInfo, count_parameters, token_bytes
from w2sprobe.training.settings import TrainSettings

GPU_RECORD = Path(__file__).parents[1] / "docs/gpu.json"
FINETUNING = "finetuning Llama of 8B shape"  # part of the record
QWEN_HALF_B = {  # Qwen1.5-0.5B has Llama's products
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
    "vocab_size": 151_936,
}
LLAMA_70B = {  # Llama-3-70B
    "hidden_size": 8192,
    "intermediate_size": 28_672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "vocab_size": 128_256,
}
SETTINGS = TrainSettings()  # 3 epochs, LoRA of rank 8
TOKENS = 150  # of a row, on average over the tasks
ASSUMED_SHARE = 0.4  # of the peak in bfloat16
READING = 1e9  # bytes a second, of weights into a GPU
PROCESS = 2.4  # seconds to start the process of a stage
# 6 layers, 2,400 rows of width 576, five label vectors, on two cores
VOTES_SPEED = costs.votes_cost(576, 2400, 6, 5).flops / 6.2
VALIDATION = 1000
STUDENTS, RELABELLINGS = 12, 2  # of 14 methods, two are probes
N_GPUS = 8
# of the machine, and what a user waits for
LIMITS = {"GPU memory": 80e9, "disk": 2e12, "host memory": 1e12, "time": 24 * 3600.0}
# rows for training and validation, and for testing; 25 tasks
POOLS = {
    11_000: [668, 3526, 2004, 4166, 5000, 4150, 5000, 1832, 1888, 856, 5000, 5000, 2646, 5000],
    10_674: [2980, 2980],
    10_226: [2148],
    7106: [2474],
    6396: [2458],
    6082: [1984],
    5428: [638],
    5056: [644],
    4912: [472],
    4830: [1912],
    2666: [764],
}


@dataclass(frozen=True)
class Task:
    """Rows of one task."""

    train: int
    test: int

    @property
    def stored(self) -> int:
        return self.train + VALIDATION + self.test


TASKS = [Task((pool - VALIDATION) // 2, test) for pool, tests in POOLS.items() for test in tests]
LARGEST = max(TASKS, key=lambda task: task.stored)


@dataclass(frozen=True)
class Model:
    """A shape, and the precision of its frozen weights in finetuning."""

    name: str
    info: ModelInfo
    precision: str = "bfloat16"
    activation_bytes: float = 0.0

    def extraction(self, task: Task, n_layers: int) -> Cost:
        return costs.extract_cost(self.info, TOKENS * task.stored, task.stored, n_layers)

    def prediction(self, rows: int) -> Cost:
        return costs.forward_cost(self.info, TOKENS * rows, rows)

    def training(self, task: Task, predicted: int) -> Cost:
        tokens = (TOKENS * rows for rows in (task.train, VALIDATION, predicted))
        return costs.train_cost(self.info, SETTINGS, self.precision, *tokens)

    @cached_property
    def checkpoint_bytes(self) -> float:
        """Read by every stage: 4 bits are made while loading."""
        return count_parameters(self.info.source).total * costs.WEIGHT_BYTES[self.info.dtype]

    def seconds(self, cost: Cost, speed: float) -> float:
        """Of a stage: start, read the weights, compute."""
        return PROCESS + self.checkpoint_bytes / READING + cost.flops / speed


@dataclass(frozen=True)
class Study:
    """One seed of the study, on GPUs of one speed."""

    strong: Model
    weak: Model
    speed: float

    def student(self, task: Task) -> float:
        return self.strong.seconds(self.strong.training(task, task.test), self.speed)

    def relabelling(self, task: Task) -> float:
        return self.strong.seconds(self.strong.prediction(task.train), self.speed)

    def supervisor(self, task: Task) -> float:
        return self.weak.seconds(self.weak.training(task, task.stored), self.speed)

    def store(self, task: Task) -> float:
        return self.strong.seconds(self.strong.extraction(task, 1), self.speed)

    def gpu_seconds(self, task: Task) -> float:
        students = (STUDENTS + 1) * self.student(task)  # and the ceiling
        relabellings = RELABELLINGS * self.relabelling(task)
        return self.supervisor(task) + self.store(task) + students + relabellings

    @cached_property
    def total(self) -> float:
        return sum(map(self.gpu_seconds, TASKS))

    @cached_property
    def chain(self) -> float:
        """The longest: weak model, student, labels, student, labels, student."""
        return max(
            self.supervisor(task) + 3 * self.student(task) + 2 * self.relabelling(task)
            for task in TASKS
        )

    @property
    def bounds(self) -> tuple[float, float]:
        """Seconds on 8 GPUs: of any schedule, and of any that lets none idle (Graham)."""
        even = self.total / N_GPUS
        return max(even, self.chain), even + self.chain * (1 - 1 / N_GPUS)


def describe(name: str, shape: dict[str, Any], folder: Path) -> ModelInfo:
    """What the cost functions read of a model: its config, and no weights."""
    source = folder / name
    LlamaConfig(**shape).save_pretrained(source)
    n_layers = shape["num_hidden_layers"]
    return ModelInfo(
        name=name,
        source=str(source),
        n_layers=n_layers,
        layers=range(n_layers + 1),
        hidden_size=shape["hidden_size"],
        vocab_size=shape["vocab_size"],
        dtype="bfloat16",
        quantization="",
        max_tokens=None,
        pad_id=0,
        identity={},
    )


def activations(shape: dict[str, Any]) -> float:
    """Bytes of a micro-batch of the default size, kept for the backward pass."""
    return CPU_TOKENS * token_bytes(random_llama(shape, torch.device("meta")), training=True)


def model_share() -> tuple[float, str]:
    """Share of the peak that finetuning at 8B reaches, and where it is from."""
    if GPU_RECORD.is_file():
        record = json.loads(GPU_RECORD.read_text(encoding="utf-8"))
        peak = record["device"]["peak_tflops"].get("bfloat16")
        rows = record["parts"].get(FINETUNING, {}).get("rows", [])
        if peak and rows:
            share = rows[0]["flops"] / rows[0]["seconds"] / peak / 1e12
            return share, f"measured on {record['device']['name']}, docs/gpu.json"
    return ASSUMED_SHARE, "assumed; `make gpu` measures it"


def needs(study: Study) -> dict[str, tuple[str, float]]:
    """What one seed needs, each with the name of its limit."""
    strong = study.strong
    n_layers, width = strong.info.n_layers + 1, strong.info.hidden_size
    layer = sum(strong.extraction(task, 1).disk_bytes for task in TASKS)
    votes = sum(costs.votes_cost(width, task.stored, 1, 2).flops for task in TASKS) / VOTES_SPEED
    student = strong.training(LARGEST, LARGEST.test).memory_bytes + strong.activation_bytes
    at_least, at_most = study.bounds
    return {
        "a student": ("GPU memory", student),
        "extraction in bfloat16": ("GPU memory", strong.extraction(LARGEST, 1).memory_bytes),
        "8 stages that load weights": ("host memory", N_GPUS * strong.checkpoint_bytes),
        "stores, the published layer": ("disk", layer),
        "stores, all layers": ("disk", n_layers * layer),
        "probes of the published layer": ("time", votes),
        "probes of all layers": ("time", n_layers * votes),
        "a student of the largest task": ("time", study.student(LARGEST)),
        "all models on 8 GPUs, at least": ("time", at_least),
        "all models on 8 GPUs, at most": ("time", at_most),
        "the same on one GPU": ("time", study.total),
    }


def print_constants(share: float, source: str) -> None:
    print("| constant | value | from |")
    print("|---|---|---|")
    for row in (
        ("rows of the 25 tasks", f"{sum(task.stored for task in TASKS):,} stored", "published"),
        ("methods", f"ceiling, {STUDENTS} students, {RELABELLINGS} relabellings", "published"),
        ("tokens per row", TOKENS, "assumed"),
        ("share of a GPU's peak in bfloat16", f"{100 * share:.0f} %", source),
        ("weights into a GPU", f"{READING / 1e9:.0f} GB/s", "assumed"),
        ("start of a process", f"{PROCESS} s", "`benchmarks.study`, two cores"),
        ("probes", f"{VOTES_SPEED / 1e9:.0f} GFLOP/s", "`benchmarks.probe_study`, two cores"),
    ):
        print(f"| {' | '.join(map(str, row))} |")


def print_needs(studies: list[Study]) -> None:
    """A table of the needs, bold beyond their limit, and which comes nearest to it."""
    columns = [needs(study) for study in studies]
    print(f"\n| need | limit | {' | '.join(study.strong.name for study in studies)} |")
    print(f"|---|---|{'---|' * len(studies)}")
    for name, (limit, _) in columns[0].items():
        cells = [_cell(limit, column[name][1]) for column in columns]
        print(f"| {name} | {_amount(limit, LIMITS[limit])} | {' | '.join(cells)} |")
    print()
    for study, column in zip(studies, columns, strict=True):
        shares = {name: amount / LIMITS[limit] for name, (limit, amount) in column.items()}
        del shares["the same on one GPU"]
        first = max(shares, key=lambda name: shares[name])
        print(f"- {study.strong.name}: first is {first}, {100 * shares[first]:.0f} % of its limit.")


def _cell(limit: str, amount: float) -> str:
    shown = f"{_amount(limit, amount)} ({100 * amount / LIMITS[limit]:.0f} %)"
    return f"**{shown}**" if amount > LIMITS[limit] else shown


def _amount(limit: str, value: float) -> str:
    return f"{value / 3600:.3g} h" if limit == "time" else f"{value / 1e9:,.0f} GB"


def main() -> None:
    """Print the constants, and the needs of each size."""
    share, source = model_share()
    print_constants(share, source)
    speed = share * peak_tflops("H100")["bfloat16"] * 1e12
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weak = Model("weak", describe("qwen", QWEN_HALF_B, folder))
        small, large = describe("8b", LLAMA_8B, folder), describe("70b", LLAMA_70B, folder)
        small_bytes, large_bytes = activations(LLAMA_8B), activations(LLAMA_70B)
        models = (
            Model("8B", small, activation_bytes=small_bytes),
            Model("70B", large, activation_bytes=large_bytes),
            Model("70B, students in 4 bits", large, "4bit", large_bytes),
        )
        print_needs([Study(strong, weak, speed) for strong in models])


if __name__ == "__main__":
    main()
