"""A loss that is not a number is found at its own step, before it reaches a weight; weights that are not numbers are never saved."""

import json
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import TrainingArguments

from minigemini.training.checkpoints_on_disk import output_of
from minigemini.training.processes import any_process

FILE = "not_a_number.json"


def check_losses(
    losses: Sequence[Tensor], names: Sequence[Sequence[str]], step: int, arguments: TrainingArguments
) -> None:
    """Ask the device once for all losses of an optimizer step.

    Args:
        losses: scalars, of this process's micro-batches; all processes ask.
        names: of the records in each of them.

    Raises:
        ValueError: one is not a number in one of the processes. The names of its records are in the output folder's
            ``not_a_number.json``, or, of process 1 on, ``not_a_number-1.json``.
    """
    values = torch.stack([loss.detach().float() for loss in losses]).tolist()
    bad = next((number for number, value in enumerate(values) if not math.isfinite(value)), None)
    if not any_process(bad is not None, arguments.device):
        return
    if bad is None:
        raise ValueError(f"the loss of another process is not a number at step {step}: the run stops")
    value, records = values[bad], list(names[bad])
    rank = arguments.process_index
    file = output_of(arguments) / (FILE if rank == 0 else FILE.replace(".json", f"-{rank}.json"))
    file.write_text(json.dumps({"step": step, "loss": str(value), "records": records}, indent=2) + "\n")
    raise ValueError(
        f"the loss is {value} at step {step}: nothing after it can be trusted, the run stops and saves nothing more; "
        f"the records of the batch are in {file}: {', '.join(records[:3])}{', ...' if len(records) > 3 else ''}"
    )


def check_weights(model: nn.Module, step: int, arguments: TrainingArguments) -> None:
    """
    Raises:
        ValueError: a trained weight is not a number in one of the processes; the message names those of this one.
    """
    trained = ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)
    bad = [name for name, parameter in trained if not bool(torch.isfinite(share_of(parameter)).all())]
    if any_process(bool(bad), arguments.device):
        where = (
            f"{len(bad)} trained tensors ({', '.join(bad[:3])} ...)" if bad else "trained tensors of another process"
        )
        raise ValueError(f"at step {step} {where} hold values that are no numbers: nothing is saved, the run stops")


def share_of(parameter: nn.Parameter) -> Tensor:
    """What this process holds of it under FSDP2 or ZeRO-3; all of it otherwise."""
    if isinstance(parameter, DTensor):
        return parameter.to_local()
    return getattr(parameter, "ds_tensor", parameter)
