"""The model that answers, on the device of its process."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal

import torch
from accelerate import PartialState

from minigemini.checkpoints.load import load
from minigemini.evaluation.running.digest import settings_of
from minigemini.evaluation.running.share import Share


def this_share() -> Share:
    """Of this process, by how it was launched: alone, or by ``accelerate launch`` or ``torchrun``.

    The processes wait for each other for days, not minutes: one may have the long answers.
    """
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=timedelta(days=7))
    return Share(state.process_index, state.num_processes, state.wait_for_everyone)


def this_device() -> torch.device:
    """This process's GPU if there is one, else the CPU."""
    return PartialState().device if torch.cuda.is_available() else torch.device("cpu")


def alone(command: str) -> None:
    """Raises ValueError: several processes were launched, and the command is for one."""
    if this_share().of > 1:
        raise ValueError(f"{command} runs in one process, not in {this_share().of}")


@dataclass
class EvaluatedModel:
    """The model that is judged, loaded when the first question is asked: a run that has only to draw needs none.

    Attributes:
        name: checkpoint folder, hub id or shipped name.
        bits: 4 or 8 for the language model's layers in so few.
        batch_size: of its answers.
    """

    name: str
    bits: Literal[4, 8] | None
    batch_size: int

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """Model and processor."""
        return load(self.name, bits=self.bits, device=this_device())

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What every answer depends on; the digest of large weights takes its time, once is enough."""
        return settings_of(*self.loaded, self.batch_size)
