"""A tiny random model with its low-res-only sister, and a tiny random image generator, as folders on disk."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import tiny_pipelines
import torch

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor


def save_model(parts: dict[str, Any], folder: Path) -> None:
    torch.manual_seed(1)
    tiny.new_model(parts, vision_feature_layer=-2).save_pretrained(folder)
    tiny.new_processor(parts).save_pretrained(folder)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``model``, ``low_res`` and ``generator``."""
    folder = tmp_path_factory.mktemp("checkpoints")
    parts: dict[str, Any] = tiny.write_parts(folder / "parts")
    save_model(parts, folder / "model")
    save_model({**parts, "high_res_vision_tower": None}, folder / "low_res")
    pipeline = tiny_pipelines.pixart()
    pipeline.tokenizer.model_max_length = 64  # room for four things
    pipeline.save_pretrained(folder / "generator")
    return folder


@pytest.fixture(scope="session")
def loaded(checkpoints: Path) -> tuple[Any, Any]:
    model = MiniGeminiForConditionalGeneration.from_pretrained(checkpoints / "model", dtype=torch.float32).eval()
    return model, MiniGeminiProcessor.from_pretrained(checkpoints / "model")
