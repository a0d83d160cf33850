"""torchrun's own agent, with processes that are forked from one that has imported everything: a launch takes little but imports."""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

multiprocessing.set_forkserver_preload(["minigemini.cli", "minigemini.training.run"])


@dataclass
class Said:
    """The exit code (of a launch: of the first process that failed), and what all processes wrote."""

    code: int
    stdout: str
    stderr: str


def launch(function: Callable[..., Any], *arguments: Any, folder: Path) -> Said:
    """``function(*arguments)`` in two processes, as ``torchrun --standalone --nproc_per_node 2`` starts them; they write to ``folder``."""
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id=folder.name,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="forkserver",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder), redirects=Std.ALL),
    )
    code = 0
    with signals_as_they_were():
        try:
            elastic_launch(config, call)(function, arguments)
        except ChildFailedError as error:
            code = error.get_first_failure()[1].exitcode
    stdout, stderr = (
        "".join(file.read_text() for file in sorted(folder.rglob(name))) for name in ("stdout.log", "stderr.log")
    )
    return Said(code, stdout, stderr)


def start(function: Callable[..., Any], *arguments: Any, folder: Path) -> Said:
    """``function(*arguments)`` in one process; it writes to ``folder``."""
    folder.mkdir()
    process = multiprocessing.get_context("forkserver").Process(
        target=call_and_write, args=(folder, function, arguments)
    )
    process.start()
    process.join()
    assert process.exitcode is not None
    return Said(process.exitcode, (folder / "stdout.log").read_text(), (folder / "stderr.log").read_text())


def call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """In the new process: what it returns is the exit code."""
    torch.set_num_threads(1)
    sys.exit(function(*arguments))


def call_and_write(folder: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    for number, name in ((1, "stdout.log"), (2, "stderr.log")):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT), number)
    call(function, arguments)


@contextlib.contextmanager
def signals_as_they_were() -> Iterator[None]:
    """The agent takes signals, and does not give them back."""
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals() if number != signal.SIGKILL}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)
