import pytest
import tiny
import tiny_pipelines
import torch

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.generation.image_generator import ImageGenerator


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_parts, tmp_path_factory):
    """Folder of a tiny model with random weights and its processor."""
    folder = tmp_path_factory.mktemp("tiny_checkpoint")
    torch.manual_seed(0)
    model = tiny.new_model(tiny_parts, vision_feature_layer=-2, image_grid=1, image_global=False)
    model.generation_config.max_new_tokens = 24  # what random weights write has no end
    model.save_pretrained(folder)
    tiny.new_processor(tiny_parts).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model(tiny_checkpoint):
    return MiniGeminiForConditionalGeneration.from_pretrained(tiny_checkpoint).eval()


@pytest.fixture(scope="session")
def processor(tiny_checkpoint):
    return MiniGeminiProcessor.from_pretrained(tiny_checkpoint)


@pytest.fixture(scope="session")
def generator():
    return ImageGenerator(tiny_pipelines.pixart(), "tiny")


@pytest.fixture(scope="session")
def tiny_generator_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny_generator")
    tiny_pipelines.pixart().save_pretrained(folder)
    return folder
