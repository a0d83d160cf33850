"""The shipped nano, as ``minigemini chat`` loads it."""

from pathlib import Path

import pytest
from PIL import Image

from minigemini.cli import main
from minigemini.generation import draw_again
from minigemini.generation.generation_record import save_png
from minigemini.media import open_image
from minigemini.serving.events import Done, ImageDrawn, TextDelta
from minigemini.serving.load_session import load_session
from minigemini.serving.options import ChatOptions

TAGS = Path(__file__).parents[2] / "eval" / "pictures" / "tags.png"


def test_it_looks_and_draws_and_the_drawing_can_be_drawn_again(tmp_path):
    session = load_session(ChatOptions(seed=3))
    done = list(session.reply("how many objects are there?", [Image.new("RGB", (96, 96), "beige")], draw=False))[-1]
    assert isinstance(done, Done)
    assert done.finish_reason == "stop"

    (drawn,) = [e for e in session.reply("draw a red circle", draw=True) if isinstance(e, ImageDrawn)]
    assert "red circle" in drawn.record.prompt
    assert drawn.image.size == (48, 48)
    assert (drawn.record.generator, drawn.record.seed) == ("nano", 3)
    save_png(drawn.image, drawn.record, tmp_path / "drawn.png")
    assert draw_again.run(tmp_path / "drawn.png") == 0


@pytest.mark.parametrize("bits", [4, 8])
def test_in_few_bits_it_still_reads_tags(bits, capfd):
    session = load_session(ChatOptions(draw=False, bits=bits))
    assert session.engine.model.is_quantized
    events = session.reply("what is the tag of the yellow circle?", [open_image(TAGS)], draw=False)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)).strip() == "K7"
    assert "MatMul8bitLt" not in capfd.readouterr().err


def test_an_answer_on_the_command_line_is_the_answer_and_nothing_else(capsys):
    assert main(["chat", "nano", "--image", str(TAGS), "--prompt", "what is the tag of the yellow circle?"]) == 0
    assert capsys.readouterr().out == "K7\n"
