"""Next-token cross entropy without waste: no logits of what is not trained on, and no copy in float32 of those that are."""

from typing import Any

import torch
from torch import Tensor
from transformers.utils import TransformersKwargs

IGNORED = torch.nn.CrossEntropyLoss().ignore_index  # torch's own, -100
AT_ONCE = 2**24  # logits in float32 at a time: 64 MiB


class LossKwargs(TransformersKwargs, total=False):
    """How labels become a loss. (No arguments by name: Trainer takes all that have "label" in it for columns of a batch.)

    shift_labels: [B, L] instead of labels: for each position the label of the next one.
    label_smoothing: this share of each target is spread evenly over the vocabulary.
    num_items_in_batch: what the sum of the losses is divided by, if not the number of trained tokens.
    """

    shift_labels: Tensor | None
    label_smoothing: float


class TokenCrossEntropy(torch.autograd.Function):
    """Logits [T, V] of any precision and targets [T] -> losses [T] in float32.

    It is `torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none", label_smoothing=label_smoothing)`, some rows
    at a time: beyond the logits and their gradient, both in the logits' precision, the memory is that of `AT_ONCE`, where
    the formula written so holds three more in float32.

    (`torch.nn.functional.linear_cross_entropy` would hold no logits either, but has no chunked form with a loss for each token, and
    takes the head's weight: that of a head that peft wraps, or that ZeRO-3 or FSDP2 keeps in slices, is whole within the head's
    own forward only. The head is called once, as the number of calls must be the same in all processes.)
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
        losses = torch.empty(len(targets), dtype=torch.float32, device=logits.device)
        normalisers = torch.empty_like(losses)
        for rows in row_slices(logits):
            part = logits[rows].float()
            normalisers[rows] = part.logsumexp(dim=-1)
            right = part.gather(1, targets[rows, None])[:, 0]
            losses[rows] = normalisers[rows] - (1 - label_smoothing) * right
            if label_smoothing:
                losses[rows] -= label_smoothing * part.mean(dim=-1)
        ctx.save_for_backward(logits, targets, normalisers)
        ctx.label_smoothing = label_smoothing
        return losses

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        logits, targets, normalisers = ctx.saved_tensors
        of_logits = torch.empty_like(logits)
        for rows in row_slices(logits):
            part = (logits[rows].float() - normalisers[rows, None]).exp_()
            part -= ctx.label_smoothing / logits.shape[1]
            part.scatter_add_(1, targets[rows, None], part.new_full((len(part), 1), ctx.label_smoothing - 1))
            of_logits[rows] = part.mul_(gradient[rows, None])
        return of_logits, None, None


def row_slices(logits: Tensor) -> list[slice]:
    rows = max(1, AT_ONCE // logits.shape[1])
    return [slice(start, start + rows) for start in range(0, len(logits), rows)]


def next_tokens(labels: Tensor | None, shift_labels: Tensor | None) -> Tensor | None:
    """For each position the token that it has to predict, [B, L], `IGNORED` where there is none; None without any labels."""
    if shift_labels is not None or labels is None:
        return shift_labels
    return torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)


def mean_of(losses: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor:
    """The loss of a batch: over the trained tokens that it has, or `num_items_in_batch` of them, where it is a part of a larger one."""
    if num_items_in_batch is None:
        return losses.mean()
    if torch.is_tensor(num_items_in_batch):
        num_items_in_batch = num_items_in_batch.to(losses.device)
    return losses.sum() / num_items_in_batch
