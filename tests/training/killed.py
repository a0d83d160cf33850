"""One unchanged command, killed again and again until it comes to its end: each attempt is a fork of the process that runs the
trials, and is killed with all that it has started.

Trials: output folder -> moments, one attempt each: ``{"files": 40}`` kills before the 40th time that a file is opened,
renamed or removed in or below the folder of the recipe (reading a picture counts, and each step of a save), ``{"before":
"os.rename", "file": "_unfinished/checkpoint-3"}`` before that, ``{"seconds": 0.7}`` after that time in the training. Then the command
runs to its end. Prints where each attempt was killed, and the exit code of the last.
"""

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from minigemini import cli
from minigemini.training.trainer import MiniGeminiTrainer

EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}


def attempt(command: list[str], moment: dict[str, Any]) -> tuple[bool, str]:
    """Whether it came to its end, and where it was killed, or what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(reading)
        listen(moment, Path(command[1]).parent, writing)
        code = 1
        try:
            code = cli.main(command)
        except BaseException:
            traceback.print_exc()
        os.write(writing, f"exit code {code}".encode())
        os._exit(code)
    os.close(writing)
    said = os.read(reading, 10000).decode()
    if not said.startswith("exit code"):
        os.killpg(child, signal.SIGKILL)
    os.close(reading)
    os.waitpid(child, 0)
    return said.startswith("exit code"), said


def listen(moment: dict[str, Any], folder: Path, writing: int) -> None:
    """Have this process killed by its parent when the moment comes: it tells where it is and waits for the end."""

    def end(where: str) -> None:
        os.write(writing, where.encode())
        signal.pause() if threading.current_thread() is threading.main_thread() else threading.Event().wait()

    process = os.getpid()
    left = [moment.get("files", 1)]

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or os.getpid() != process or not str(arguments[0]).startswith(str(folder)):
            return
        if "files" in moment or (event == moment.get("before") and str(arguments[0]).endswith(moment["file"])):
            left[0] -= 1
            if left[0] == 0:
                end(f"{event} {os.path.relpath(str(arguments[0]), folder)}")

    sys.addaudithook(count)
    if "seconds" in moment:
        begin = MiniGeminiTrainer.train

        def timed(self: MiniGeminiTrainer, *arguments: Any, **options: Any) -> Any:
            timer = threading.Timer(moment["seconds"], lambda: end(f"step {self.state.global_step}"))
            timer.daemon = True
            timer.start()
            return begin(self, *arguments, **options)

        MiniGeminiTrainer.train = timed  # type: ignore[method-assign]


def run_trials(trials: dict[str, list[dict[str, Any]]], arguments: list[str]) -> None:
    for output, moments in trials.items():
        command = ["train", *arguments, f"trainer.output_dir={output}", "--resume", "auto"]
        for moment in [*moments, {}]:
            print(f"killed.py: {output} {moment}: {attempt(command, moment)[1]}", flush=True)
