"""A new model that no process but one ever holds whole: ZeRO-3 and FSDP2 are for models that are too large for that."""

import shutil
from pathlib import Path

import torch
from transformers import TrainingArguments
from transformers.integrations.deepspeed import (
    is_deepspeed_zero3_enabled,
    set_hf_deepspeed_config,
    unset_hf_deepspeed_config,
)

from minigemini.checkpoints import load
from minigemini.checkpoints.assemble import NewModel, Parts, assemble_model
from minigemini.model.modeling_minigemini import MiniGeminiForConditionalGeneration

FOLDER = "new_model"  # below the output folder; gone again when all have loaded it


def sliced_model(parts: Parts, new: NewModel, arguments: TrainingArguments) -> MiniGeminiForConditionalGeneration:
    """The process that saves (one on each host with ``trainer.save_on_each_node``) puts the model together and writes it down,
    then all load it as any checkpoint: in slices under ZeRO-3; under FSDP2 the first of a host, which hands out the slices.

    Raises:
        ValueError: as `assemble_model`.
    """
    folder = Path(str(arguments.output_dir)) / FOLDER
    if arguments.should_save:
        write(parts, new, folder, arguments)
    torch.distributed.barrier()
    model = load.load_model(str(folder), dtype=torch.float32, device="cpu")
    torch.distributed.barrier()
    if arguments.should_save:
        shutil.rmtree(folder)
    return model


def write(parts: Parts, new: NewModel, folder: Path, arguments: TrainingArguments) -> None:
    in_slices = is_deepspeed_zero3_enabled()
    unset_hf_deepspeed_config()  # else every part would be split among processes that do not know of it
    assemble_model(parts, new).save_pretrained(folder)
    if in_slices:
        set_hf_deepspeed_config(arguments.hf_deepspeed_config)
