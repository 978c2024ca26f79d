"""Engine that runs stages as Ray tasks, on this machine or on a cluster.

Ray does the scheduling, as the outcomes of a stage's inputs are arguments of its task. This module
chooses the resources of a task, packs what is sent with it, and reads its outcome.
"""

import dataclasses
import logging
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from w2sprobe.cache.locks import LOCK_PREFIX
from w2sprobe.errors import InputError, MissingDependency, W2SProbeError
from w2sprobe.experiments.engines import Outcomes, Report, blocked
from w2sprobe.experiments.stages import Cost, Outcome, Stage, Work
from w2sprobe.threads import asked_threads

if TYPE_CHECKING:
    from ray import ObjectRef

RETRIES = 3  # of a stage whose process died
LIBRARIES_BYTES = 700_000_000  # memory of the interpreter with torch, transformers and others
POLL_SECONDS = 0.5
CONNECT_SECONDS = 10.0
PLAIN = (str, int, float, type(None), Path)  # small values, which are sent with the stage


def run_ray(
    stages: Sequence[Stage], report: Report = lambda *_: None, *, address: str | None = None
) -> Outcomes:
    """Run stages as Ray tasks, each as soon as its inputs and resources are available.

    Parameters
    ----------
    stages : sequence of Stage
        Each after its inputs.
    report : callable, optional
        As for `run_local`.
    address : str, optional
        Running cluster: host:port, or "auto" for the one that this machine belongs to. None starts
        one on this machine and stops it at the end. Ignored if Ray is initialised.

    Raises
    ------
    MissingDependency
        Ray is not installed.
    InputError
        There is no cluster at this address, or it has no CPUs.

    Notes
    -----
    A stage takes `OMP_NUM_THREADS` cores, by default one. A stage that runs a language model also
    takes a GPU, if the cluster has one.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingDependency(
            "--engine ray needs ray", advice="Run: pip install 'w2sprobe[ray]'"
        ) from error
    outcomes: Outcomes = {stage.address: Outcome() for stage in stages if stage.done}
    missing = {stage.address: stage for stage in stages if stage.address not in outcomes}
    if not missing:
        return outcomes
    started_here = not ray.is_initialized()
    if started_here:
        _connect(address)
    try:
        tasks = _submit(missing.values())
        try:
            _collect(missing, tasks, outcomes, report)
        except BaseException:  # Ctrl-C, too
            for task in tasks.values():
                ray.cancel(task, force=True)
            raise
    finally:
        if started_here:
            ray.shutdown()
    return outcomes


def _connect(address: str | None) -> None:
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address not in (None, "auto"):
        _check_reachable(str(address))
    try:
        ray.init(
            address=address or "local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except ConnectionError as error:
        raise _no_cluster(str(address), error) from error


def _check_reachable(address: str) -> None:
    """Refuse an address that does not respond, for which Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> InputError:
    return InputError(
        f"no Ray cluster at {address!r} ({error})",
        allowed="auto on a machine of the cluster, or host:port as `ray start` prints it",
        advice="A cluster that asks for a token needs RAY_AUTH_MODE=token here, too.",
    )


def _submit(stages: Iterable[Stage]) -> "dict[str, ObjectRef[Outcome]]":
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    work = ray.remote(max_retries=RETRIES)(_work)
    # a process that is used again would keep its model in memory that Ray does not account for
    work_once = ray.remote(max_retries=RETRIES, max_calls=1)(_work)
    here = str(Path.cwd())
    shared: dict[int, ObjectRef[Any]] = {}
    tasks: dict[str, ObjectRef[Outcome]] = {}
    for stage in stages:
        inputs = {source.address for source in stage.inputs.values()} & tasks.keys()
        options = _requests(stage.cost, nodes)
        task = (work_once if stage.cost.model else work).options(name=stage.title, **options)
        packed = _pack(stage, shared)
        tasks[stage.address] = task.remote(packed, here, *(tasks[one] for one in inputs))
    return tasks


def _requests(cost: Cost, nodes: list[dict[str, float]]) -> dict[str, Any]:
    """Resources that a task requests: at most those of some node, or it would wait for ever."""
    nodes = [node for node in nodes if node.get("CPU", 0) >= 1]
    if not nodes:
        raise InputError("a Ray cluster without CPUs", advice="Start its workers first.")
    n_gpus = int(cost.model and any(node.get("GPU", 0) >= 1 for node in nodes))
    nodes = [node for node in nodes if node.get("GPU", 0) >= n_gpus]
    n_cpus = min(asked_threads() or 1, max(int(node["CPU"]) for node in nodes))
    most = max(int(node.get("memory", 0)) for node in nodes if node["CPU"] >= n_cpus)
    memory = LIBRARIES_BYTES + (0 if n_gpus else cost.memory_bytes)
    environment = {name: text for name, text in os.environ.items() if name.startswith("W2SPROBE_")}
    environment["OMP_NUM_THREADS"] = str(n_cpus)
    if not n_gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ""  # GPUs are kept for models
    return {
        "num_cpus": n_cpus,
        "num_gpus": n_gpus,
        "memory": min(memory, most),
        "runtime_env": {"env_vars": environment},
    }


