"""The image token of converted checkpoints lies behind the vocabulary, so that no embedding and no logit is added to them."""

from torch import Tensor
from transformers.utils import torch_compilable_check

from .configuration_minigemini import MiniGeminiConfig


def has_embedding(config: MiniGeminiConfig) -> bool:
    return config.image_token_id < config.text_config.vocab_size


def in_vocabulary(input_ids: Tensor | None, config: MiniGeminiConfig, shows_images: bool) -> Tensor:
    """Ids that can be looked up, [B, L]: an image token without embedding becomes 0, and the picture takes its place.

    Raises:
        ValueError: there is such a token, but no picture.
    """
    assert input_ids is not None, "the caller has looked"
    if has_embedding(config) or (not shows_images and input_ids.shape[1] == 1):
        return input_ids
    mask = input_ids == config.image_token_id
    if not shows_images:
        torch_compilable_check(
            ~mask.any(), f"the text has image tokens (id {config.image_token_id}), but no images were given"
        )
    return input_ids.masked_fill(mask, 0)
