"""What all processes of a run must decide alike."""

import torch
from torch import distributed


def any_process(condition: bool, device: torch.device) -> bool:
    """Whether it holds in any process; all of them must ask."""
    if not distributed.is_initialized():
        return condition
    flag = torch.tensor([float(condition)], device=device)
    distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
    return bool(flag.item())
