"""What tools ask for: decoding in the words of old scripts, pictures where they belong."""

import pytest
from PIL import Image as PILImage

from minigemini.conversation import Image, Message, Text
from minigemini.engine.request import Decoding
from minigemini.evaluation.harnesses.tool_requests import decoding_of, picture, with_placed_pictures


@pytest.mark.parametrize(
    ("asked", "decoding"),
    [
        ({}, Decoding(99)),
        ({"temperature": 0, "top_p": 0, "do_sample": True}, Decoding(99)),
        ({"temperature": 0.2, "do_sample": False}, Decoding(99)),  # lmms-eval's MM-Vet
        ({"temperature": 0.2}, Decoding(99, temperature=0.2)),
        ({"do_sample": True, "top_p": 0.9, "top_k": None}, Decoding(99, temperature=1.0, top_p=0.9)),
        ({"num_beams": 5, "max_new_tokens": 16}, Decoding(16, num_beams=5)),
    ],
)
def test_decoding(asked, decoding):
    assert decoding_of(asked, 99) == decoding
    assert decoding_of(asked, 99, ["", "Q:"]).stop == ("Q:",)


def test_an_unknown_way_of_decoding_is_refused():
    with pytest.raises(ValueError, match="patience"):
        decoding_of({"patience": 3}, 99)


@pytest.mark.parametrize(
    ("content", "placed"),
    [
        ([Image(1), Text("what?")], [Image(1), Text("what?")]),
        (
            [Image(1), Image(2), Text("is <image> as <image>?")],
            [Text("is "), Image(1), Text(" as "), Image(2), Text("?")],
        ),
        ([Text("a"), Text("b")], [Text("a"), Text("b")]),
    ],
)
def test_pictures_stand_where_their_markers_are(content, placed):
    assert with_placed_pictures([Message("user", tuple(content))]) == [Message("user", tuple(placed))]


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ([Image(1), Text("<image> and <image>?")], [Image(1), Text("< image> and < image>?")]),  # which, none can tell
        ([Text("what does <image> mean?")], [Text("what does < image> mean?")]),
    ],
)
def test_other_markers_are_words_and_it_is_said(content, read):
    with pytest.warns(UserWarning, match="in its text . times; the model reads it there as '< image>'"):
        assert with_placed_pictures([Message("user", tuple(content))]) == [Message("user", tuple(read))]


def test_pictures_of_tools(tmp_path):
    path = tmp_path / "a.png"
    PILImage.new("RGB", (4, 4), "red").save(path)
    for source in (path, str(path), PILImage.open(path)):
        assert picture(source, "row 1").convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    path.write_bytes(b"no picture")
    for wrong in (path, 3):
        with pytest.raises(ValueError, match="row 1"):
            picture(wrong, "row 1")
