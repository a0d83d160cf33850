"""Times and peak memory of several ways to do the same work, measured in turns.

Every way lives in a fresh process of its own, so that the memory of one does not hide in another's, and the processes take
turns, so that whatever the machine is disturbed by disturbs them all.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch

# One unit of the work. May return the seconds of its parts by name; its whole time is taken outside.
Step = Callable[[], dict[str, float] | None]

MOST_ROUNDS = 5
BUDGET_SECONDS = 60.0  # no further round when it would end after this
TURN = 1 / 30  # of the budget: quick work is repeated so long within its turn

# Loaded once, by the process that the workers are forked from.
PRELOADED = ["minigemini.model.modeling_minigemini", "minigemini.model.image_processing_minigemini"]


@dataclass
class Job:
    """A way to do the work: ``build(*arguments)`` makes the step, in the new process. Both must pickle."""

    name: str
    build: Callable[..., Step]
    arguments: tuple[Any, ...]
    needs_gb: float = 0.0  # on a CPU; with less memory free it is not run, rather than bringing the machine down


@dataclass
class Measured:
    """What came out: seconds of every run, whole ("all") and by part, and the peak of memory over what was there before.

    ``not_run`` says why there are none.
    """

    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak_bytes: int = 0
    not_run: str = ""

    def median(self, part: str = "all") -> float | None:
        return None if self.not_run else median(self.seconds[part])

    @property
    def peak_gb(self) -> float | None:
        return None if self.not_run else self.peak_bytes / 1e9

    @property
    def runs(self) -> int:
        return len(self.seconds.get("all", []))


def side_by_side(what: str, jobs: list[Job], device: str, budget: float = BUDGET_SECONDS) -> dict[str, Measured]:
    """Measure ``jobs`` in rounds, each of which gives every job one turn. There is at least one round.

    Args:
        what: for the progress on stderr.
        device: "cpu" or "cuda".
        budget: seconds; with 0 every step is run once.

    Raises:
        RuntimeError: a process died.
    """
    results = {job.name: Measured() for job in jobs}
    workers: dict[str, Worker] = {}
    for job in jobs:
        if device == "cpu" and job.needs_gb > (free := available_gb()):
            results[job.name].not_run = f"needs {job.needs_gb:.0f} GB, {free:.0f} are free"
            say(f"{what}, {job.name}: not run, {results[job.name].not_run}")
        else:
            workers[job.name] = Worker(job, device)
    started = time.perf_counter()
    for number in range(MOST_ROUNDS):
        round_started = time.perf_counter()
        for name, worker in workers.items():
            times, peak = worker.turn(budget * TURN)
            for run in times:
                for part, seconds in run.items():
                    results[name].seconds.setdefault(part, []).append(seconds)
            results[name].peak_bytes = max(results[name].peak_bytes, peak)
            say(f"{what}, {name}: {median(run['all'] for run in times):.4g} s x {len(times)} (round {number + 1})")
        now = time.perf_counter()
        if now + (now - round_started) > started + budget:
            break
    for worker in workers.values():
        worker.end()
    return results


class Worker:
    """The process of a job, seen from outside."""

    def __init__(self, job: Job, device: str):
        self.name = job.name
        # Forked from a fresh process that has computed nothing. CUDA does not survive a fork, so not there.
        context: Any = multiprocessing.get_context("spawn" if device == "cuda" else "forkserver")
        context.set_forkserver_preload(PRELOADED)
        self.pipe, other = context.Pipe()
        threads = torch.get_num_threads()
        self.process = context.Process(target=work, args=(other, job, device, threads), daemon=True)
        self.process.start()
        other.close()  # so that a dead process ends the pipe
        self._receive()  # ready

    def turn(self, seconds: float) -> tuple[list[dict[str, float]], int]:
        """Run the step once, and again while the turn lasts: the seconds of every run, and the peak of memory."""
        self.pipe.send(seconds)
        return self._receive()

    def end(self) -> None:
        self.pipe.send(None)
        self.process.join()

    def _receive(self) -> Any:
        try:
            return self.pipe.recv()
        except EOFError:
            self.process.join()
            raise RuntimeError(
                f"the process of {self.name!r} died with exit code {self.process.exitcode}; its reason is above, or it "
                "was out of memory (-9)"
            ) from None


def work(pipe: Connection, job: Job, device: str, threads: int) -> None:
    """What a worker's process does."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    step = job.build(*job.arguments)
    if device == "cuda":
        for _ in range(3):  # compiles, and chooses algorithms
            step()
    else:
        load_libraries()
    pipe.send("ready")
    while (turn_seconds := pipe.recv()) is not None:
        before = reset_peak(device)
        times = [timed(step, device)]
        while sum(run["all"] for run in times) + times[-1]["all"] < turn_seconds:
            times.append(timed(step, device))
        pipe.send((times, peak(device) - before))


def timed(step: Step, device: str) -> dict[str, float]:
    synchronize(device)
    started = time.perf_counter()
    parts = step()
    synchronize(device)
    return {"all": time.perf_counter() - started, **(parts or {})}


def synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def load_libraries() -> None:
    """Small work of the usual kinds: what is loaded at a first use is not the step's memory."""
    small = torch.randn(4, 16, 64, 64)
    torch.nn.functional.conv2d(small, torch.randn(16, 16, 3, 3))
    torch.einsum("bchw,bcwk->bchk", small, small).softmax(-1)


def reset_peak(device: str) -> int:
    """Start to look for the peak anew; the bytes in use now."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the high-water mark falls to what is resident now
    return status_bytes("VmRSS")


def peak(device: str) -> int:
    # Not getrusage's ru_maxrss: a process inherits that from the one that started it.
    return torch.cuda.max_memory_allocated() if device == "cuda" else status_bytes("VmHWM")


def status_bytes(key: str) -> int:
    """A number of /proc/self/status, which writes kB and means 1024 bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"/proc/self/status has no {key}")


def available_gb() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 / 1e9
    raise ValueError("/proc/meminfo has no MemAvailable")


def ratio(slow: float | None, fast: float | None) -> float | None:
    return None if slow is None or fast is None else slow / fast


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
