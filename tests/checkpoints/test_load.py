"""One policy of device, type and bits, whoever loads a model."""

import shutil

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano
from minigemini.checkpoints.load import load, load_model

needs_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="looks at what is chosen without a GPU")


@needs_cpu
def test_a_shipped_name_on_a_cpu():
    model, processor = load("nano")
    assert isinstance(model, MiniGeminiForConditionalGeneration)
    assert isinstance(processor, MiniGeminiProcessor)
    assert not any(module.training for module in model.modules())
    stored = MiniGeminiForConditionalGeneration.from_pretrained(nano.path("nano"))
    assert stored.dtype == torch.float16
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
    for name, parameter in stored.named_parameters():
        assert torch.equal(model.get_parameter(name), parameter.float()), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_shipped_name_on_a_gpu():
    """In the type it was stored in."""
    model, _ = load("nano")
    assert {parameter.device.type for parameter in model.parameters()} == {"cuda"}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}
    assert {parameter.device.type for parameter in load_model("nano", device="cpu").parameters()} == {"cpu"}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_what_is_told_wins(dtype):
    assert {parameter.dtype for parameter in load_model("nano", dtype=dtype, device="cpu").parameters()} == {dtype}


@pytest.mark.parametrize(("told", "kept"), [(None, torch.bfloat16), (torch.float32, torch.float32)])
def test_bits(told, kept):
    model = load_model("nano", bits=4, dtype=told)
    assert {parameter.dtype for parameter in model.parameters()} == {kept, torch.uint8}
    assert not model.training


def test_errors_name_the_model(tiny_parts, tmp_path):
    with pytest.raises(ValueError, match="nowhere: there is no such folder"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="nano/nothing"):
        load("nano/nothing")
    model = tiny.new_model(tiny_parts)
    model.generation_config.eos_token_id = None
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="model: no processor can be loaded from there"):
        load(str(tmp_path / "model"))
    tiny.new_processor(tiny_parts).save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="model: nothing says where an answer ends"):
        load(str(tmp_path / "model"))


def test_a_tensor_that_is_missing_is_an_error(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(nano.path("nano-low-res"), folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.multi_modal_projector.linear_1.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"model: 1 tensors .* model.multi_modal_projector.linear_1.weight"):
        load(str(folder))
