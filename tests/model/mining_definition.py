"""The defining formula of patch info mining, as the original system computes it: upsample, concatenate, cut, attend."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from minigemini.model.patch_info_mining import PatchInfoMining


def mined_tokens(mining: PatchInfoMining, tokens: Tensor, pyramid: list[Tensor], grid: int) -> tuple[Tensor, Tensor]:
    """What ``mining`` must return: tokens [B, T, N, D] with the mined added, and the attention [B, T, N, P, P]."""
    side = pyramid[0].shape[-1]
    whole = torch.cat([F.interpolate(s, size=(side, side), mode="bilinear", align_corners=False) for s in pyramid], 1)
    crop = side // grid
    maps = [whole[..., r * crop : (r + 1) * crop, c * crop : (c + 1) * crop] for r in range(grid) for c in range(grid)]
    if tokens.shape[1] > grid**2:
        maps.append(F.interpolate(whole, size=(crop, crop), mode="bilinear", align_corners=False))
    views = [attend(mining, tokens[:, view], map_) for view, map_ in enumerate(maps)]
    return torch.stack([view[0] for view in views], 1), torch.stack([view[1] for view in views], 1)


def attend(mining: PatchInfoMining, tokens: Tensor, high_res: Tensor) -> tuple[Tensor, Tensor]:
    batch, number, width = tokens.shape
    side = round(number**0.5)
    cell = high_res.shape[-1] // side
    cells = high_res.unflatten(3, (side, cell)).unflatten(2, (side, cell)).permute(0, 2, 4, 3, 5, 1)
    cells = cells.reshape(batch, number, cell * cell, -1)
    query = mining.query_projection(mining.query_norm(tokens))
    key = linear(mining.key_projection, layer_norm(mining.key_norm, cells))
    value = linear(mining.value_projection, layer_norm(mining.value_norm, cells))
    attention = ((query[:, :, None] * key).sum(-1) / width**0.5).softmax(-1)
    mined = (attention[..., None] * value).sum(2)
    return tokens + mined, attention.unflatten(-1, (cell, cell))


def layer_norm(module: Any, values: Tensor) -> Tensor:
    return F.layer_norm(values, values.shape[-1:], module.weight, module.bias, module.eps)


def linear(module: Any, values: Tensor) -> Tensor:
    return F.linear(values, module.weight, module.bias)
