"""What a released MGM checkpoint is in our terms: its configuration, and our names for its tensors.

Facts from the public MGM code at 769820c. Behaviour is read off the configuration and the shapes of the tensors, never off
the name of a folder.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor
from transformers import AutoImageProcessor, PreTrainedConfig
from transformers.core_model_loading import revert_weight_conversion
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import cached_file

from minigemini.checkpoints.assemble import vision_config
from minigemini.checkpoints.convnext import describe
from minigemini.model.configuration_minigemini import CLIP_VIT_L_336, MiniGeminiConfig, MiniGeminiHighResVisionConfig
from minigemini.model.image_processing_minigemini import MiniGeminiImageProcessor
from minigemini.model.modeling_minigemini import MiniGeminiForConditionalGeneration

Shapes = Mapping[str, tuple[int, ...]]

LANGUAGE_MODELS = {"mgm": "llama", "mgm_mistral": "mistral", "mgm_mixtral": "mixtral", "mgm_gemma": "gemma"}
LOW_RES = "model.vision_tower.vision_tower.vision_model."
HIGH_RES = "model.vision_tower_aux."
NAMES = [
    (rf"^{re.escape(LOW_RES)}", "model.vision_tower."),
    (rf"^{re.escape(HIGH_RES)}vision_", "model.high_res_vision_tower."),
    (r"^model\.mm_projector\.0\.", "model.multi_modal_projector.linear_1."),
    (r"^model\.mm_projector\.2\.", "model.multi_modal_projector.linear_2."),
    (r"^model\.vlm_uni_query_projector\.0\.", "model.patch_info_mining.query_norm."),
    (r"^model\.vlm_uni_query_projector\.1\.", "model.patch_info_mining.query_projection."),
    (r"^model\.vlm_uni_aux_projector\.0\.", "model.patch_info_mining.key_norm."),
    (r"^model\.vlm_uni_aux_projector\.1\.", "model.patch_info_mining.key_projection."),
    (r"^model\.vlm_uni_val_projector\.0\.", "model.patch_info_mining.value_norm."),
    (r"^model\.vlm_uni_val_projector\.1\.", "model.patch_info_mining.value_projection."),
    (r"^model\.(embed_tokens|layers|norm)\.", r"model.language_model.\1."),
]
DROPPED = [
    (r"\.rotary_emb\.inv_freq$", "a table that follows from the configuration"),
    (r"\.embeddings\.position_ids$", "counts 0, 1, 2, ..."),
]
TIED = "lm_head.weight"
# (depths, widths) -> the name timm knows it by. The first is in all released checkpoints.
CONVNEXTS: dict[tuple[tuple[int, ...], tuple[int, ...]], str] = {
    ((3, 3, 27, 3), (192, 384, 768, 1536)): "convnext_large",
    ((3, 3, 27, 3), (128, 256, 512, 1024)): "convnext_base",
    ((3, 4, 30, 3), (384, 768, 1536, 3072)): "convnext_xxlarge",
}


@dataclass(frozen=True)
class Tower:
    """Configuration of a tower, and where it is from."""

    config: Any
    origin: str  # for the report
    path: str | None  # folder or hub id; None: not there, and known all the same


def our_name(name: str) -> str:
    for pattern, ours in NAMES:
        name, found = re.subn(pattern, ours, name)
        if found:
            return name
    return name


def why_dropped(name: str) -> str | None:
    return next((reason for pattern, reason in DROPPED if re.search(pattern, name)), None)


def target_shapes(config: MiniGeminiConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor that `save_pretrained` would write for a model of this configuration. Allocates nothing."""
    with torch.device("meta"):
        model = MiniGeminiForConditionalGeneration(config)
    state: dict[str, Tensor] = revert_weight_conversion(model, model.state_dict())
    if config.tie_word_embeddings:
        del state[TIED]
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def check_supported(stated: dict[str, Any], folder: Path) -> None:
    """
    Raises:
        ValueError: an option that no released checkpoint has and that is not reproduced here; names it.
    """
    expected = {
        "mm_projector_type": ("mlp2x_gelu", "linear"),
        "mm_vision_select_feature": ("patch", "patch"),
        "mm_use_im_start_end": (False, False),
    }
    for key, (value, default) in expected.items():
        if stated.get(key, default) != value:
            raise ValueError(
                f"{folder}/config.json: {key} = {stated.get(key, default)!r} is not supported, only {value!r}"
            )
    for key in ("mm_vision_tower", "mm_vision_tower_aux", "mm_vision_select_layer", "image_size_aux"):
        if stated.get(key) is None:
            raise ValueError(f"{folder}/config.json: no {key}, so it is not the configuration of a dual-encoder model")


