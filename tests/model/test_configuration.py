import pytest
from transformers import Qwen3Config

from minigemini import MiniGeminiConfig, MiniGeminiModel
from minigemini.model.configuration_minigemini import MiniGeminiHighResVisionConfig

CLIP = {"model_type": "clip_vision_model", "image_size": 336, "patch_size": 14}


def test_defaults_are_those_of_the_released_models_without_high_resolution():
    config = MiniGeminiConfig()
    assert config.text_config.model_type == "llama"
    assert (config.vision_config.image_size, config.vision_config.hidden_size) == (336, 1024)
    assert config.high_res_vision_config is None
    assert (config.tokens_per_side, config.tokens_per_image) == (24, 576)
    config.check_geometry()


def test_saved_and_loaded(tmp_path):
    config = MiniGeminiConfig(
        text_config=Qwen3Config(num_hidden_layers=3, tie_word_embeddings=True),
        vision_config=CLIP,
        high_res_vision_config={"architecture": "convnext_base", "image_size": 1536},
        image_grid=2,
        image_global=True,
        image_token_id=7,
    )
    config.save_pretrained(tmp_path)
    again = MiniGeminiConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    assert isinstance(again.text_config, Qwen3Config)
    assert isinstance(again.high_res_vision_config, MiniGeminiHighResVisionConfig)
    assert again.tie_word_embeddings
    assert again.get_text_config() is again.text_config
    assert (again.views_per_image, again.tokens_per_image) == (5, 2880)
    plain = MiniGeminiConfig(vision_config=CLIP)
    plain.save_pretrained(tmp_path)
    assert MiniGeminiConfig.from_pretrained(tmp_path).high_res_vision_config is None


@pytest.mark.parametrize(
    ("vision", "high_res", "grid", "whole", "message"),
    [
        ({}, 768, 1, False, None),
        ({}, 384, 1, False, None),
        ({}, 1536, 2, True, None),
        ({}, 800, 1, False, r"= 800 .*24 x 24 tokens.*multiple of 96 pixels, such as 576, 672, 768, 864, 960"),
        ({}, 768 + 96, 2, False, r"48 x 48 tokens.*multiple of 192 pixels, such as .*768, 960"),
        ({"image_size": 384}, 864, 1, False, None),  # 27 x 27: the last 6 pixels are no patch
        ({"image_size": 384}, 768, 1, False, "multiple of 864"),
        ({}, 768, 1, True, "image_global needs image_grid > 1"),
        ({}, 768, 0, False, "image_grid must be at least 1, not 0"),
    ],
)
def test_geometry(vision, high_res, grid, whole, message):
    config = MiniGeminiConfig(
        vision_config={**CLIP, **vision},
        high_res_vision_config={"image_size": high_res},
        image_grid=grid,
        image_global=whole,
    )
    if message is None:
        config.check_geometry()
        return
    with pytest.raises(ValueError, match=message):
        MiniGeminiModel(config)  # before anything is built
