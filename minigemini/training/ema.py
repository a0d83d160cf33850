"""The ``ema:`` section of a recipe: a running average of the trained weights, which is what validation, samples and checkpoints show.

After step t (from 0) of the optimizer, in float32:

    average <- d * average + (1 - d) * weight        d = min(decay, (1 + t) / (10 + t))

(Polyak and Juditsky, 1992, with weights that fade. The ramp of d is that of TensorFlow's ExponentialMovingAverage with ``num_updates``:
without it a short run would end near the weights that it began with.)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from minigemini.training.modules import Engine, Plans, held_in_bfloat16

FILE = "weights_in_training.pt"  # of a checkpoint, whose model is the average: what the optimizer goes on with


@dataclass
class EMA:
    """The ``ema:`` section of a recipe."""

    decay: float  # 0.999: the last thousand steps or so

    def __post_init__(self) -> None:
        if not 0 < self.decay < 1:
            raise ValueError(f"decay must lie between 0 and 1, got {self.decay:g}")


def check_ema(ema: EMA | None, plans: Plans, engine: Engine | None) -> None:
    """
    Raises:
        ValueError: no process has the trained weights whole and in float32.
    """
    if ema is None:
        return
    if engine:
        held = "a float32 form of the trained weights" if engine == "DeepSpeed" else "the weights"
        raise ValueError(f"ema: {engine} holds {held} in slices, which nobody averages: train by DDP, or leave ema out")
    for name in held_in_bfloat16(plans):
        raise ValueError(
            f"ema: modules.{name} is trained in bfloat16, and an average is of float32; leave one of them out"
        )


class AveragedWeights(TrainerCallback):
    """A float32 copy of each trained weight, 4 bytes a number, in every process."""

    def __init__(self, decay: float):
        self.decay = decay
        self.averages: dict[str, torch.Tensor] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        if not self.averages:  # the run does not go on
            self.averages = {name: weight.detach().clone() for name, weight in trained_weights(model)}

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))
        for name, weight in trained_weights(model):
            self.averages[name].lerp_(weight.detach(), 1 - decay)

    @contextmanager
    def in_place(self, model: nn.Module) -> Iterator[None]:
        """The averages are the model's weights; afterwards it has its own again, which :meth:`save` writes meanwhile."""
        self.own = {name: weight.data for name, weight in trained_weights(model)}
        for name, weight in trained_weights(model):
            weight.data = self.averages[name]
        try:
            yield
        finally:
            for name, weight in trained_weights(model):
                weight.data = self.own[name]
            del self.own

    def save(self, checkpoint: Path) -> None:
        torch.save(self.own, checkpoint / FILE)

    def load(self, checkpoint: Path, model: nn.Module) -> None:
        """Of a model that has the weights of the checkpoint: they are the averages, and it gets its own."""
        own = torch.load(checkpoint / FILE, map_location="cpu", weights_only=True)
        self.averages = {name: weight.detach().clone() for name, weight in trained_weights(model)}
        for name, weight in trained_weights(model):
            weight.data.copy_(own[name])


def trained_weights(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