def model_config(
    stated: dict[str, Any], low_res: Tower, high_res: Tower, image_token_id: int
) -> tuple[MiniGeminiConfig, list[str]]:
    """Our configuration; and the names of what was in the original's and has no meaning here."""
    text, unused = text_config(stated)
    config = MiniGeminiConfig(
        text_config=text,
        vision_config=low_res.config,
        high_res_vision_config=high_res.config,
        image_token_id=image_token_id,
        vision_feature_layer=stated["mm_vision_select_layer"],
        vision_feature_select_strategy="default",
        projector_hidden_act="gelu",
        image_feature_scale=text.hidden_size**0.5 if text.model_type == "gemma" else 1.0,
        image_grid=stated.get("image_grid", 1),
        image_global=stated.get("image_global", False),
        dtype=stated.get("torch_dtype", "float16"),
    )
    config.check_geometry()
    return config, unused


def text_config(stated: dict[str, Any]) -> tuple[PreTrainedConfig, list[str]]:
    kind = LANGUAGE_MODELS[stated["model_type"]]
    known = CONFIG_MAPPING[kind]().to_dict().keys() | {"rope_theta", "rope_scaling", "hidden_activation"}
    known -= {"model_type", "architectures", "transformers_version", "torch_dtype", "dtype", "_name_or_path"}
    values = {key: value for key, value in stated.items() if key in known}
    if values.get("rope_scaling") is None:
        values.pop("rope_scaling", None)
    if kind == "gemma":
        # In transformers 4.38, which MGM-2B was made with, "gelu" meant the exact one; today it is read as the approximation.
        act = values.pop("hidden_activation", None) or values.get("hidden_act", "gelu")
        values["hidden_act"] = "gelu_python" if act == "gelu" else act
    used = values.keys() | {"image_grid", "image_global", "image_size_aux", "image_aspect_ratio", "torch_dtype"}
    used |= {"model_type", "mm_vision_tower", "mm_vision_tower_aux", "mm_vision_select_layer", "mm_projector_type"}
    return CONFIG_MAPPING[kind](**values), sorted(stated.keys() - used)


def low_res_tower(stated: dict[str, Any], shapes: Shapes, given: str | None, folder: Path) -> Tower:
    """CLIP's configuration: of the given tower, of the folder that the checkpoint names, or the released one's.

    Raises:
        ValueError: neither, or one that does not fit the tensors.
    """
    path = given or _present(stated["mm_vision_tower"])
    seen = clip_shape(shapes)
    if path is None:
        known = {key: CLIP_VIT_L_336[key] for key in seen if key != "image_size"}
        if not seen or {key: value for key, value in seen.items() if key != "image_size"} != known:
            raise ValueError(
                f"{folder} names the vision tower {stated['mm_vision_tower']!r}, which is not there, and "
                f"{_shape_or_nothing(seen)}: give its folder or hub id with --vision-tower"
            )
        fields: dict[str, Any] = {**CLIP_VIT_L_336, **seen}
        config = CONFIG_MAPPING["clip_vision_model"](**fields)
        return Tower(config, f"known: CLIP ViT-L/14 at {seen['image_size']} pixels", None)
    config = vision_config(path)
    for key, value in seen.items():
        if getattr(config, key) != value:
            raise ValueError(f"{path}: its {key} is {getattr(config, key)}, but the checkpoint's tower has {value}")
    return Tower(config, path, path)


