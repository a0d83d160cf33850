"""Configuration of a Mini-Gemini model: a language model, a low-resolution and a high-resolution vision tower."""

import math
from typing import Any, Literal

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from .remote_code import SavedWithCode


@strict
class MiniGeminiHighResVisionConfig(PreTrainedConfig):
    r"""
    A ConvNeXt feature pyramid from timm.

    Args:
        architecture: name of a ConvNeXt in timm, such as `"convnext_large"`.
        model_args: arguments of `timm.create_model` beside the name, such as `{"depths": ..., "dims": ...}`.
        image_size: side in pixels of the square high-resolution picture.
    """

    model_type = "minigemini_high_res_vision"
    base_config_key = "high_res_vision_config"

    architecture: str = "convnext_large"
    model_args: dict[str, Any] | None = None
    image_size: int = 768

    @property
    def stem_stride(self) -> int:
        """Pixels of the picture per position of the finest stage, along one axis."""
        return (self.model_args or {}).get("patch_size", 4)


@strict
class MiniGeminiConfig(SavedWithCode, PreTrainedConfig):
    r"""
    Args:
        text_config: any decoder language model of transformers (default: Llama).
        vision_config: low-resolution tower, a CLIP, SigLIP or DINO vision model (default: CLIP ViT-L/14 at 336 pixels).
        high_res_vision_config: [`MiniGeminiHighResVisionConfig`]; `None` makes a model with the low-resolution tower
            alone, without patch info mining.
        image_token_id: the id that stands in `input_ids` once for every image token.
        vision_feature_layer: index into the low-resolution tower's hidden states.
        vision_feature_select_strategy: `"default"` drops what stands before the patches (CLIP's class token, DINO's
            class and register tokens), `"full"` keeps all (SigLIP has nothing there).
        projector_hidden_act: activation between the two layers of the projector.
        image_feature_scale: what image features are multiplied by behind the projector. 1, but in Gemma checkpoints of the
            original the square root of the hidden size: it scaled words and pictures alike, today's Gemma only words.
        image_grid: g cuts the picture into g x g crops for the low-resolution tower ("HD" with g = 2).
        image_global: with a grid, adds the whole picture as one more view, in front of the crops' tokens.
    """

    model_type = "minigemini"
    sub_configs = {
        "text_config": AutoConfig,
        "vision_config": AutoConfig,
        "high_res_vision_config": MiniGeminiHighResVisionConfig,
    }

    text_config: Any = None  # a config, a dict of its fields or None; here and below: a config once initialised
    vision_config: Any = None
    high_res_vision_config: Any = None
    image_token_id: int = 32000
    vision_feature_layer: int = -2
    vision_feature_select_strategy: Literal["default", "full"] = "default"
    projector_hidden_act: str = "gelu"
    image_feature_scale: float = 1.0
    image_grid: int = 1
    image_global: bool = False
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs):
        # Written out, because the declarative form (SubConfigSpec) is younger than the oldest supported transformers.
        if not isinstance(self.text_config, PreTrainedConfig):
            text = dict(self.text_config or {})
            self.text_config = CONFIG_MAPPING[text.pop("model_type", "llama")](**text)
        if not isinstance(self.vision_config, PreTrainedConfig):
            vision = dict(self.vision_config or CLIP_VIT_L_336)
            self.vision_config = CONFIG_MAPPING[vision.pop("model_type", "clip_vision_model")](**vision)
        if isinstance(self.high_res_vision_config, dict):
            high_res = {key: value for key, value in self.high_res_vision_config.items() if key != "model_type"}
            self.high_res_vision_config = MiniGeminiHighResVisionConfig(**high_res)
        # transformers 5 reads it from the outermost config; language models saved it in their own.
        self.tie_word_embeddings = self.tie_word_embeddings or bool(self.text_config.tie_word_embeddings)
        super().__post_init__(**kwargs)

    @property
    def tokens_per_side(self) -> int:
        """n: the low-resolution tower turns a view into n x n tokens."""
        return self.vision_config.image_size // self.vision_config.patch_size

    @property
    def views_per_image(self) -> int:
        """T: the views of one picture that the low-resolution tower sees (crops, and the whole)."""
        return self.image_grid**2 + int(self.image_global)

    @property
    def tokens_per_image(self) -> int:
        """Image tokens in `input_ids` for one picture."""
        return self.views_per_image * self.tokens_per_side**2

    def check_geometry(self) -> None:
        """See whether every low-resolution token owns a whole square of high-resolution positions.

        Raises:
            ValueError: it does not, or the grid is not possible; names the sizes that are.
        """
        if self.image_grid < 1:
            raise ValueError(f"image_grid must be at least 1, not {self.image_grid}")
        if self.image_global and self.image_grid == 1:
            raise ValueError("image_global needs image_grid > 1: with one crop the crop is the whole picture already")
        if self.high_res_vision_config is None:
            return
        self.check_high_res_size(self.high_res_vision_config.image_size, "high_res_vision_config.image_size")

    def check_high_res_size(self, size: int, name: str) -> None:
        """See whether high-resolution pictures of `size` x `size` pixels fit this model.

        The last of the ConvNeXt's four stages halves the stem's map three times, and every token of every crop owns whole
        positions of the finest stage: the size is a multiple of both.

        Args:
            size: in pixels.
            name: of the size, for the message.

        Raises:
            ValueError: they do not; names the nearest sizes that do.
        """
        stride, side = self.high_res_vision_config.stem_stride, self.tokens_per_side * self.image_grid
        step = math.lcm(stride * 8, stride * side)
        if size < step or size % step != 0:
            nearest = max(1, round(size / step))
            valid = [step * k for k in range(max(1, nearest - 2), nearest + 3)]
            raise ValueError(
                f"{name} = {size} does not fit the low-resolution tower: "
                f"{side} x {side} tokens (image_size {self.vision_config.image_size}, patch_size "
                f"{self.vision_config.patch_size}, image_grid {self.image_grid}) need a multiple of {step} pixels, "
                f"such as {', '.join(map(str, valid))}"
            )


CLIP_VIT_L_336 = {
    "image_size": 336,
    "patch_size": 14,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "projection_dim": 768,
}

__all__ = ["MiniGeminiConfig", "MiniGeminiHighResVisionConfig"]
