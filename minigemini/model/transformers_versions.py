"""What depends on the version of transformers: each branch says when it can go."""

import dataclasses

from transformers import Cache, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPast

# transformers 5.24 renamed `past_key_values` to `cache`, in every forward and in outputs. Goes when pyproject asks for >= 5.24.
OUTPUT_FIELDS = {field.name for field in dataclasses.fields(BaseModelOutputWithPast)}
CACHE = "cache" if "cache" in OUTPUT_FIELDS else "past_key_values"

# transformers 5.24 renamed `gradient_checkpointing_enable`, the first argument of which stayed. Goes when pyproject asks for >= 5.24.
CHECKPOINT_BLOCKS = (
    "activation_checkpointing_enable"
    if "activation_checkpointing_enable" in vars(PreTrainedModel)
    else "gradient_checkpointing_enable"
)
# The argument that asks Trainer for it, renamed with it, and the start of `..._kwargs`; the old name warns. Goes with the former.
BLOCKS_TWICE = CHECKPOINT_BLOCKS.removesuffix("_enable")


def either_cache(cache: Cache | None, past_key_values: Cache | None) -> Cache | None:
    """The cache, under whichever of its two names it was given. Goes when transformers' own forward refuses the old one (5.40).

    Raises:
        ValueError: it was given under both.
    """
    if cache is not None and past_key_values is not None:
        raise ValueError("give either cache or past_key_values, its name before transformers 5.24, not both")
    return past_key_values if cache is None else cache
