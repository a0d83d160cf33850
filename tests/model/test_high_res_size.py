"""The size of the high-resolution picture is a dial: one set of weights, any size that fits, or none."""

from typing import Any

import mining_definition
import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiModel, MiniGeminiProcessor, nano


def pictures(model: MiniGeminiModel, number: int, side: int) -> dict[str, torch.Tensor]:
    views = model.config.views_per_image
    low_res = torch.randn(number, 3, 42, 42) if views == 1 else torch.randn(number, views, 3, 42, 42)
    return {"pixel_values": low_res, "high_res_pixel_values": torch.randn(number, 3, side, side)}


@torch.no_grad()
@pytest.mark.parametrize("grid", [1, 2])
def test_mines_as_defined_at_every_size(grid):
    """Sizes in turn through one model; at each the features are the projected tokens of the defining formula."""
    model = tiny.image_encoder(192 * grid, grid)
    for side in (192, 96, 288, 384, 192):
        images = pictures(model, 2, side)
        out: Any = model.get_image_features(**images, output_mining_attentions=True)
        tokens = out.last_hidden_state.unflatten(0, (2, -1))
        pyramid = model.high_res_vision_tower(images["high_res_pixel_values"])
        mined, attention = mining_definition.mined_tokens(model.patch_info_mining, tokens, pyramid, grid)
        order = [0] if grid == 1 else [4, 0, 1, 2, 3]
        expected = model.multi_modal_projector(mined[:, order].flatten(1, 2))
        torch.testing.assert_close(out.pooler_output, expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(out.mining_attentions, attention[:, order].flatten(1, 2), atol=1e-5, rtol=1e-4)
        assert out.mining_attentions.shape[-1] == side // (4 * 3 * grid)


def test_a_size_that_does_not_fit_is_named_with_the_nearest_that_do():
    model = tiny.image_encoder(384, 2)
    low_res = pictures(model, 1, 192)["pixel_values"]
    message = r"the side of high_res_pixel_values = 200 .* multiple of 96 pixels, such as 96, 192, 288, 384"
    with pytest.raises(ValueError, match=message):
        model.get_image_features(low_res, torch.zeros(1, 3, 200, 200))
    with pytest.raises(ValueError, match=r"must be \[1, 3, S, S\], one square picture.*not \[1, 3, 192, 384\]"):
        model.get_image_features(low_res, torch.zeros(1, 3, 192, 384))


@torch.no_grad()
def test_the_shipped_nano_at_other_sizes_through_its_processor():
    """Nothing is trained anew; the low-resolution pixels stay the shrunk high-resolution ones, the text stays as long."""
    model = MiniGeminiForConditionalGeneration.from_pretrained(nano.path("nano"), dtype=torch.float32).eval()
    processor: Any = MiniGeminiProcessor.from_pretrained(nano.path("nano"))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((200, 160))
    given: Any = {"images": image, "text": f"{processor.image_token}what is it?", "return_tensors": "pt"}
    usual, low_res_size = processor(**given), model.config.vision_config.image_size
    usual_size = model.config.high_res_vision_config.image_size
    for side in (usual_size, 2 * usual_size, 3 * usual_size):
        inputs = processor(**given, high_res_size=side)
        assert inputs["high_res_pixel_values"].shape == (1, 3, side, side)
        shrunk = torch.nn.functional.interpolate(inputs["high_res_pixel_values"], size=low_res_size, mode="bilinear")
        assert torch.equal(inputs["pixel_values"], shrunk)
        assert torch.equal(inputs["input_ids"], usual["input_ids"])
        assert model(**inputs).logits.isfinite().all()
    low_res_alone = processor(**given, do_high_res=False)
    assert "high_res_pixel_values" not in low_res_alone
    assert model(**low_res_alone).logits.isfinite().all()
    with pytest.raises(ValueError, match=rf"= {usual_size + 1} does not fit .* such as {usual_size}, "):
        model(**processor(**given, high_res_size=usual_size + 1))
