"""The high-resolution tower out of folders of timm and open_clip."""

import json
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import save_for_hf

from minigemini.checkpoints.convnext import load_high_res_vision_tower, normalisation
from minigemini.model.configuration_minigemini import MiniGeminiHighResVisionConfig
from minigemini.model.high_res_vision_tower import MiniGeminiHighResVisionModel

ARGS: dict[str, Any] = {"depths": [2, 2, 2, 2], "dims": [8, 12, 16, 20]}


def tower() -> MiniGeminiHighResVisionModel:
    torch.manual_seed(0)
    config = MiniGeminiHighResVisionConfig(
        architecture="convnext_atto", model_args={**ARGS, "ls_init_value": 0.5}, image_size=64
    )
    return MiniGeminiHighResVisionModel(config)


def test_timm_folder(tmp_path):
    trunk: Any = timm.create_model("convnext_atto", num_classes=0, **ARGS).eval()
    save_for_hf(trunk, tmp_path, model_args=ARGS)
    loaded = load_high_res_vision_tower(str(tmp_path), 64, torch.float32)
    pixels = torch.randn(1, 3, 64, 64)
    for found, expected in zip(loaded(pixels), trunk.forward_intermediates(pixels)[1], strict=True):
        torch.testing.assert_close(found, expected)
    assert not loaded.training
    assert normalisation(str(tmp_path)) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def test_timm_folder_that_does_not_say_how_its_pixels_are_normalised(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "convnext_atto", "model_args": ARGS}))
    save_file(tower().state_dict(), tmp_path / "model.safetensors")
    load_high_res_vision_tower(str(tmp_path), 64, torch.float32)
    assert normalisation(str(tmp_path)) is None


@pytest.mark.parametrize("file", ["open_clip_pytorch_model.bin", "open_clip_model.safetensors"])
def test_open_clip_folder(tmp_path, file):
    trunk: Any = timm.create_model("convnext_atto", pretrained=False, num_classes=0).eval()
    weights = {f"visual.trunk.{name}": tensor for name, tensor in trunk.state_dict().items()}
    weights["logit_scale"] = torch.tensor(1.0)
    if file.endswith(".bin"):
        torch.save(weights, tmp_path / file)
    else:
        save_file(weights, tmp_path / file)
    vision = {"timm_model_name": "convnext_atto", "timm_drop_path": 0.1, "image_size": 320}
    described = {
        "model_cfg": {"embed_dim": 32, "vision_cfg": vision},
        "preprocess_cfg": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1]},
    }
    (tmp_path / "open_clip_config.json").write_text(json.dumps(described))
    loaded = load_high_res_vision_tower(str(tmp_path), 64, torch.float32)
    assert loaded.config.model_args == {"drop_path_rate": 0.1}
    assert loaded.config.image_size == 64
    pixels = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(loaded(pixels)[3], trunk.forward_intermediates(pixels)[1][3])
    assert normalisation(str(tmp_path)) == ([0.5, 0.4, 0.3], [0.2, 0.2, 0.1])


class Malicious:
    def __reduce__(self):
        return print, ("executed",)


def test_a_pickle_is_not_executed(tmp_path, capsys):
    torch.save({"visual.trunk.stem.0.weight": Malicious()}, tmp_path / "open_clip_pytorch_model.bin")
    vision = {"timm_model_name": "convnext_atto"}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"vision_cfg": vision}}))
    with pytest.raises(Exception, match="[Ww]eights.only"):
        load_high_res_vision_tower(str(tmp_path), 64, torch.float32)
    assert "executed" not in capsys.readouterr().out


def test_errors_name_what_is_wrong(tmp_path):
    with pytest.raises(ValueError, match="neither open_clip_config.json nor a timm config.json"):
        load_high_res_vision_tower(str(tmp_path), 64, torch.float32)
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18"}))
    with pytest.raises(ValueError, match="no ConvNeXt named 'resnet18'"):
        load_high_res_vision_tower(str(tmp_path), 64, torch.float32)
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "convnext_atto", "model_args": ARGS}))
    with pytest.raises(ValueError, match=r"looked for model.safetensors"):
        load_high_res_vision_tower(str(tmp_path), 64, torch.float32)
    weights = tower().state_dict()
    weights["stem.0.weight"] = weights["stem.0.weight"][:4].clone()
    del weights["stages.3.blocks.1.gamma"]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"1 tensors missing, 1 of another shape, first 'stages.3.blocks.1.gamma'"):
        load_high_res_vision_tower(str(tmp_path), 64, torch.float32)
