"""Weights that are trained in bfloat16: the optimizer steps on float32 copies of them, and what it comes to is rounded to the model.

bfloat16 has 8 bits: a step of less than 1/512 of a weight is nearer to no step, and would be rounded away each time (Micikevicius et
al., "Mixed Precision Training", 2018, section 3.1). The copies gather such steps.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from torch import nn

FILE = "master_weights.pt"  # of a checkpoint
AT_ONCE = 2**28  # gradients in float32 at a time: 1 GiB, where the activations have just gone


class MasterWeights:
    """The copies, 4 bytes a number. They stand in the optimizer's groups in the place of the weights.

    Args:
        groups: of the optimizer that is to be made, with the model's weights; changed here.
    """

    def __init__(self, groups: list[dict[str, Any]]):
        self.pairs: list[tuple[nn.Parameter, nn.Parameter]] = []  # weight, copy
        for group in groups:
            group["params"] = [self._stand_in(weight) for weight in group["params"]]

    def _stand_in(self, weight: nn.Parameter) -> nn.Parameter:
        if weight.dtype != torch.bfloat16:
            return weight
        self.pairs.append((weight, nn.Parameter(weight.detach().float())))
        return self.pairs[-1][1]

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Have a step of the optimizer give the copies the gradients of the weights, and the weights what it comes to.

        It is done part by part, or the gradients in float32 would take as much again as the copies: an optimizer passes over what has no
        gradient.
        """
        if self.pairs:
            optimizer.step = MethodType(partial(self._step, optimizer.step), optimizer)  # type: ignore[method-assign]

    def _step(self, step_at_once: Callable[[], None], optimizer: torch.optim.Optimizer, closure: None = None) -> None:
        assert closure is None, "the parts would each call it"
        step_at_once()  # of what is in float32 itself
        for group in optimizer.param_groups:
            for weight in group["params"]:
                weight.grad = None
        for part in self._parts():
            for weight, copy in part:
                if weight.grad is not None:
                    copy.grad, weight.grad = weight.grad.float(), None
            step_at_once()
            for weight, copy in part:
                weight.data.copy_(copy.data)
                copy.grad = None

    def _parts(self) -> Iterator[list[tuple[nn.Parameter, nn.Parameter]]]:
        part: list[tuple[nn.Parameter, nn.Parameter]] = []
        numbers = 0
        for weight, copy in self.pairs:
            if part and numbers + copy.numel() > AT_ONCE:
                yield part
                part, numbers = [], 0
            part.append((weight, copy))
            numbers += copy.numel()
        yield part

    def save(self, checkpoint: Path) -> None:
        torch.save([copy.data for _, copy in self.pairs], checkpoint / FILE)

    def load(self, checkpoint: Path) -> None:
        saved = torch.load(checkpoint / FILE, map_location="cpu", weights_only=True)
        for (_, copy), tensor in zip(self.pairs, saved, strict=True):
            copy.data.copy_(tensor)