def clip_shape(shapes: Shapes) -> dict[str, int]:
    """What the tensors of a CLIP tower tell of its configuration; empty if the checkpoint has none."""
    patches, positions = (shapes.get(f"{LOW_RES}embeddings.{name}_embedding.weight") for name in ("patch", "position"))
    if patches is None or positions is None:
        return {}
    layers = {
        int(found[1]) for name in shapes if (found := re.match(rf"{re.escape(LOW_RES)}encoder\.layers\.(\d+)\.", name))
    }
    return {
        "hidden_size": patches[0],
        "patch_size": patches[2],
        "image_size": math.isqrt(positions[0] - 1) * patches[2],
        "num_hidden_layers": len(layers),
        "intermediate_size": shapes.get(f"{LOW_RES}encoder.layers.0.mlp.fc1.weight", (0,))[0],
    }


def high_res_tower(stated: dict[str, Any], shapes: Shapes, given: str | None, folder: Path) -> Tower:
    """ConvNeXt's configuration, likewise. Its kind can be read off the tensors.

    Raises:
        ValueError: neither the tensors nor a folder say which ConvNeXt it is.
    """
    path = given or _present(stated["mm_vision_tower_aux"])
    size = stated["image_size_aux"]
    seen = convnext_shape(shapes)
    name = CONVNEXTS.get(seen) if seen is not None else None
    if path is None:
        if name is None:
            raise ValueError(
                f"{folder} names the high-resolution tower {stated['mm_vision_tower_aux']!r}, which is not there, and "
                f"{_shape_or_nothing(seen)}: give its folder or hub id with --high-res-vision-tower"
            )
        return Tower(MiniGeminiHighResVisionConfig(architecture=name, image_size=size), f"known: {name}", None)
    stated_name, model_args, _, _ = describe(path)
    if name is not None and stated_name != name:
        raise ValueError(f"{path} is a {stated_name}, but the checkpoint's high-resolution tower is a {name}")
    if seen is not None and not timm.is_model(stated_name):
        # Of its own sizes: timm's plain ConvNeXt (LayerNorm eps 1e-6, exact GELU) with these depths and widths.
        stated_name, model_args = "convnext_tiny", {"depths": list(seen[0]), "dims": list(seen[1])}
    model_args.pop("drop_path_rate", None)  # the original's noise, on even in use; see the README
    config = MiniGeminiHighResVisionConfig(architecture=stated_name, model_args=model_args or None, image_size=size)
    return Tower(config, path, path)


def convnext_shape(shapes: Shapes) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """(depths, widths) of the ConvNeXt in the checkpoint, None if it has none."""
    blocks = [re.match(rf"{re.escape(HIGH_RES)}vision_stages\.(\d+)\.blocks\.(\d+)\.gamma$", name) for name in shapes]
    found = {(int(block[1]), int(block[2])): shapes[block[0]][0] for block in blocks if block is not None}
    stages = sorted({stage for stage, _ in found})
    if not stages:
        return None
    depths = tuple(sum(1 for stage, _ in found if stage == s) for s in stages)
    return depths, tuple(found[s, 0] for s in stages)


def image_processor(stated: dict[str, Any], config: MiniGeminiConfig, low_res: Tower) -> MiniGeminiImageProcessor:
    """The pixels that the original makes: normalised as the CLIP folder says, or as CLIP is."""
    side = config.vision_config.image_size
    own: dict[str, Any] = {}
    if low_res.path is not None and cached_file(
        low_res.path, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False
    ):
        pixels = AutoImageProcessor.from_pretrained(low_res.path)
        own = {"image_mean": list(pixels.image_mean), "image_std": list(pixels.image_std)}
    return MiniGeminiImageProcessor(
        size={"height": side, "width": side},
        high_res_size=stated["image_size_aux"],
        do_pad=stated.get("image_aspect_ratio") == "pad",
        image_grid=config.image_grid,
        image_global=config.image_global,
        **own,
    )


def _present(path: str) -> str | None:
    return path if Path(path).is_dir() else None


def _shape_or_nothing(seen: Any) -> str:
    return f"its tensors are of no released tower ({seen})" if seen else "the checkpoint holds no tensors of it"
