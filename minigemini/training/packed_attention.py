"""Which attention a language model is given for packs."""

from transformers import PreTrainedModel
from transformers.utils import is_flash_attn_2_available

from minigemini.model.packed_attention import PACKED

CAN_BE_PACKED = {"full_attention", "sliding_attention", "chunked_attention"}


def choose_attention(language_model: PreTrainedModel, device: str, half: bool) -> None:
    """FlashAttention's for variable lengths where it is installed, else each sample alone. What the model was loaded with otherwise
    than `sdpa`, transformers' default, was asked for, and stays.

    Args:
        half: training computes in 16 bits, which FlashAttention asks for.

    Raises:
        ValueError: the model has layers that carry something from token to token without attention, so from sample to sample.
    """
    layers = set(getattr(language_model.config, "layer_types", None) or ["full_attention"])
    if others := layers - CAN_BE_PACKED:
        raise ValueError(
            f"data.packing: this language model ({language_model.config.model_type}) has layers of {', '.join(sorted(others))}, in which "
            "the samples of a pack would reach each other; leave packing out, and set trainer.train_sampling_strategy to group_by_length"
        )
    if language_model.config._attn_implementation == "sdpa":
        flash = half and device == "cuda" and is_flash_attn_2_available()
        language_model.set_attn_implementation("flash_attention_2" if flash else PACKED)
