"""Against recorded inputs and outputs of the original system (public MGM code at 769820c, tiny random weights)."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiImageProcessor
from minigemini.model.high_res_vision_tower import MiniGeminiHighResVisionModel, normalisation

RECORDED = Path(__file__).parents[3] / "shared" / "parity"
pytestmark = pytest.mark.skipif(
    not RECORDED.is_dir() and not os.environ.get("CI"), reason="the recorded outputs are not beside this checkout"
)

CONVNEXT = {"depths": [2, 2, 3, 2], "dims": [16, 32, 64, 128]}  # the recorded towers' own name is not known to timm
IMAGE_TOKEN_ID = 510  # not in the recorded texts
NAMES = [
    (r"^model\.vision_tower\.vision_tower\.vision_model\.", "model.vision_tower."),
    (r"^model\.vision_tower_aux\.vision_", "model.high_res_vision_tower."),
    (r"^model\.mm_projector\.0", "model.multi_modal_projector.linear_1"),
    (r"^model\.mm_projector\.2", "model.multi_modal_projector.linear_2"),
    (r"^model\.vlm_uni_(query|aux|val)_projector\.0", r"model.patch_info_mining.\1_norm"),
    (r"^model\.vlm_uni_(query|aux|val)_projector\.1", r"model.patch_info_mining.\1_projection"),
    (r"patch_info_mining\.aux", "patch_info_mining.key"),
    (r"patch_info_mining\.val_", "patch_info_mining.value_"),
    (r"^model\.(embed_tokens|layers|norm)\.", r"model.language_model.\1."),
]


def renamed(name: str) -> str:
    for old, new in NAMES:
        name = re.sub(old, new, name)
    return name


def load_original(folder: str, high_res_size: int, **options) -> Any:
    weights = {}
    for shard in sorted((RECORDED / folder).glob("*.safetensors")):
        for name, tensor in load_file(shard).items():
            weights[renamed(name)] = tensor
    config = MiniGeminiConfig(
        text_config={
            "model_type": "llama",
            "vocab_size": 512,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "rms_norm_eps": 1e-5,
        },
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": 56,
            "patch_size": 14,
        },
        high_res_vision_config={
            "architecture": "convnext_tiny",
            "model_args": CONVNEXT,
            "image_size": high_res_size,
        },
        image_token_id=IMAGE_TOKEN_ID,
        **options,
    )
    model = MiniGeminiForConditionalGeneration(config)
    model.load_state_dict(weights, strict=True)
    return model.eval()


@pytest.fixture(scope="module")
def standard() -> Any:
    return load_original("llama_std/MGM-7B-tiny", 128)


@torch.no_grad()
def test_every_step_of_a_picture(standard):
    case = load_file(RECORDED / "llama_std" / "case_single.safetensors")
    pyramid = standard.model.high_res_vision_tower(case["in.images_aux"])
    for s, stage in enumerate(pyramid):
        torch.testing.assert_close(stage, case[f"mid.hr_stage_{s}"], atol=2e-5, rtol=0)
    out = standard.get_image_features(case["in.images"], case["in.images_aux"], output_mining_attentions=True)
    torch.testing.assert_close(out.last_hidden_state, case["mid.lr_features"], atol=2e-5, rtol=0)
    mined, _ = standard.model.patch_info_mining(case["mid.lr_features"][:, None], pyramid)
    expected = case["mid.lr_features"] + case["mid.resampler0.out_mined"]
    torch.testing.assert_close(mined[:, 0], expected, atol=2e-5, rtol=0)
    torch.testing.assert_close(torch.stack(out.pooler_output), case["mid.projector_out"], atol=2e-5, rtol=0)

    logits = (case["mid.vlm_uni_query"][:, :, None] * case["mid.vlm_uni_aux"]).sum(-1) / 32**0.5
    torch.testing.assert_close(out.mining_attentions.flatten(2), logits.softmax(-1), atol=2e-5, rtol=0)


@torch.no_grad()
def test_crops_and_the_whole_in_the_order_of_the_original():
    model = load_original("llama_hd_global/MGM-7B-HD-tiny", 256, image_grid=2, image_global=True)
    case = load_file(RECORDED / "llama_hd_global" / "case_single.safetensors")
    features = model.get_image_features(case["in.images"], case["in.images_aux"]).pooler_output
    torch.testing.assert_close(torch.stack(features), case["mid.projector_out"], atol=2e-5, rtol=0)


@torch.no_grad()
def test_without_high_resolution_pixels(standard):
    case = load_file(RECORDED / "llama_std" / "case_no_hr.safetensors")
    features = standard.get_image_features(case["in.images"]).pooler_output
    torch.testing.assert_close(torch.stack(features), case["mid.projector_out"], atol=2e-5, rtol=0)


def batch_of(name: str) -> dict[str, torch.Tensor]:
    """A recorded case in our form: an id for every image token, pictures only for samples that show one."""
    case = load_file(RECORDED / "llama_std" / f"case_{name}.safetensors")
    pixels = case if name == "single" else load_file(RECORDED / "llama_std" / "case_mixed_right.safetensors")
    ids, labels = [], []
    for sample, attended, label in zip(
        case["in.input_ids"], case["in.attention_mask"].bool(), case["in.labels"], strict=True
    ):
        sample, label = sample[attended], label[attended]
        picture = sample == -200  # the original's mark
        repeats = torch.where(picture, 16, 1)
        ids.append(sample.masked_fill(picture, IMAGE_TOKEN_ID).repeat_interleave(repeats))
        labels.append(label.masked_fill(picture, -100).repeat_interleave(repeats))
    has_picture = (case["in.input_ids"] == -200).any(1)  # the original takes a picture for a sample of text as well

    def pad(rows: list[torch.Tensor], value: int) -> torch.Tensor:
        side = "left" if name == "mixed_left" else "right"
        return torch.nn.utils.rnn.pad_sequence(rows, True, value, padding_side=side)

    return {
        "input_ids": pad(ids, 0),
        "attention_mask": pad([torch.ones_like(row) for row in ids], 0),
        "labels": pad(labels, -100),
        "pixel_values": pixels["in.images"][has_picture],
        "high_res_pixel_values": pixels["in.images_aux"][has_picture],
    }


@torch.no_grad()
@pytest.mark.parametrize("name", ["single", "mixed_right", "mixed_left"])
def test_logits_and_loss(standard, name):
    case, batch = load_file(RECORDED / "llama_std" / f"case_{name}.safetensors"), batch_of(name)
    out = standard(**batch)
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(out.logits[real], case["out.logits"][real], atol=5e-5, rtol=0)
    torch.testing.assert_close(out.loss, case["out.loss"], atol=2e-6, rtol=0)


def test_gradients(standard):
    """Of everything trained with frozen towers. The two biases without effect have rounding noise in the original."""
    recorded = load_file(RECORDED / "llama_grads" / "grads_mixed_right_frozen_towers.safetensors")
    standard.zero_grad()
    standard(**batch_of("mixed_right")).loss.backward()
    compared = 0
    for name, expected in recorded.items():
        if not name.startswith("grad."):
            continue
        found = standard.get_parameter(renamed(name.removeprefix("grad."))).grad
        if expected.norm() < 1e-8:
            assert found.count_nonzero() == 0, name
        else:
            error = (found - expected).norm() / expected.norm()
            assert error < 1e-5, f"{name}: {error}"
        compared += 1
    assert compared == 20


@pytest.mark.parametrize(("size", "grid"), [(768, 1), (1536, 2)])
def test_pixels_at_full_size(size, grid):
    recorded = load_file(RECORDED / "preprocess" / "real_sizes_pad.safetensors")
    process = MiniGeminiImageProcessor(high_res_size=size, image_grid=grid)
    for file in sorted((RECORDED / "preprocess" / "images").glob("*.png")):
        out = process(Image.open(file), return_tensors="pt")
        high_res, low_res = out["high_res_pixel_values"], out["pixel_values"]
        expected = recorded[f"{file.name}/{size}/hr_every_13th"]
        torch.testing.assert_close(high_res[..., ::13, ::13], expected, atol=1e-6, rtol=0)
        if grid > 1:
            rows = [torch.cat(list(low_res[0, row * grid : (row + 1) * grid]), -1) for row in range(grid)]
            low_res = torch.cat(rows, -2)[None]
        expected = recorded[f"{file.name}/{size}/lr_every_5th"]
        torch.testing.assert_close(low_res[..., ::5, ::5], expected, atol=2e-6, rtol=0)


def test_open_clip_folder():
    """Its weights are a pickle, read without executing anything."""
    folder = RECORDED / "towers/model_zoo/OpenAI/openclip-convnext-large-d-320-laion2B-s29B-b131K-ft-soup"
    with pytest.raises(ValueError, match="convnext_mgmtiny"):
        MiniGeminiHighResVisionModel.from_part(str(folder), 128, torch.float32)
    expected = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
    assert normalisation(str(folder)) == expected


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize(("suffix", "grid", "whole"), [("", 1, False), ("_global", 2, True)])
def test_pixels(pad, suffix, grid, whole):
    name = f"cli_{'pad' if pad else 'crop'}_grid{grid}{suffix}"
    recorded = load_file(RECORDED / "preprocess" / f"{name}.safetensors")
    process = MiniGeminiImageProcessor(
        size={"height": 56, "width": 56}, high_res_size=128 * grid, do_pad=pad, image_grid=grid, image_global=whole
    )
    files = sorted((RECORDED / "preprocess" / "images").glob("*.png"))
    assert len(files) == 3
    for file in files:
        out = process(Image.open(file), return_tensors="pt")
        torch.testing.assert_close(out["high_res_pixel_values"], recorded[f"{file.name}/images_aux"], atol=1e-6, rtol=0)
        torch.testing.assert_close(out["pixel_values"], recorded[f"{file.name}/images"], atol=2e-6, rtol=0)
