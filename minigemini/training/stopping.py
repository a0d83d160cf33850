"""SIGTERM (of a cluster that wants its machine back) and Ctrl-C: the step is finished, a checkpoint is saved, the run ends as stopped."""

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from minigemini.training.processes import any_process

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(Exception):
    """A run that was asked to stop, and did after saving."""

    def __init__(self, asked_by: int, step: int, steps: int):
        super().__init__(f"stopped at step {step} of {steps}, go on with --resume")
        self.exit_code = 128 + asked_by  # as the shell says of a program that ended by this signal


class StopWhenAsked(TrainerCallback):
    """Where one process was asked, all of them save the same step and raise :class:`Stopped`. In its last step a run is not stopped."""

    def __init__(self) -> None:
        self.asked_by: int | None = None
        self.stops = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """A second Ctrl-C interrupts at once."""
        if threading.current_thread() is not threading.main_thread():  # Python gives signals to no other
            yield
            return
        before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked_by = number
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step < state.max_steps and any_process(self.asked_by is not None, args.device):
            self.stops = control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.stops:
            raise Stopped(self.asked_by or signal.SIGTERM, state.global_step, state.max_steps)


def deaf(start: Callable[[int], None] | None) -> Callable[[int], None]:
    """What a worker of the data loader runs first: the signals are for the process that feeds on it, which ends it in its time."""
    return functools.partial(_start_deaf, start)


def _start_deaf(start: Callable[[int], None] | None, worker: int) -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if start is not None:
        start(worker)