def _pack(stage: Stage, shared: "dict[int, ObjectRef[Any]]") -> Stage:
    """Make a stage small to send: inputs without their own inputs, large values as Ray objects."""
    packed: dict[str, Any] = {}
    for one in dataclasses.fields(stage.work):
        value = getattr(stage.work, one.name)
        if isinstance(value, Stage):
            packed[one.name] = _done_elsewhere(value)
        elif isinstance(value, dict) and any(isinstance(it, Stage) for it in value.values()):
            packed[one.name] = {name: _done_elsewhere(it) for name, it in value.items()}
        elif not isinstance(value, PLAIN):
            packed[one.name] = _put(value, shared)
    light = dataclasses.replace(stage, work=dataclasses.replace(stage.work, **packed))
    for name in ("address", "params", "inputs"):  # cannot be computed from the packed fields
        value = getattr(stage, name)
        vars(light)[name] = (
            {key: _done_elsewhere(one) for key, one in value.items()} if name == "inputs" else value
        )
    return light


def _done_elsewhere(stage: Stage) -> Stage:
    """Replace an input by a stand-in that knows its output folder, but not its work."""
    light = dataclasses.replace(stage, work=_Done(stage.kind))
    vars(light).update(address=stage.address, params={}, inputs={}, folder=stage.folder)
    return light


@dataclass(frozen=True)
class _Done(Work):
    """Placeholder for the work of an input."""

    name: str


def _put(value: object, shared: "dict[int, ObjectRef[Any]]") -> "ObjectRef[Any]":
    import ray

    if id(value) not in shared:
        shared[id(value)] = ray.put(value)
    return shared[id(value)]


def _unpacked(stage: Stage) -> Stage:
    """Stage with its shared values fetched."""
    import ray

    sent = {one.name: getattr(stage.work, one.name) for one in dataclasses.fields(stage.work)}
    values = {name: ray.get(it) for name, it in sent.items() if isinstance(it, ray.ObjectRef)}
    whole = dataclasses.replace(stage, work=dataclasses.replace(stage.work, **values))
    for name in ("address", "params", "inputs", "folder"):
        vars(whole)[name] = getattr(stage, name)
    return whole


def _work(stage: Stage, folder: str, *inputs: Outcome) -> Outcome:
    """Ray task of a stage. If it is blocked, the driver makes an outcome with the reason."""
    if any(outcome.status != "done" for outcome in inputs):
        return Outcome("blocked")
    try:
        os.chdir(folder)  # paths may be relative, and users' modules are imported from there
    except OSError as error:
        raise InputError(
            f"no folder {folder!r} on {socket.gethostname()}: {error.strerror}",
            advice="All machines of a cluster need it under the same path.",
        ) from error
    return _unpacked(stage).attempt()


def _collect(
    waiting: dict[str, Stage],
    tasks: "dict[str, ObjectRef[Outcome]]",
    outcomes: Outcomes,
    report: Report,
) -> None:
    """Wait for all tasks and report them, each after its inputs."""
    import ray

    begun: set[str] = set()

    def begin(stage: Stage) -> None:
        if stage.address not in begun:
            begun.add(stage.address)
            report(stage, None)

    while ready := _ready(waiting, outcomes, report):
        refs = {tasks[stage.address]: stage for stage in ready}
        finished, running = ray.wait(list(refs), num_returns=len(refs), timeout=POLL_SECONDS)
        for task in finished:
            stage = refs[task]
            begin(stage)
            outcomes[stage.address] = _outcome(stage, task)
            report(stage, outcomes[stage.address])
        locked = _locks({stage.home for stage in ready})
        for task in running:
            if refs[task].lock in locked:
                begin(refs[task])


def _ready(waiting: dict[str, Stage], outcomes: Outcomes, report: Report) -> list[Stage]:
    """Stages without an outcome whose inputs are done; blocked stages get their outcome here."""
    ready = []
    for stage in waiting.values():
        inputs = stage.inputs.values()
        if stage.address in outcomes or not all(one.address in outcomes for one in inputs):
            continue
        failure = blocked(stage, outcomes)
        if failure is None:
            ready.append(stage)
        else:
            outcomes[stage.address] = failure
            report(stage, failure)
    return ready


def _locks(homes: set[Path]) -> set[Path]:
    return {path for home in homes for path in home.glob(f"{LOCK_PREFIX}*")}


def _outcome(stage: Stage, task: "ObjectRef[Outcome]") -> Outcome:
    """Outcome of a finished task; a failure if its process died."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(task)
    except RayTaskError as error:
        return stage.failed(error.cause)
    except RayError as error:
        failure = W2SProbeError(
            f"Ray could not finish it: {type(error).__name__}",
            advice=f"A process that dies is restarted {RETRIES} times; the usual cause is lack of "
            "memory. The log has Ray's error.",
        )
        failure.__cause__ = error
        return stage.failed(failure)
