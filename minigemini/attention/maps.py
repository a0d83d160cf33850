"""Where the words of an answer looked: the language model's attention to image tokens, and below it the mining's.

Shapes: A words (tokens) of the answer, L tokens of prompt and answer, s x s tokens of a view (s = n for the whole picture,
g * n for a g x g grid of crops, taken as one map), P x P high-resolution positions in the cell of a token (P = 1 without mining).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from minigemini.model.configuration_minigemini import MiniGeminiConfig
from minigemini.model.patch_info_mining import tiles_to_grid

Square = tuple[float, float, float, float]
"""left, top, right, bottom, in pixels of a picture"""


@dataclass(frozen=True)
class ViewAttention:
    """One view of a picture, its tokens in the places where they look, top to bottom and left to right.

    Attributes:
        tokens: [s, s], the share of the answer's attention that went to each token.
        mining: [s, s, P, P], how each token spread its attention over its cell, each cell sums to 1; None without mining.
        residual_norms: [s, s], |mined| / |token|: what the high-resolution tower added to each token; None without mining.
    """

    tokens: np.ndarray
    mining: np.ndarray | None
    residual_norms: np.ndarray | None

    def positions(self) -> np.ndarray:
        """[s * P, s * P], ``tokens`` spread over the high-resolution positions by ``mining``: where the answer looked there.

        Its sum is that of ``tokens``.
        """
        return self.tokens if self.mining is None else cells_to_map(self.tokens[:, :, None, None] * self.mining)


@dataclass(frozen=True)
class ImageAttention:
    """What an answer saw of one picture: its crops (or the one view there is), and the whole picture behind a grid."""

    crops: ViewAttention
    whole: ViewAttention | None

    def share(self) -> float:
        """Of the answer's attention, how much went to this picture; the rest went to words and to other pictures."""
        return float(sum(view.tokens.sum() for view in (self.crops, self.whole) if view is not None))

    def cells(self) -> np.ndarray:
        """[s, s] of the crops: the share that went to each token, the whole view's spread over the g x g that it covers."""
        return self.crops.tokens if self.whole is None else add_spread(self.crops.tokens, self.whole.tokens)

    def positions(self) -> np.ndarray:
        """[s * P, s * P] of the crops: the same at the positions in their cells."""
        crops = self.crops.positions()
        return crops if self.whole is None else add_spread(crops, self.whole.positions())


@torch.no_grad()
def answer_attention(model: Any, inputs: Mapping[str, Any], answer_ids: Tensor) -> list[ImageAttention]:
    """Where an answer looked in each picture of its conversation.

    The mean, over the answer's words, over all heads and all layers of the language model, of the attention with which each
    word was chosen (the row of the token before it). All layers and heads count alike: any choice among them would be tuned. On
    the shipped nano the brightest token is that of the object in question for 100 of 100 tags and 52 of 52 colours of the
    tabletop benchmark (``tests/nano/test_nano_attention.py``, with 100 scenes).

    What it is not: attention says what was read, not what mattered, and a token also knows of its neighbours from the vision
    towers. Large language models park attention that they have no use for on a few tokens of no meaning (Xiao et al.,
    arXiv:2309.17453; on image tokens Kang et al., arXiv:2503.03321); such a token shines whatever was asked.

    The prompt is read once as usual, then the whole answer in one step, with the language model set to eager attention, which is the
    only one that gives weights; no other thread may use the model meanwhile.

    Args:
        model: a ``MiniGeminiForConditionalGeneration``.
        inputs: of one conversation up to the answer: ``input_ids`` [1, L - A] and pixels, as from the processor.
        answer_ids: [A], as generated; an end token in the last place does not count.

    Returns:
        One for each picture, in the order of the conversation.

    Raises:
        ValueError: there is no picture, or no word in the answer.
    """
    prompt = inputs["input_ids"]
    assert len(prompt) == 1, f"a batch of {len(prompt)} conversations"
    if inputs.get("pixel_values") is None:
        raise ValueError("no picture was shown, so there is nothing to look at")
    ends = model.generation_config.eos_token_id
    if len(answer_ids) and int(answer_ids[-1]) in ([ends] if isinstance(ends, int) else ends or []):
        answer_ids = answer_ids[:-1]
    if len(answer_ids) == 0:
        raise ValueError("the answer has no words, so they looked nowhere")

    features = model.get_image_features(
        inputs["pixel_values"], inputs.get("high_res_pixel_values"), output_mining_attentions=True, return_dict=True
    )
    cache = DynamicCache()  # without a configuration: sliding windows, too, keep every token
    model.model(input_ids=prompt[:, :-1], mm_encoder_outputs={"image": features}, cache=cache, use_cache=True)
    rows = torch.cat([prompt[:, -1:], answer_ids[None, :-1].to(prompt.device)], dim=1)
    with eager_attention(model.model.language_model):
        layers = model.model(input_ids=rows, cache=cache, use_cache=True, output_attentions=True).attentions
    assert all(layer.shape[-1] == prompt.shape[1] + rows.shape[1] - 1 for layer in layers), "attention to part of it"
    to_all = torch.stack([layer[0].float().mean((0, 1)).cpu() for layer in layers]).mean(0)  # [L - 1]
    to_images = to_all[: prompt.shape[1]][(prompt[0] == model.config.image_token_id).cpu()]

    mining, norms = features.mining_attentions, features.mining_residual_norms
    return [
        image_attention(
            model.config,
            tokens,
            None if mining is None else mining[image].float().cpu(),
            None if norms is None else norms[image].float().cpu(),
        )
        for image, tokens in enumerate(to_images.split(model.config.tokens_per_image))
    ]


