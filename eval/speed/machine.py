"""The machine: what it is, and how fast it can be at most."""

import os
import platform
import re
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from side_by_side import synchronize

PACKAGES = ("torch", "transformers", "timm", "numpy", "pillow")


@dataclass
class Roofs:
    """Rates that nothing on this machine can exceed (but work whose data stay in the caches can exceed the second)."""

    flops_per_second: float  # of a large matrix product
    bytes_per_second: float  # of a large copy, reading and writing counted


def describe(device: str) -> dict[str, Any]:
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else cpu_model(),
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "gpu_memory_gb": round(torch.cuda.mem_get_info()[1] / 1e9, 1) if device == "cuda" else None,
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def name_of(machine: dict[str, Any]) -> str:
    """A name for files, such as "amd-epyc-2-threads"."""
    threads = "" if machine["gpu"] else f" {machine['threads']} threads"
    return re.sub(r"[^a-z0-9]+", "-", f"{machine['device']}{threads}".lower()).strip("-")


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()  # Arm's Linux names no model


def roofs(device: str, dtype: torch.dtype, toy: bool) -> Roofs:
    """Measure them: the best of five."""
    side = 256 if toy else 8192 if device == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    source = torch.ones((1 if toy else 256) << 20, device=device)  # a gigabyte: no cache holds it
    target = torch.empty_like(source)
    return Roofs(
        flops_per_second=2 * side**3 / best_seconds(lambda: torch.matmul(a, b), device),
        bytes_per_second=2 * source.numel() * 4 / best_seconds(lambda: target.copy_(source), device),
    )


def best_seconds(work: Any, device: str) -> float:
    times = []
    for _ in range(6):  # the first warms up; it will not be the best
        synchronize(device)
        started = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times)
