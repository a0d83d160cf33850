"""The drawing of where an answer looked: what glows is where it was planted."""

import numpy as np
import pytest
import tiny
from PIL import Image

from minigemini.attention import picture as drawing
from minigemini.attention.maps import ImageAttention, ViewAttention
from minigemini.attention.picture import DPI, GAP, LINE, PANEL, SCALE, TITLES, attention_picture, draw_attention

GREY = Image.new("RGB", (90, 90), (120, 120, 120))


def planted(row, column, side=3, positions=4, at=(1, 2)):
    """All attention on one token, which looks at one position."""
    tokens = np.zeros((side, side))
    tokens[row, column] = 0.5
    mining = np.full((side, side, positions, positions), positions**-2)
    mining[row, column] = 0
    mining[row, column][at] = 1
    return ViewAttention(tokens, mining, 1 + tokens)


def panel_of(picture, column, size, row_top=GAP + 2 * LINE):
    left, top = GAP + column * (PANEL + GAP), row_top + TITLES
    return np.asarray(picture)[top : top + size[1], left : left + size[0]].astype(float)


def hottest(pixels):
    """Where it is brightest, as shares of width and height."""
    brightness = pixels.sum(-1)
    y, x = np.argwhere(brightness > 0.9 * brightness.max()).mean(0)
    return (x + 0.5) / pixels.shape[1], (y + 0.5) / pixels.shape[0]


def test_the_glow_is_where_the_attention_is():
    picture = draw_attention([ImageAttention(planted(2, 0), None)], [GREY], [(0, 0, 90, 90)], "where?", "there")
    assert picture.size == (GAP + 4 * (PANEL + GAP), 2 * GAP + 2 * LINE + TITLES + PANEL + SCALE)
    place = ((2.5 / 12), (8 + 1.5) / 12)  # of the position, in the picture
    for column in (1, 2):
        assert hottest(panel_of(picture, column, (PANEL, PANEL))) == pytest.approx(place, abs=0.02)
    plain = panel_of(picture, 0, (PANEL, PANEL))
    assert np.array_equal(plain, np.full_like(plain, 120))

    looked = panel_of(picture, 1, (PANEL, PANEL)).mean(-1)
    assert looked[-30, 100] == pytest.approx(120, abs=2)  # the token's cell is lit, what lies elsewhere is dim
    assert looked[100, 100] < 60
    added = panel_of(picture, 3, (PANEL, PANEL))
    assert np.ptp(added[330:470, 10:150], axis=(0, 1)).max() <= 1  # one colour in a cell
    assert np.abs(added[400, 80] - added[80, 80]).max() > 30


