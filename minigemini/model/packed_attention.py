"""Attention within the samples of a pack, one after the other: what a kernel for variable lengths does, where there is none.

transformers gives `sdpa` a mask of [L, L] for a pack, so that most of what is computed is thrown away, and no fast kernel takes it.
`sdpa_packed` computes `sdpa` of each sample alone and gives the same numbers, or in 16 bits on a GPU torch's kernel for variable lengths
(FlashAttention's); for all that is no pack it is `sdpa`.

Nothing but the mask says where samples begin, as only the mask reaches the attention in every family of models: a pack's "mask" is
[samples], their lengths.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import causal_mask_function, sdpa_mask

PACKED = "sdpa_packed"
HAS_VARLEN = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 11)  # before, it knew no window


def packed_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: Callable = causal_mask_function,
    attention_mask: Tensor | None = None,
    allow_is_causal_skip: bool = True,
    device: torch.device | str = "cpu",
    **kwargs: Any,
) -> Tensor | None:
    """Of a row in which each token sees its own sample up to itself, the lengths of samples [samples]; else the mask of `sdpa`."""
    # transformers allows to leave the mask out of a row that is one causal sample
    if batch_size == 1 and attention_mask is None and q_length == kv_length > 1 and not allow_is_causal_skip:
        zero, tokens = torch.zeros((), dtype=torch.long, device=device), torch.arange(q_length, device=device)
        begins = torch.ones(q_length, dtype=torch.bool, device=device)
        begins[1:] = ~mask_function(zero, zero, tokens[1:], tokens[:-1])
        first = begins.nonzero()[:, 0]
        ends = torch.cat([first[1:], first.new_tensor([q_length])])
        window_ends = ~mask_function(zero, zero, ends - 1, first)
        sees_the_next = mask_function(zero, zero, tokens[:-1], tokens[1:])
        if not window_ends.any() and not sees_the_next.any():
            return ends - first
    return sdpa_mask(
        batch_size=batch_size,
        q_length=q_length,
        kv_length=kv_length,
        q_offset=q_offset,
        kv_offset=kv_offset,
        mask_function=mask_function,
        attention_mask=attention_mask,
        allow_is_causal_skip=allow_is_causal_skip,
        device=device,
        **kwargs,
    )


def packed_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, None]:
    """Query [B, heads, L, d], key and value [B, key heads, L, d] -> [B, L, heads, d]."""
    if attention_mask is None or attention_mask.ndim > 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    dtype = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else query.dtype
    if query.is_cuda and not kwargs.get("dropout") and fits_varlen(dtype, query.shape[-1]):
        return varlen(query.to(dtype), key.to(dtype), value.to(dtype), attention_mask, kwargs.get("scaling")), None
    samples = zip(*(states.split(attention_mask.tolist(), dim=2) for states in (query, key, value)), strict=True)
    return torch.cat([sdpa_attention_forward(module, q, k, v, None, **kwargs)[0] for q, k, v in samples], dim=1), None


def fits_varlen(dtype: torch.dtype, width: int) -> bool:
    """Has torch the kernel, and does it take this type and this width of a head?"""
    return HAS_VARLEN and dtype in (torch.float16, torch.bfloat16) and width % 8 == 0 and width <= 256


def varlen(query: Tensor, key: Tensor, value: Tensor, lengths: Tensor, scale: float | None) -> Tensor:
    """:func:`packed_attention` of one row, on a GPU, without asking the device how long the samples are."""
    from torch.nn.attention.varlen import varlen_attn

    ends = functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)
    tokens = query.shape[2]  # no sample is longer
    groups = query.shape[1] // key.shape[1]
    key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    attended = varlen_attn(q, k, v, ends, ends, tokens, tokens, scale=scale, window_size=(-1, 0))
    assert isinstance(attended, Tensor)
    return attended[None]


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, packed_mask)
