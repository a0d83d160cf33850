"""Room on the disk: asked for before the first step, for all that a run will write, and before each checkpoint."""

import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from minigemini.training.checkpoints_on_disk import BESIDE, checkpoints, output_of, torn
from minigemini.training.module_table import numbers
from minigemini.training.processes import any_process

BESIDES = 2**20  # bytes of the small files: random numbers, log, configuration


class RoomOnDisk(TrainerCallback):
    """Before the first step.

    Args:
        besides: bytes of what a checkpoint has besides what Trainer writes.
    """

    def __init__(self, besides: int):
        self.besides = besides

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        number = checkpoints_to_come(args, state)
        one = checkpoint_bytes(model, args, self.besides) if number else 0
        final = weight_bytes(model, args) + BESIDES
        check(
            args,
            number * one + final,
            f"{number} checkpoints of {one:,} bytes and the model of {final:,}" if number else "the model",
            "make room, or set trainer.save_total_limit or save_steps" if number else "make room",
        )


def check_for_checkpoint(model: nn.Module, arguments: TrainingArguments, besides: int) -> None:
    """
    Args:
        besides: as of :class:`RoomOnDisk`.

    Raises:
        OSError: there is no room for one more; it names folder, needed and free bytes.
    """
    check(arguments, checkpoint_bytes(model, arguments, besides), "a checkpoint", "make room and go on with --resume")


def check(arguments: TrainingArguments, needed: int, what: str, advice: str) -> None:
    free = shutil.disk_usage(output_of(arguments)).free
    if any_process(free < needed, arguments.device):
        raise OSError(
            f"{arguments.output_dir}: too little room on the disk: {what} needs {needed:,} bytes, {free:,} are free; "
            f"{last_whole(output_of(arguments))}{advice}"
        )


def check_for_model(model: nn.Module, arguments: TrainingArguments) -> None:
    """As :func:`check_for_checkpoint`, for the finished model."""
    check(arguments, weight_bytes(model, arguments) + BESIDES, "the model", "make room and go on with --resume")


def is_full(model: nn.Module, arguments: TrainingArguments, besides: int) -> bool:
    """Whether what is left to write of a checkpoint, beside what is written, has no room: on the disk, or in a quota, which only shows
    in writing."""
    return lacks_room(model, arguments, besides) or cannot_write(output_of(arguments) / BESIDE)


def cannot_write(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(BESIDES))
    except OSError:
        return True
    return False


def lacks_room(model: nn.Module, arguments: TrainingArguments, besides: int) -> bool:
    written = sum(path.stat().st_size for path in (output_of(arguments) / BESIDE).rglob("*") if path.is_file())
    return shutil.disk_usage(output_of(arguments)).free < checkpoint_bytes(model, arguments, besides) - written


def last_whole(output: Path) -> str:
    whole = next((checkpoint for checkpoint in checkpoints(output) if torn(checkpoint) is None), None)
    return f"{whole.name} is the last whole checkpoint; " if whole else ""


def checkpoints_to_come(arguments: TrainingArguments, state: TrainerState) -> int:
    """How many checkpoints the run will add to those that are there, at most at once (an old one goes when a new one is whole)."""
    if arguments.save_strategy == SaveStrategy.STEPS:
        left = state.max_steps // state.save_steps - state.global_step // state.save_steps
    elif arguments.save_strategy == SaveStrategy.EPOCH:
        left = math.ceil(state.num_train_epochs - (state.epoch or 0))
    else:
        left = 1 if arguments.save_strategy == SaveStrategy.BEST else 0
    if arguments.save_total_limit:
        left = min(left, max(1, arguments.save_total_limit + 1 - len(checkpoints(output_of(arguments)))))
    return left


def checkpoint_bytes(model: nn.Module, arguments: TrainingArguments, besides: int) -> int:
    """Bytes of one checkpoint: weights, and two moments of each trained weight if the optimizer is of Adam's kind; of weights that
    are trained in bfloat16 the float32 copies.

    DeepSpeed writes the weights twice and keeps a float32 master beside the moments. Other optimizers, or moments of 8 bits: what
    the last whole checkpoint took says more, if there is one.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    moments = 2 if "adam" in arguments.optim and "8bit" not in arguments.optim else 0
    if arguments.save_only_model:
        state = 0
    elif arguments.deepspeed:
        state = weight_bytes(model, arguments) + 4 * (1 + moments) * sum(map(numbers, trained))
    else:
        copied = [parameter for parameter in trained if parameter.dtype == torch.bfloat16]
        state = besides + 4 * (moments * sum(map(numbers, trained)) + sum(map(numbers, copied)))
    found = next((one for one in checkpoints(output_of(arguments)) if torn(one) is None), None)
    before = sum(path.stat().st_size for path in found.rglob("*") if path.is_file()) if found else 0
    return max(weight_bytes(model, arguments) + state + BESIDES, before)


def weight_bytes(model: Any, arguments: TrainingArguments) -> int:
    """Of what is saved: the model, or of an adapter what is trained, unless an engine writes the base with it."""
    adapter_alone = model._hf_peft_config_loaded and not arguments.deepspeed and not arguments.fsdp
    return sum(
        numbers(parameter, packed=True) * parameter.element_size()
        for parameter in model.parameters()
        if parameter.requires_grad or not adapter_alone
    )
