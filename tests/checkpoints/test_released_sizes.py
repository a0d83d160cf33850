"""Configurations of the released checkpoints at their full size, on the meta device: counts, towers that need no folder."""

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from minigemini.checkpoints.convert_mgm.architecture import (
    HIGH_RES,
    LOW_RES,
    high_res_tower,
    low_res_tower,
    model_config,
    target_shapes,
)
from minigemini.model.configuration_minigemini import CLIP_VIT_L_336

SCRIPT = Path(__file__).parents[2] / "eval" / "speed" / "released_memory.py"
NAMED = {
    "mm_vision_tower": "model_zoo/OpenAI/clip-vit-large-patch14-336",
    "mm_vision_tower_aux": "model_zoo/OpenAI/openclip-convnext-large-d-320-laion2B-s29B-b131K-ft-soup",
    "image_size_aux": 768,
}


@pytest.fixture(scope="module")
def released() -> Any:
    pytest.importorskip("bitsandbytes")
    spec = importlib.util.spec_from_file_location("released_memory", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look it up there
    spec.loader.exec_module(module)
    return module


def clip_shapes(size: int = 336) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = CLIPVisionModel(CLIPVisionConfig(**{**CLIP_VIT_L_336, "image_size": size}))
    return {f"{LOW_RES}{name}": tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def convnext_shapes(name: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        trunk: Any = timm.create_model(name, num_classes=0)
    state = {key: tensor for key, tensor in trunk.state_dict().items() if key.startswith(("stem.", "stages."))}
    return {f"{HIGH_RES}vision_{key}": tuple(tensor.shape) for key, tensor in state.items()}


@pytest.mark.parametrize("size", [224, 336])
def test_clip_without_its_folder(tmp_path, size):
    shapes = clip_shapes(size)
    if size == 336:
        assert (len(shapes), sum(map(math.prod, shapes.values()))) == (391, 303_507_456)
    tower = low_res_tower(NAMED, shapes, None, tmp_path)
    assert tower.path is None
    assert tower.config.image_size == size
    assert tower.config.hidden_act == "quick_gelu"
    assert tower.config.num_attention_heads == 16
    assert tower.config.layer_norm_eps == 1e-5


@pytest.mark.parametrize(
    ("name", "channels"), [("convnext_large", 2880), ("convnext_base", 1920), ("convnext_xxlarge", 5760)]
)
def test_convnext_without_its_folder(tmp_path, name, channels):
    shapes = convnext_shapes(name)
    if name == "convnext_large":
        assert (len(shapes), sum(map(math.prod, shapes.values()))) == (340, 196_227_264)
    tower = high_res_tower(NAMED, shapes, None, tmp_path)
    assert (tower.path, tower.config.architecture, tower.config.image_size) == (None, name, 768)
    low_res = low_res_tower(NAMED, clip_shapes(), None, tmp_path)
    config, _ = model_config(
        {**NAMED, "model_type": "mgm", "mm_vision_select_layer": -2, "num_hidden_layers": 1}, low_res, tower, 32000
    )
    assert target_shapes(config)["model.patch_info_mining.key_projection.weight"] == (1024, channels)


@pytest.mark.parametrize(
    ("name", "tensors", "gigabytes"),
    # the two whose size on the hub is known; 1,110 tensors fit the size of the index of 13B
    [("MGM-7B", 1038, 14.54), ("MGM-13B", 1110, 27.10)],
)
def test_size_of_a_released_checkpoint(released, name, tensors, gigabytes):
    shapes = target_shapes(released.released_config(name))
    assert len(shapes) == tensors
    bytes_16 = 2 * sum(map(math.prod, shapes.values()))
    assert bytes_16 / 1e9 == pytest.approx(gigabytes, abs=0.011)


def test_memory_in_fewer_bits(released):
    """What sees, the embeddings and the head stay in 16 bit, and so do Mixtral's experts, which are no linear layers."""
    seven = released.needed("MGM-7B").weights
    assert seven[16] / 1e9 == pytest.approx(14.54, abs=0.011)
    layers = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
    assert seven[16] - seven[8] == pytest.approx(layers, rel=1e-3)
    assert seven[16] - seven[4] == pytest.approx(layers * (2 - 0.5 - 1 / 16), rel=1e-6)
    mixture = released.needed("MGM-8x7B").weights
    assert mixture[4] > 0.96 * mixture[16]


def test_image_tokens_of_released_checkpoints(released):
    assert released.released_config("MGM-7B").tokens_per_image == 576
    assert released.released_config("MGM-7B-HD").tokens_per_image == 2880


def test_a_tied_head_counts_once(released):
    two = target_shapes(released.released_config("MGM-2B"))
    assert "lm_head.weight" not in two
    assert released.needed("MGM-2B").weights[16] == 2 * sum(map(math.prod, two.values()))
