"""What a study of Llama-3-8B over 25 tasks needs, by arithmetic; nothing is run.

python -m benchmarks.on_paper

Operations of LoRA finetuning: 2 N a token forwards and 2 N backwards (frozen weights need no
gradients), 2 N for predictions. Sizes of tasks are those of the source experiments.
"""

from dataclasses import dataclass

N_STRONG, N_WEAK = 8.0e9, 0.5e9  # parameters
TOKENS = 150  # a row, on average over the tasks
EPOCHS = 3
VALIDATION = 1000
LAYERS, WIDTH, BYTES = 33, 4096, 2  # of a stored row
STRONG_BYTES = 16e9
EFFICIENCY = 0.4  # of the peak in bfloat16
PEAKS = {"H100": 989e12, "A100": 312e12}
START = 60.0  # seconds of a stage to start a process and load a model
STUDENTS = 12  # of 14 methods; two are probes
PROBE = 20.0  # seconds of a probe or a curation, on CPUs
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

    def predicting(self, parameters: float, rows: int) -> float:
        return 2 * parameters * TOKENS * rows

    def training(self, parameters: float, predicted: int) -> float:
        learnt = 4 * parameters * TOKENS * EPOCHS * self.train
        return learnt + self.predicting(parameters, EPOCHS * VALIDATION + predicted)


@dataclass(frozen=True)
class Times:
    """Seconds of a task's stages on one GPU."""

    task: Task
    speed: float

    def stage(self, operations: float) -> float:
        return START + operations / self.speed

    @property
    def store(self) -> float:
        return self.stage(self.task.predicting(N_STRONG, self.task.stored))

    @property
    def weak(self) -> float:
        return self.stage(self.task.training(N_WEAK, self.task.stored))

    @property
    def student(self) -> float:
        return self.stage(self.task.training(N_STRONG, self.task.test))

    @property
    def relabel(self) -> float:
        return self.stage(self.task.predicting(N_STRONG, self.task.train))

    def work(self, seeds: int) -> float:
        """All stages on GPUs: the store, and for each seed weak, ceiling, students, relabelling."""
        return self.store + seeds * (self.weak + (STUDENTS + 1) * self.student + 2 * self.relabel)

    @property
    def longest_chain(self) -> float:
        """Weak model, student, and twice labels and a student; or weak, probe, student."""
        twice = self.weak + 3 * self.student + 2 * self.relabel
        return max(twice, max(self.weak, self.store) + PROBE + self.student)


def main() -> None:
    tasks = [
        Task((pool - VALIDATION) // 2, test) for pool, tests in POOLS.items() for test in tests
    ]
    assert len(tasks) == 25
    row = LAYERS * WIDTH * BYTES
    stored = [row * task.stored for task in tasks]
    largest = max(tasks, key=lambda task: task.stored)
    print(f"a stored row {row / 1e6:.2f} MB; a task at most {max(stored) / 1e9:.1f} GB")
    print(f"stores of all tasks {sum(stored) / 1e9:.0f} GB")
    student = largest.training(N_STRONG, largest.test)
    print(f"a student of the largest task {student:.1e} operations")
    print("\nGPU   seeds  one student  GPU hours  longest chain      8 GPUs        64 GPUs")
    for name, peak in PEAKS.items():
        times = [Times(task, EFFICIENCY * peak) for task in tasks]
        chain = max(time.longest_chain for time in times) / 3600
        one = max(time.student for time in times) / 60
        for seeds in (1, 3):
            hours = sum(time.work(seeds) for time in times) / 3600
            # none is shorter than the first; Graham's bound of those without needless idling
            bounds = [
                f"{max(hours / n, chain):5.2f} to {hours / n + chain * (1 - 1 / n):5.2f} h"
                for n in (8, 64)
            ]
            print(
                f"{name}  {seeds:4}  {one:7.1f} min {hours:9.0f} h {chain:11.2f} h   "
                + "  ".join(bounds)
            )
        share = START * 25 * (STUDENTS + 5) / sum(time.work(1) for time in times)
        print(f"{name}: {100 * share:.0f} % of the GPU hours start processes and load models")
    for n in (8, 64):
        print(f"{n} GPUs that load the model at once read {n * STRONG_BYTES / 1e9:.0f} GB")


if __name__ == "__main__":
    main()
