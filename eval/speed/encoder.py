"""The whole image encoder (both towers, mining, projector) against the same with the defining formula."""

from typing import Any

import torch
from counting import count, roofline
from definition import mined_tokens
from machine import Roofs
from mining import DEFINITION, HERE
from report import Table, at_least, at_most
from side_by_side import Job, Step, ratio, side_by_side
from torch import Tensor, nn
from transformers import CLIPVisionConfig, LlamaConfig

from minigemini import MiniGeminiConfig
from minigemini.model.configuration_minigemini import MiniGeminiHighResVisionConfig
from minigemini.model.modeling_minigemini import MiniGeminiModel
from minigemini.model.patch_info_mining import PatchInfoMining

LOW_RES_ONLY = "no mining"


class DefinedMining(nn.Module):
    """Stands in for mining, with its weights, and computes the defining formula."""

    def __init__(self, mining: PatchInfoMining):
        super().__init__()
        self.mining = mining

    def forward(self, tokens: Tensor, pyramid: list[Tensor]) -> tuple[Tensor, Tensor]:
        return mined_tokens(self.mining, tokens, pyramid, self.mining.grid)


def config_of(toy: bool) -> MiniGeminiConfig:
    """CLIP-L/14-336 and ConvNeXt-L at 768, as released. The language model is none: its width alone matters here."""
    if toy:
        vision = CLIPVisionConfig(
            image_size=28,
            patch_size=14,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
        )
        high_res = MiniGeminiHighResVisionConfig(
            architecture="convnext_atto",
            model_args={"dims": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
            image_size=64,
        )
        return MiniGeminiConfig(
            text_config=no_language_model(32), vision_config=vision, high_res_vision_config=high_res
        )
    return MiniGeminiConfig(text_config=no_language_model(4096), high_res_vision_config=MiniGeminiHighResVisionConfig())


def no_language_model(width: int) -> LlamaConfig:
    return LlamaConfig(hidden_size=width, num_hidden_layers=0, vocab_size=8)


def build(way: str, toy: bool, pictures: int, compiled: bool, device: str, dtype: torch.dtype) -> Step:
    config = config_of(toy)
    with torch.device(device):  # random weights are made where they are used
        model: Any = MiniGeminiModel(config)
    model.to(dtype).eval()
    if way == DEFINITION:
        model.patch_info_mining = DefinedMining(model.patch_info_mining)
    side, fine = config.vision_config.image_size, config.high_res_vision_config.image_size
    low_res = torch.randn(pictures, 3, side, side, device=device, dtype=dtype)
    high_res = None if way == LOW_RES_ONLY else torch.randn(pictures, 3, fine, fine, device=device, dtype=dtype)
    encode: Any = model.get_image_features
    if compiled:
        encode = torch.compile(encode)

    def step() -> None:
        with torch.no_grad():
            encode(low_res, high_res, return_dict=True)

    return step


def run(device: str, toy: bool, roofs: Roofs) -> list[Table]:
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    rows, rates = [], []
    kinds = (
        [(1, False)] if device == "cpu" else [(pictures, compiled) for pictures in (1, 8) for compiled in (False, True)]
    )
    for pictures, compiled in kinds:
        name = (
            f"{'toy' if toy else '768/336'}{f' x {pictures}' if pictures > 1 else ''}{', compiled' if compiled else ''}"
        )
        jobs = [
            Job(way, build, (way, toy, pictures, compiled, device, dtype), 0 if toy else 6)
            for way in (HERE, DEFINITION, LOW_RES_ONLY)
        ]
        measured = side_by_side(f"encoder {name}", jobs, device, budget=0 if toy else 120)
        here, there, low = (measured[job.name] for job in jobs)
        times, share = ratio(there.median(), here.median()), ratio(here.peak_gb, there.peak_gb)
        target = at_least(1.3, times) if device == "cpu" else at_least(1.5, times) if compiled else ""
        rows.append(
            {
                "encoder": name,
                "here s": here.not_run or here.median(),
                "definition s": there.not_run or there.median(),
                "times faster": times,
                "target": target,
                "low-res tower and projector s": low.not_run or low.median(),
                "here peak GB": here.peak_gb,
                "definition peak GB": there.peak_gb,
                "share of the memory": share,
                "target ": at_most(1 / 4, share) if device == "cuda" else "",
                "runs": f"{here.runs}, {there.runs}, {low.runs}",
            }
        )
        for way, result in measured.items():
            counts = count(build(way, toy, pictures, False, "meta", dtype))
            rates.append(roofline(name, way, counts, result.median(), roofs))
    precision = str(dtype).removeprefix("torch.")
    return [
        Table(f"Picture to image tokens (CLIP-L/14-336, ConvNeXt-L, mining, projector to 4096), {precision}", rows),
        Table("Where the time goes: what the operators compute and move, against what the machine can do", rates),
    ]