def test_padding_and_cropping():
    """A wide picture: padded, its square reaches beyond; cropped, the square is its middle and the rest is pale."""
    wide = Image.new("RGB", (180, 90), (120, 120, 120))
    size = (PANEL, PANEL // 2)
    padded = ImageAttention(planted(2, 3, side=4), None)  # of 4 rows the middle two are on the picture
    picture = draw_attention([padded], [wide], [(0, -45, 180, 135)], "where?", "there")
    looked = panel_of(picture, 1, size)
    assert hottest(looked) == pytest.approx(((12 + 2.5) / 16, (4 + 1.5) / 8), abs=0.02)
    cropped = ImageAttention(planted(0, 0, side=4), None)
    picture = draw_attention([cropped], [wide], [(45, 0, 135, 90)], "where?", "there")
    looked = panel_of(picture, 1, size)
    assert hottest(looked[:, PANEL // 4 : -PANEL // 4]) == pytest.approx((2.5 / 16, 1.5 / 16), abs=0.02)
    assert looked[:, : PANEL // 4 - 2].min() > 200
    assert looked[PANEL // 4, PANEL // 2].max() < 60


def test_crops_and_whole_view_shine_in_one_place():
    both = ImageAttention(planted(1, 3, side=4, at=(0, 0)), planted(0, 1, side=2, at=(2, 2)))
    picture = draw_attention([both], [GREY], [(0, 0, 90, 90)], "where?", "there")
    assert picture.width == GAP + 6 * (PANEL + GAP)
    # crops: position (4, 12) of 16; whole view: position (2, 6) of 8, which covers (4..5, 12..13) of 16
    assert hottest(panel_of(picture, 1, (PANEL, PANEL))) == pytest.approx((12.5 / 16, 4.5 / 16), abs=0.03)
    assert hottest(panel_of(picture, 4, (PANEL, PANEL))) == pytest.approx((6.5 / 8, 2.5 / 8), abs=0.02)


def test_one_scale_for_all_pictures():
    weak = ViewAttention(planted(1, 1).tokens / 20, planted(1, 1).mining, np.ones((3, 3)))
    attentions = [ImageAttention(planted(1, 1), None), ImageAttention(weak, None)]
    picture = draw_attention(attentions, [GREY, GREY], [(0, 0, 90, 90)] * 2, "which?", "the first")
    first = panel_of(picture, 1, (PANEL, PANEL))
    second = panel_of(picture, 1, (PANEL, PANEL), GAP + 2 * LINE + TITLES + PANEL + SCALE)
    assert (first.max(-1) - first.min(-1)).max() > 3 * (second.max(-1) - second.min(-1)).max()


def test_attention_on_the_padding_is_told():
    wide = Image.new("RGB", (180, 90))
    on_padding = ViewAttention(np.array([[0.2, 0, 0, 0], [0.1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]), None, None)
    ((_, looked),) = drawing.panels([ImageAttention(on_padding, None)], [wide], [(0, -45, 180, 135)])
    assert looked.subtitle == "10% of its attention is here, 20% on the padding"
    ((_, looked),) = drawing.panels([ImageAttention(on_padding, None)], [GREY], [(0, 0, 90, 90)])
    assert looked.subtitle == "30% of its attention is here"


def test_any_text_can_stand_above(recwarn):
    attention = ImageAttention(planted(0, 0), None)
    question, answer = "is $x_ < y$ in it?\x1b[2J \n" + "very " * 200, "漢字 or \\frac{1}"
    picture = draw_attention([attention], [GREY], [(0, 0, 90, 90)], question, answer)
    lines = drawing.lines("Q", question, picture.width)
    assert len(lines) == 3
    assert lines[-1].endswith(" ...")
    assert lines[0].startswith("Q  is $x_ < y$ in it? [2J")
    assert picture.height == 2 * GAP + 4 * LINE + TITLES + PANEL + SCALE
    assert not recwarn.list
    assert DPI == 150


def test_a_model_without_high_resolution_tower_has_two_panels(tiny_parts):
    parts = {**tiny_parts, "high_res_vision_tower": None}
    model = tiny.new_model(parts)
    model.generation_config.max_new_tokens = 4
    processor = tiny.new_processor(parts)
    seen = [{"type": "image", "image": Image.new("L", (60, 40))}, {"type": "text", "text": "what is it?"}]
    picture = attention_picture(model, processor, [{"role": "user", "content": seen}])
    assert picture.size == (GAP + 2 * (PANEL + GAP), 2 * GAP + 2 * LINE + TITLES + PANEL * 40 // 60 + SCALE)


def test_a_conversation_of_several_pictures(tiny_parts):
    model = tiny.new_model(tiny_parts)
    model.generation_config.max_new_tokens = 4
    processor = tiny.new_processor(tiny_parts)
    messages = [
        {"role": "user", "content": [{"type": "image", "image": GREY}, {"type": "text", "text": "what is it?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "a picture"}]},
        {
            "role": "user",
            "content": [{"type": "image", "image": GREY.resize((50, 80))}, {"type": "text", "text": "and?"}],
        },
    ]
    picture = attention_picture(model, processor, messages)
    assert picture.size == (
        GAP + 4 * (PANEL + GAP),
        2 * GAP + 2 * LINE + 2 * TITLES + PANEL + round(1.6 * PANEL) + 2 * SCALE,
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("hello", "no picture was shown"), ([{"type": "image", "url": "http://x/y.png"}], "must hold a PIL image")],
)
def test_nothing_to_draw_on(content, complaint):
    with pytest.raises(ValueError, match=complaint):
        attention_picture(None, None, [{"role": "user", "content": content}])
