"""FSDP2 by accelerate, with what it gets wrong set right:

- On a CPU it turns into DDP without a word. Here it is FSDP2 there too, by gloo.
- The layers that are gathered one at a time are named by class, and its default names some that a model lacks. Here they are
  those that the model has.
- With mixed precision it sums gradients in 16 bits, and rounds what the model returns, the loss itself, to them. Here gradients
  are summed in float32, and the loss stays what it was computed in.
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy
from transformers import PreTrainedModel, TrainingArguments

from minigemini.strict_yaml import unknown_name

SETTINGS = (  # of trainer.fsdp_config: what TrainingArguments hands on for version 2
    "version",
    "reshard_after_forward",
    "cpu_offload",
    "activation_checkpointing",
    "auto_wrap_policy",
    "transformer_layer_cls_to_wrap",
    "min_num_params",
    "cpu_ram_efficient_loading",
)


def checked(trainer: dict[str, Any]) -> dict[str, Any]:
    """The ``trainer:`` section; if it asks for FSDP, with a model that only one process of a host reads.

    Raises:
        ValueError: settings that would do nothing, or FSDP1.
    """
    if "FSDP_VERSION" in os.environ:
        raise ValueError("FSDP settings of `accelerate launch` are not read: leave them out, and set trainer.fsdp=true")
    settings = trainer.get("fsdp_config")
    if not trainer.get("fsdp"):
        if settings:
            raise ValueError("trainer.fsdp_config does nothing without trainer.fsdp=true")
        return trainer
    if trainer.get("deepspeed"):
        raise ValueError("trainer.fsdp and trainer.deepspeed are two ways to do the same: leave one out")
    if isinstance(settings, str):
        settings = json.loads(Path(settings).read_text("utf-8"))
    settings = {key.removeprefix("fsdp_"): value for key, value in (settings or {}).items()}
    for key in settings:
        if key not in SETTINGS:
            raise ValueError(f"trainer.fsdp_config: {unknown_name(key, SETTINGS)}")
    if settings.get("version", 2) != 2:
        raise ValueError("trainer.fsdp_config: version: 2 is what is supported, FSDP1 is leaving transformers")
    return {**trainer, "fsdp_config": {"cpu_ram_efficient_loading": True, **settings}}


def start(arguments: TrainingArguments) -> None:
    """Tell transformers, before a model is loaded, that it will be in slices.

    Raises:
        ValueError: there is nobody to share it with.
    """
    if arguments.world_size < 2:
        raise ValueError(
            "trainer.fsdp is for several processes: torchrun --nproc_per_node 8 -m minigemini train ... (and on a machine "
            "without GPU trainer.use_cpu=true)"
        )
    os.environ["ACCELERATE_USE_FSDP"] = "true"


def layer_classes(model: nn.Module) -> list[str]:
    """Names of the classes that the parts of the model call their layers, of those that there are in it."""
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    called_layers = {name for part in parts for name in part._no_split_modules or ()}
    return sorted(called_layers & {type(module).__name__ for module in model.modules()})


def set_up(accelerator: Accelerator, arguments: TrainingArguments, model: nn.Module) -> None:
    """Make the accelerator shard the model, with whatever device it found."""
    plugin = FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)
    if plugin.transformer_cls_names_to_wrap is None:
        plugin.transformer_cls_names_to_wrap = layer_classes(model)
    dtype = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}[accelerator.mixed_precision]
    if dtype is not None:
        plugin.mixed_precision_policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)
    accelerator.state.fsdp_plugin = plugin
    accelerator.state.distributed_type = PartialState._shared_state["distributed_type"] = DistributedType.FSDP


def reshard(model: nn.Module) -> None:
    """What a forward pass without a way back has left whole, embeddings and head above all, lies in slices again."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
