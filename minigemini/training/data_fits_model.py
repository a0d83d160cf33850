"""Whether the records can teach the modules that shall learn, and fit what the language model can read."""

from torch import nn
from transformers import PreTrainedModel

from minigemini.data.mixture import Mixture

SEES = ("vision_tower", "high_res_vision_tower", "patch_info_mining", "multi_modal_projector")


def check_data_fits(model: PreTrainedModel, mixture: Mixture, max_length: int) -> str | None:
    """
    Returns:
        A warning, if a sample may be longer than the language model's context.

    Raises:
        ValueError: modules that see are to be trained, and no record has a picture.
    """
    trained = [name for name in SEES if is_trained(getattr(model.model, name))]
    if trained and not mixture.images.any():
        raise ValueError(f"no record has a picture, so nothing would train {', '.join(trained)}: leave them frozen")
    context = getattr(model.config.text_config, "max_position_embeddings", None)
    if context is None or max_length <= context:
        return None
    longer = int((mixture.lengths > context).sum())
    return (
        f"data.max_length {max_length:,} is more than the language model's context of {context:,} tokens; "
        f"{longer:,} of {len(mixture):,} records are longer than that"
    )


def is_trained(module: nn.Module | None) -> bool:
    return module is not None and any(parameter.requires_grad for parameter in module.parameters())
