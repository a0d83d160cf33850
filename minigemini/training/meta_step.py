"""One training step on the meta device: nothing is computed, and every byte that would be alive is counted."""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from minigemini.model.loss import TokenCrossEntropy


@dataclass(frozen=True)
class MicroBatch:
    """The shape of what one process takes at once."""

    samples: int
    length: int  # tokens of each, padding included
    images: int
    predicted: int  # positions that the head runs on


class BytesAlive(TorchDispatchMode):
    """Counts the bytes of what operators allocate, while it is referred to, and keeps the most there were at once.

    Args:
        known: tensors that were there before; views of them allocate nothing.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in known}
        self.alive: dict[int, tuple[int, weakref.ref]] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.add(tensor.untyped_storage())
        return result

    def add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self.known or key in self.alive:
            return
        self.alive[key] = (storage.nbytes(), weakref.ref(storage, lambda _: self.remove(key)))
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)

    def remove(self, key: int) -> None:
        self.now -= self.alive.pop(key)[0]


def step_bytes(model: Any, batch: MicroBatch) -> int:
    """What a step needs at its peak beside weights, gradients and optimizer: the batch, what is kept for the way back, and
    what comes and goes.

    Args:
        model: on the meta device, of the dtype that is computed in, what is trained and checkpointed set as in the run.
    """
    handles = [
        parameter.register_post_accumulate_grad_hook(drop_gradient)
        for parameter in model.parameters()
        if parameter.requires_grad
    ]
    with (
        attention_without_scores(),
        BytesAlive([*model.parameters(), *model.buffers()]) as counter,
        torch.device("meta"),
    ):
        # not loss.backward(), which leaves behind what it was called with
        torch.autograd.backward(loss_on_meta(model, batch))
    for handle in handles:
        handle.remove()
    return counter.peak


def loss_on_meta(model: Any, batch: MicroBatch) -> Tensor:
    """The forward pass of the model, less what looks at values: which of the tokens are those of pictures, and are learnt."""
    input_ids = torch.zeros(batch.samples, batch.length, dtype=torch.long)
    hidden = model.get_input_embeddings()(input_ids)
    if batch.images:
        features = model.get_image_features(*pixels_on_meta(model, batch.images), return_dict=True).pooler_output
        where = torch.zeros(*input_ids.shape, 1, dtype=torch.bool)
        hidden = hidden.masked_scatter(where, features.flatten(0, 1))
    visible = torch.ones(batch.samples, 1, batch.length, batch.length, dtype=torch.bool)
    hidden = model.model.language_model(inputs_embeds=hidden, attention_mask=visible, use_cache=False).last_hidden_state
    logits = model.lm_head(hidden.flatten(0, 1)[: batch.predicted])
    return TokenCrossEntropy.apply(logits, torch.zeros(batch.predicted, dtype=torch.long), 0.0).mean()


def pixels_on_meta(model: Any, images: int) -> list[Tensor]:
    """`pixel_values` and, where the model mines, `high_res_pixel_values`, in float32 as they come from the processor."""
    config = model.config
    side, views = config.vision_config.image_size, config.views_per_image
    shape = (images, 3, side, side) if views == 1 else (images, views, 3, side, side)
    pixels = [torch.zeros(shape, device="meta")]
    if config.high_res_vision_config is not None:
        side = config.high_res_vision_config.image_size
        pixels.append(torch.zeros(images, 3, side, side, device="meta"))
    return pixels


@contextmanager
def attention_without_scores() -> Iterator[None]:
    """On the meta device torch takes attention apart and keeps all scores; the kernels that train keep none."""
    decomposed = functional.scaled_dot_product_attention

    def fused(
        query: Tensor, key: Tensor, value: Tensor, *args: Any, scale: float | None = None, **kwargs: Any
    ) -> Tensor:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value, scale=scale)[0]

    functional.scaled_dot_product_attention = fused
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = decomposed


def drop_gradient(parameter: Tensor) -> None:
    parameter.grad = None


def repeated_layers(model: nn.Module) -> list[nn.Module]:
    """The layers that engines gather one after the other: the members of every list of modules."""
    return [layer for module in model.modules() if isinstance(module, nn.ModuleList) for layer in module]
