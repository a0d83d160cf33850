"""Where an answer looked: in the order of places, adding up, and at the right pixel of the user's picture."""

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from minigemini import (
    MiniGeminiConfig,
    MiniGeminiImageProcessor,
)
from minigemini.attention.maps import (
    ImageAttention,
    ViewAttention,
    answer_attention,
    image_attention,
    seen_square,
    share_on_picture,
)
from minigemini.attention.picture import on_picture

SIDE = 2  # tokens of a view
HD = {"image_grid": 2, "image_global": True}


def config(**options):
    vision = {"model_type": "clip_vision_model", "image_size": 28, "patch_size": 14}
    return MiniGeminiConfig(vision_config=vision, image_token_id=3, **options)


def build(parts, **options):
    torch.manual_seed(0)
    model = tiny.new_model(parts, **options)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "q_proj" in name or "query_projection.weight" in name:
                parameter.mul_(20)  # so that attention is uneven
    return model, tiny.new_processor(parts, **options)


def shown(processor, pictures, text="what is it?"):
    parts = [*({"type": "image", "image": picture} for picture in pictures), {"type": "text", "text": text}]
    return processor.apply_chat_template(
        [{"role": "user", "content": parts}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )


def noise(width, height, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


ANSWER = torch.tensor([40, 50, 60, 70])


def test_the_whole_view_comes_first_and_then_crops_row_by_row():
    mining = torch.rand(20, 2, 2)
    placed = image_attention(config(**HD), torch.arange(20.0), mining, 100 + torch.arange(20.0))
    assert placed.whole is not None
    assert placed.whole.tokens.tolist() == [[0, 1], [2, 3]]
    # crops 4-7 | 8-11 above 12-15 | 16-19, each in rows of two
    assert placed.crops.tokens.tolist() == [[4, 5, 8, 9], [6, 7, 10, 11], [12, 13, 16, 17], [14, 15, 18, 19]]
    assert placed.crops.residual_norms[1, 2] == 110
    assert np.array_equal(placed.crops.mining[1, 2], mining[10])
    assert np.array_equal(placed.whole.mining[1, 0], mining[2])


def test_the_two_views_add_up():
    mining = torch.rand(20, 3, 3).flatten(1).softmax(-1).view(20, 3, 3)
    tokens = torch.rand(20)
    placed = image_attention(config(**HD), tokens / 30, mining, torch.ones(20))
    assert placed.positions().shape == (12, 12)
    assert placed.cells().shape == (4, 4)
    for values in (placed.positions().sum(), placed.cells().sum(), placed.share()):
        assert values == pytest.approx(float(tokens.sum()) / 30, rel=1e-5)
    # a cell of the crops, and a quarter of what went to the cell of the whole view around it
    assert placed.cells()[3, 0] == pytest.approx(float(tokens[14] + tokens[2] / 4) / 30, rel=1e-5)


def test_positions_are_attention_times_mining():
    mining = np.zeros((1, 2, 2, 2))
    mining[0, 0, 1, 0], mining[0, 1] = 1, 0.25
    view = ViewAttention(np.array([[0.2, 0.4]]), mining, np.ones((1, 2)))
    assert view.positions() == pytest.approx(np.array([[0, 0, 0.1, 0.1], [0.2, 0, 0.1, 0.1]]))
    assert ViewAttention(view.tokens, None, None).positions() is view.tokens


@pytest.mark.parametrize("do_pad", [True, False])
@pytest.mark.parametrize("size", [(300, 200), (200, 300), (101, 260), (128, 128)])
def test_a_spot_is_drawn_where_it_is_in_the_picture(do_pad, size):
    """Plant a white spot, see where the processor puts it, draw that position: it is the spot again."""
    processor = MiniGeminiImageProcessor(do_pad=do_pad, high_res_size=192, size={"height": 48, "width": 48})
    spot = (round(0.4 * size[0]), round(0.6 * size[1]))
    picture = Image.new("RGB", size, "black")
    picture.paste("white", (spot[0] - 3, spot[1] - 3, spot[0] + 3, spot[1] + 3))
    pixels = processor(picture, return_tensors="pt")["high_res_pixel_values"][0].sum(0).numpy()
    values = pixels.reshape(96, 2, 96, 2).mean((1, 3))
    if do_pad:
        values[values < pixels.max() * 0.5] = 0  # the padding is grey

    square = seen_square(size, processor)
    raster = (size[0] * 2, size[1] * 2)
    drawn = on_picture(values, square, size, raster, smooth=False)
    y, x = np.argwhere(drawn > np.nanmax(drawn) * 0.9).mean(0)
    assert (x / 2, y / 2) == pytest.approx(spot, abs=1.5)

    left, top, right, bottom = square
    assert right - left == pytest.approx(bottom - top, abs=1.5)
    whole = size if do_pad else (min(size), min(size))
    assert np.isfinite(drawn).sum() == pytest.approx(4 * whole[0] * whole[1], rel=0.03)
    if do_pad:
        assert share_on_picture(np.ones((100, 100)), square, size) == pytest.approx(min(size) / max(size), abs=0.02)
    else:
        assert share_on_picture(np.ones((100, 100)), square, size) == 1


@pytest.mark.parametrize("options", [{}, {"image_grid": 2}, HD], ids=["one view", "crops", "crops and whole view"])
def test_attention_is_that_of_one_whole_forward(tiny_parts, options):
    model, processor = build(tiny_parts, **options)
    inputs = shown(processor, [noise(50, 30), noise(30, 40, seed=1)])
    attentions = answer_attention(model, inputs, ANSWER)
    assert model.model.language_model.config._attn_implementation == "sdpa"

    model.set_attn_implementation("eager")
    ids = torch.cat([inputs["input_ids"], ANSWER[None]], dim=1)
    pixels = {name: inputs[name] for name in ("pixel_values", "high_res_pixel_values")}
    with torch.no_grad():
        layers = model(input_ids=ids, **pixels, output_attentions=True).attentions
        features = model.get_image_features(**pixels, output_mining_attentions=True, return_dict=True)
    start = inputs["input_ids"].shape[1]
    rows = torch.stack(layers)[:, 0, :, start - 1 : start + len(ANSWER) - 1]  # the rows that chose each word
    to_images = rows.mean((0, 1, 2))[(ids[0] == 3)].split(model.config.tokens_per_image)
    for image, attention in enumerate(attentions):
        expected = image_attention(
            model.config,
            to_images[image],
            features.mining_attentions[image],
            features.mining_residual_norms[image],
        )
        assert attention.positions() == pytest.approx(expected.positions(), abs=1e-6)
        assert attention.crops.residual_norms == pytest.approx(expected.crops.residual_norms, rel=1e-5)
        assert attention.crops.mining.sum((2, 3)) == pytest.approx(np.ones_like(attention.crops.tokens), rel=1e-5)
        assert (attention.whole is not None) == (options == HD)
    assert 0 < sum(attention.share() for attention in attentions) < 1
    assert attentions[0].crops.tokens.std() > 0.02 * attentions[0].crops.tokens.mean()  # there is something to mix up


def test_an_end_token_is_no_word(tiny_parts):
    model, processor = build(tiny_parts)
    model.generation_config.eos_token_id = 2
    inputs = shown(processor, [noise(50, 30)])
    (without,), (ended,) = (
        answer_attention(model, inputs, ids) for ids in (ANSWER, torch.cat([ANSWER, torch.tensor([2])]))
    )
    assert np.array_equal(without.crops.tokens, ended.crops.tokens)


def test_without_high_resolution_tower_there_is_the_low_resolution_attention(tiny_parts):
    parts = {**tiny_parts, "high_res_vision_tower": None}
    model = tiny.new_model(parts)
    processor = tiny.new_processor(parts)
    (attention,) = answer_attention(model, shown(processor, [noise(50, 30)]), ANSWER)
    assert isinstance(attention, ImageAttention)
    assert attention.crops.mining is None
    assert attention.crops.residual_norms is None
    assert attention.positions().shape == (SIDE, SIDE)


def test_nothing_to_look_at(tiny_parts):
    model, processor = build(tiny_parts)
    with pytest.raises(ValueError, match="no picture was shown"):
        answer_attention(model, shown(processor, []), ANSWER)
    model.generation_config.eos_token_id = 2
    with pytest.raises(ValueError, match="the answer has no words"):
        answer_attention(model, shown(processor, [noise(50, 30)]), torch.tensor([2]))
