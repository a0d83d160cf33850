"""Operations and bytes of a computation, counted on the meta device: nothing is computed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from machine import Roofs
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


@dataclass
class Counts:
    flops: int  # of matrix products, convolutions and attention, as torch's counter counts; the rest is in the bytes
    bytes: int  # that operators read and write, were each to take its tensors from memory and to put them back there


def count(step: Callable[[], Any]) -> Counts:
    """Count what ``step`` does; its tensors are on the meta device."""
    with FlopCounterMode(display=False) as flops, ByteCounter() as moved:
        step()
    return Counts(flops.get_total_flops(), moved.bytes)


class ByteCounter(TorchDispatchMode):
    """Sums the sizes of the tensors that operators read and write. Views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        written = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        storages = {tensor.untyped_storage()._cdata for tensor in read}
        is_view = not func._schema.is_mutable and all(t.untyped_storage()._cdata in storages for t in written)
        if not is_view:
            self.bytes += sum(map(tensor_bytes, read)) + sum(map(tensor_bytes, written))
        return result


def tensor_bytes(tensor: Tensor) -> int:
    """What it has in memory: an expanded tensor is read once from there."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def roofline(work: str, way: str, counts: Counts, seconds: float | None, roofs: Roofs) -> dict[str, Any]:
    """A row that explains a time: what it did, at which rate, and how long the machine would need at least."""
    compute = counts.flops / roofs.flops_per_second
    memory = counts.bytes / roofs.bytes_per_second
    return {
        "work": work,
        "way": way,
        "GFLOP": counts.flops / 1e9,
        "GB moved": counts.bytes / 1e9,
        "measured s": seconds,
        "GFLOP/s": None if seconds is None else counts.flops / seconds / 1e9,
        "GB/s": None if seconds is None else counts.bytes / seconds / 1e9,
        "s at the machine's GFLOP/s": compute,
        "s at its GB/s": memory,
        "of the roof": None if seconds is None else max(compute, memory) / seconds,
    }
