"""Answering: time to the first token and per further token, for one question about a picture and for eight together."""

import time
from typing import Any

import torch
from encoder import config_of
from machine import Roofs
from report import Table
from side_by_side import Job, Step, ratio, side_by_side, synchronize
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, StoppingCriteria, StoppingCriteriaList

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration, nano
from minigemini.model.configuration_minigemini import MiniGeminiHighResVisionConfig

QUESTION_TOKENS = 32  # beside the image tokens
BATCHES = (1, 8)

# Sizes of published language models, with random weights: time does not depend on what weights say.
SMOLLM2_135M: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
}
VICUNA_7B: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
}
NANO = "nano as shipped"
SMALL = "135M language model, 576 image tokens of small towers"
FULL = "7B language model, CLIP-L/14-336, ConvNeXt-L at 768"


class Clock(StoppingCriteria):
    """Is asked after every token whether to stop, says no, and looks at the time."""

    def __init__(self, device: str):
        self.device = device
        self.times: list[float] = []

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        synchronize(self.device)
        self.times.append(time.perf_counter())
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def new_model(kind: str, device: str, dtype: torch.dtype) -> Any:
    if kind == NANO:
        shipped: nn.Module = MiniGeminiForConditionalGeneration.from_pretrained(nano.path("nano"), dtype=dtype)
        return shipped.to(device).eval()
    if kind == FULL:
        config = config_of(toy=False)
        config.text_config = LlamaConfig(**VICUNA_7B)
    else:
        config = MiniGeminiConfig(
            text_config=LlamaConfig(**SMOLLM2_135M),
            # Small, so that a CPU's numbers are the language model's: the towers' are in the table of the encoder.
            vision_config=CLIPVisionConfig(
                image_size=336,
                patch_size=14,
                hidden_size=64,
                intermediate_size=256,
                num_hidden_layers=2,
                num_attention_heads=4,
            ),
            high_res_vision_config=MiniGeminiHighResVisionConfig(
                architecture="convnext_atto", model_args={"dims": [8, 16, 32, 64], "depths": [1, 1, 1, 1]}
            ),
        )
    config.image_token_id = 31999
    with torch.device(device):
        model: nn.Module = MiniGeminiForConditionalGeneration(config)
    return model.to(dtype).eval()


def build(kind: str, batch: int, new_tokens: int, device: str, dtype: torch.dtype) -> Step:
    model = new_model(kind, device, dtype)
    config: Any = model.config
    words = torch.full((batch, QUESTION_TOKENS), 5)
    image = torch.full((batch, config.tokens_per_image), config.image_token_id)
    ids = torch.cat([words[:, :8], image, words[:, 8:]], dim=1).to(device)
    sides = config.vision_config.image_size, config.high_res_vision_config.image_size
    low_res, high_res = (torch.randn(batch, 3, side, side, device=device, dtype=dtype) for side in sides)

    def step() -> dict[str, float]:
        clock = Clock(device)
        synchronize(device)
        started = time.perf_counter()
        model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            pixel_values=low_res,
            high_res_pixel_values=high_res,
            do_sample=False,
            min_new_tokens=new_tokens,
            max_new_tokens=new_tokens,
            stopping_criteria=StoppingCriteriaList([clock]),
        )
        assert len(clock.times) == new_tokens, clock.times
        first, last = clock.times[0], clock.times[-1]
        return {"first": first - started, "each": (last - first) / (new_tokens - 1)}

    return step


def run(device: str, toy: bool, roofs: Roofs) -> list[Table]:
    rows = []
    kinds = [NANO] if toy else [NANO, SMALL] if device == "cpu" else [NANO, FULL]
    for kind in kinds:
        dtype = torch.bfloat16 if kind == FULL else torch.float32
        new_tokens = 4 if toy else 64 if kind == NANO or device == "cuda" else 17
        jobs = [Job(f"{batch} together", build, (kind, batch, new_tokens, device, dtype)) for batch in BATCHES]
        measured = side_by_side(f"generation, {kind}", jobs, device, budget=0 if toy else 40)
        alone = measured[jobs[0].name].median("each")
        for batch, result in zip(BATCHES, measured.values(), strict=True):
            each = result.median("each")
            rows.append(
                {
                    "model": f"{kind}, {str(dtype).removeprefix('torch.')}",
                    "questions together": batch,
                    "first token s": result.median("first"),
                    "each further token ms": None if each is None else 1000 * each,
                    "tokens / s": ratio(batch, each),
                    "times those of one": ratio(batch * (alone or 0), each),
                    "peak GB": result.peak_gb,
                    "runs": result.runs,
                }
            )
    return [Table(f"Answers to {QUESTION_TOKENS} tokens of text and one picture each, from pixels on, greedy", rows)]
