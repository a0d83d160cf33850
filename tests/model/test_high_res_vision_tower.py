from typing import Any

import torch

from minigemini.model.configuration_minigemini import MiniGeminiHighResVisionConfig
from minigemini.model.high_res_vision_tower import MiniGeminiHighResVisionModel

ARGS: dict[str, Any] = {"depths": [2, 2, 2, 2], "dims": [8, 12, 16, 20]}


def tower(**model_args) -> MiniGeminiHighResVisionModel:
    torch.manual_seed(0)
    config = MiniGeminiHighResVisionConfig(
        architecture="convnext_atto", model_args={**ARGS, "ls_init_value": 0.5, **model_args}, image_size=64
    )
    return MiniGeminiHighResVisionModel(config)


def test_pyramid_of_four_stages():
    pyramid = tower().eval()(torch.randn(2, 3, 64, 64))
    assert [tuple(stage.shape) for stage in pyramid] == [(2, 8, 16, 16), (2, 12, 8, 8), (2, 16, 4, 4), (2, 20, 2, 2)]


def test_drop_path_in_training_mode_only():
    """As timm does; who trains keeps a frozen tower in eval mode."""
    pixels = torch.randn(4, 3, 64, 64)
    high_res = tower(drop_path_rate=0.9).train()
    assert not torch.equal(high_res(pixels)[3], high_res(pixels)[3])
    assert torch.equal(high_res.eval()(pixels)[3], high_res(pixels)[3])
