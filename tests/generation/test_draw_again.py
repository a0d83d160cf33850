import shutil
from dataclasses import replace

import pytest
import tiny_pipelines

from minigemini.generation import draw_again
from minigemini.generation.generation_record import read_record, save_png
from minigemini.generation.image_generator import ImageGenerator
from minigemini.media import open_image


@pytest.fixture
def weights(tmp_path):
    tiny_pipelines.pixart().save_pretrained(tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def drawn(tmp_path, weights):
    image, record = ImageGenerator.from_pretrained(weights, device="cpu").draw("a red circle", seed=11, steps=3)
    save_png(image, record, tmp_path / "drawn.png")
    return tmp_path / "drawn.png"


def test_the_same_file_comes_out(drawn, weights, capsys):
    assert draw_again.run(drawn, generator=str(weights), device="cpu") == 0
    again = drawn.with_name("drawn-again.png")
    assert again.read_bytes() == drawn.read_bytes()
    assert "equal in every pixel" in capsys.readouterr().out


def test_other_weights_are_found_out(drawn, weights, tmp_path, capsys):
    tiny_pipelines.pixart(seed=1).save_pretrained(tmp_path / "others")
    assert draw_again.run(drawn, tmp_path / "out.png", str(tmp_path / "others"), "cpu") == 1
    assert "NOT equal" in capsys.readouterr().out
    assert read_record(tmp_path / "out.png").generator == "others"


def test_a_changed_picture_is_found_out(drawn, weights, capsys):
    image, record = open_image(drawn), read_record(drawn)
    image.paste("white" if image.getpixel((0, 0)) != (255, 255, 255) else "black", (0, 0, 1, 1))
    save_png(image, record, drawn)
    assert draw_again.run(drawn, generator=str(weights), device="cpu") == 1


def test_what_a_file_names_is_not_loaded_by_itself(drawn):
    image, record = open_image(drawn), read_record(drawn)
    save_png(image, replace(record, generator="somebody/weights"), drawn)
    with pytest.raises(ValueError, match="'somebody/weights'; if you trust that"):
        draw_again.run(drawn)


def test_the_original_stays(drawn, weights):
    before = drawn.read_bytes()
    with pytest.raises(ValueError, match="would replace"):
        draw_again.run(drawn, drawn, str(weights))
    again = drawn.with_name("drawn-again.png")
    shutil.copy(drawn, again)
    draw_again.run(drawn, generator=str(weights), device="cpu")
    assert drawn.read_bytes() == before
