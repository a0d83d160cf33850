"""Every trained parameter is in the graph of every batch.

DDP and ZeRO wait on every process for the gradient of every trained parameter, and ZeRO-3 and FSDP2 gather all slices of all
modules, in the order in which they are called, on all processes at once. Two things would keep a part of the model out of a
step: a batch of text alone calls nothing that sees, and behind the layer of the low-resolution tower that is read there are
others.
"""

import functools
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from minigemini.model.modeling_minigemini import MiniGeminiForConditionalGeneration, MiniGeminiModel
from minigemini.model.outputs import MiniGeminiImageFeatures


def keep_graph_whole(whole: MiniGeminiForConditionalGeneration) -> None:
    """Change how the model runs, for good; no loss, and no gradient but from none to zero, is another by it.

    - A batch without pictures runs all that sees on a black picture, of which no token is used. (It is done within the model's
      forward, so that its modules are called behind the hooks of an engine and in the order of a batch with pictures.)
    - What the tower's last layers give is added, times zero, to the layer that is read.
    """
    model: Any = whole.model
    forward = model.forward

    @functools.wraps(forward)
    def forward_with_a_picture(*, pixel_values: Any = None, mm_encoder_outputs: Any = None, **kwargs: Any) -> Any:
        if pixel_values is None and not mm_encoder_outputs and must_see(model):
            mm_encoder_outputs = {"image": no_tokens_of_a_black_picture(model)}
        return forward(pixel_values=pixel_values, mm_encoder_outputs=mm_encoder_outputs, **kwargs)

    model.forward = forward_with_a_picture
    model.vision_tower.register_forward_hook(functools.partial(with_all_layers, model.config.vision_feature_layer))


def must_see(model: MiniGeminiModel) -> bool:
    """Whether something that sees is being trained, or lies in slices with the other processes."""
    parts = (model.vision_tower, model.high_res_vision_tower, model.patch_info_mining, model.multi_modal_projector)
    parameters = [parameter for part in parts if part is not None for parameter in part.parameters()]
    if is_deepspeed_zero3_enabled() or any(isinstance(parameter, DTensor) for parameter in parameters):
        return True
    return model.training and any(parameter.requires_grad for parameter in parameters)


def no_tokens_of_a_black_picture(model: MiniGeminiModel) -> MiniGeminiImageFeatures:
    """Image features with `pooler_output` [0, tokens, D], whose gradient is zero."""
    config, device = model.config, model.device
    side, views = config.vision_config.image_size, config.views_per_image
    pixels = torch.zeros((1, 3, side, side) if views == 1 else (1, views, 3, side, side), device=device)
    high_res = None
    if config.high_res_vision_config is not None:
        side = config.high_res_vision_config.image_size
        high_res = torch.zeros(1, 3, side, side, device=device)
    features = model.get_image_features(pixels, high_res, return_dict=True)
    assert isinstance(features, MiniGeminiImageFeatures)
    assert features.pooler_output is not None
    features.pooler_output = features.pooler_output[:0]
    return features


def with_all_layers(read: int, tower: nn.Module, given: Any, outputs: Any) -> Any:
    """A forward hook of the low-resolution tower; `read` is the layer that the model reads."""
    if tower.training and outputs.pooler_output is not None:
        layers = list(outputs.hidden_states)
        layers[read] = layers[read] + 0.0 * outputs.pooler_output.sum()
        outputs.hidden_states = tuple(layers)
    return outputs
