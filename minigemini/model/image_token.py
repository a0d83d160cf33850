"""The image token of converted checkpoints lies behind the vocabulary, so that no embedding and no logit is added to them."""

from torch import Tensor
from transformers.utils import torch_compilable_check

from .configuration_minigemini import MiniGeminiConfig


def has_embedding(config: MiniGeminiConfig) -> bool:
    return config.image_token_id < config.text_config.vocab_size


def in_vocabulary(input_ids: Tensor | None, config: MiniGeminiConfig, shows_images: bool) -> Tensor:
    """Ids that can be looked up, [B, L]: an image token without embedding becomes 0, and the picture takes its place.

    Raises:
        ValueError: there are image tokens, but no pictures. Not looked for in a step of one token, which `generate` makes and
            which is never a picture.
    """
    assert input_ids is not None, "the caller has looked"
    if shows_images:
        return input_ids if has_embedding(config) else input_ids.masked_fill(input_ids == config.image_token_id, 0)
    if input_ids.shape[1] > 1:
        torch_compilable_check(
            ~(input_ids == config.image_token_id).any(),
            f"the text has image tokens (id {config.image_token_id}), but no images were given",
        )
    return input_ids