def image_attention(
    config: MiniGeminiConfig, tokens: Tensor, mining: Tensor | None, residual_norms: Tensor | None
) -> ImageAttention:
    """From the order of tokens (whole view first, then crops row by row) to places in the picture.

    Args:
        tokens, mining, residual_norms: [tokens of a picture], [tokens, P, P] and [tokens].
    """
    per_view = config.tokens_per_side**2

    def placed(values: Tensor | None, grid: int) -> Any:
        if values is None:
            return None
        cells = tiles_to_grid(values.unflatten(0, (grid**2, per_view))[None], grid)[0]
        return cells.unflatten(0, (grid * config.tokens_per_side, -1)).numpy()

    def view(part: slice, grid: int) -> ViewAttention:
        given = (None if values is None else values[part] for values in (tokens, mining, residual_norms))
        return ViewAttention(*(placed(values, grid) for values in given))

    if not config.image_global:
        return ImageAttention(view(slice(None), config.image_grid), None)
    return ImageAttention(view(slice(per_view, None), config.image_grid), view(slice(per_view), 1))


def add_spread(fine: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """[g s, g s] + [s, s], each number of the coarse one evenly over g x g of the fine."""
    grid = len(fine) // len(coarse)
    return fine + np.kron(coarse, np.full((grid, grid), grid**-2))


def cells_to_map(cells: np.ndarray) -> np.ndarray:
    """[s, s, P, P] -> [s * P, s * P]."""
    rows, columns, height, width = cells.shape
    return cells.transpose(0, 2, 1, 3).reshape(rows * height, columns * width)


def seen_square(size: tuple[int, int], image_processor: Any) -> Square:
    """The square of a picture that the model saw, in the picture's own pixels: left, top, right, bottom.

    It reaches beyond the picture where that was padded, and is smaller where it was cropped (see
    ``image_processing_minigemini.to_square`` and ``shortest_edge_centre_crop``).

    Args:
        size: width and height of the picture.
    """
    width, height = size
    if image_processor.do_pad:
        side = max(size)
        left, top = -((side - width) // 2), -((side - height) // 2)
        return left, top, left + side, top + side
    side = image_processor.high_res_size
    edges = []
    for length in size:
        resized = int(side * length / min(size))
        start = (resized - side) // 2
        edges.append((start * length / resized, (start + side) * length / resized))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


def share_on_picture(values: np.ndarray, square: Square, size: tuple[int, int]) -> float:
    """The part of the sum of a map [S, S] over the square that lies on the picture, and not on its padding."""
    left, top, right, bottom = square
    places = (np.arange(len(values)) + 0.5) / len(values)
    x, y = left + places * (right - left), top + places * (bottom - top)
    on = ((y >= 0) & (y < size[1]))[:, None] & ((x >= 0) & (x < size[0]))
    return float(values[on].sum() / values.sum())


@contextmanager
def eager_attention(language_model: Any) -> Iterator[None]:
    before = language_model.config._attn_implementation
    language_model.set_attn_implementation("eager")
    try:
        yield
    finally:
        language_model.set_attn_implementation(before)
