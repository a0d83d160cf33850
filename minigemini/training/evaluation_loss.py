"""The loss on held-out records: a sum over trained tokens, divided once by their number, on any number of processes."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from minigemini.data.collator import sample_of_trained_tokens
from minigemini.training.processes import gather


def evaluation_loss(model: nn.Module, batches: Iterable[dict[str, Any]]) -> tuple[float, int]:
    """Mean loss over the trained tokens of all records, and the number of records.

    Where a set does not divide evenly, processes are given records twice; they are told apart by name, and count once.

    Args:
        model: as its engine wraps it; it is in eval mode after this.
        batches: of this process, on its device.
    """
    model.eval()
    by_name: dict[str, tuple[float, int]] = {}
    for batch in batches:
        given = {key: value for key, value in batch.items() if key not in ("names", "sources")}
        with torch.no_grad():
            losses = model(**given, logits_to_keep=1).token_losses
        sample = sample_of_trained_tokens(batch, len(losses)).cpu()
        sums = torch.zeros(len(batch["names"]), dtype=torch.float64).index_add_(0, sample, losses.double().cpu())
        counts = sample.bincount(minlength=len(batch["names"]))
        by_name |= dict(zip(batch["names"], zip(sums.tolist(), counts.tolist(), strict=True), strict=True))
    merged = {name: found for part in gather(by_name) for name, found in part.items()}
    found = [merged[name] for name in sorted(merged)]  # in one order, so that any number of processes adds up alike
    return sum(loss for loss, _ in found) / sum(count for _, count in found), len(found)
