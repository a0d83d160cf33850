"""``/v1/images/edits`` with the official client."""

import base64
import io

import numpy as np
import openai
import pytest
from conftest import KEYS, running  # the one beside
from PIL import Image
from tiny_pipelines import stable_diffusion

from minigemini.generation.edit import edit
from minigemini.generation.generation_record import read_record
from minigemini.generation.image_generator import ImageGenerator
from minigemini.generation.inpaint import inpaint
from minigemini.media import open_image
from minigemini.serving.http.app import new_app
from minigemini.serving.http.door import LOOPBACK
from minigemini.serving.http.served import Served


def file_of(image):
    file = io.BytesIO()
    image.save(file, format="PNG")
    return file.getvalue()


def pixels(data):
    return np.asarray(open_image(base64.b64decode(data.b64_json)))


@pytest.fixture(scope="module")
def painter():
    """A generator that reads pictures."""
    return ImageGenerator(stable_diffusion(), "tiny").with_settings(steps=4)


@pytest.fixture(scope="module")
def client(served, painter):
    here = Served("nano", served.engine, painter, served.feed)
    with (
        running(new_app(here, KEYS, LOOPBACK)) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key=KEYS[0], max_retries=0) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def parent(client):
    """A picture of this server."""
    (drawn,) = client.images.generate(prompt="a red circle", size="64x64", extra_body={"seed": 3}).data
    return base64.b64decode(drawn.b64_json)


def test_a_picture_is_edited_as_in_a_conversation(client, painter, parent):
    (edited,) = client.images.edit(image=parent, prompt="a blue circle", extra_body={"strength": 0.5, "steps": 4}).data
    made_by, image = read_record(parent), open_image(parent)
    right, record = edit(painter, image, "a blue circle", made_by=made_by, strength=0.5, steps=4)
    assert np.array_equal(pixels(edited), np.asarray(right))
    assert read_record(base64.b64decode(edited.b64_json)) == record
    assert edited.revised_prompt == "a blue circle"


def test_several_edits_of_a_photograph(client, painter):
    photograph = Image.effect_noise((64, 64), 60).convert("RGB")
    edits = client.images.edit(image=[file_of(photograph)], prompt="a blue circle", n=2, extra_body={"seed": 8}).data
    for seed, edited in zip((8, 9), edits, strict=True):
        right, _ = edit(painter, photograph, "a blue circle", seed=seed)
        assert np.array_equal(pixels(edited), np.asarray(right))


def test_a_part_is_drawn_anew(client, painter, parent):
    mask = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 32, 64))
    (edited,) = client.images.edit(image=parent, mask=file_of(mask), prompt="a blue circle").data
    white = Image.new("L", (64, 64), 0)
    white.paste(255, (0, 0, 32, 64))
    right, record = inpaint(painter, open_image(parent), white, "a blue circle", made_by=read_record(parent))
    assert np.array_equal(pixels(edited), np.asarray(right))
    assert read_record(base64.b64decode(edited.b64_json)) == record
    assert np.array_equal(pixels(edited)[:, 32:], np.asarray(open_image(parent))[:, 32:])


def test_a_generator_that_reads_no_pictures_changes_its_own(address, generator):
    """The nano's draws a new prompt from the noise of the picture, and cannot do more."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key=KEYS[0], max_retries=0) as client:
        (first,) = client.images.generate(prompt="a red circle", extra_body={"seed": 3}).data
        file = base64.b64decode(first.b64_json)
        (edited,) = client.images.edit(image=file, prompt="a blue circle").data
        right, _ = edit(generator, open_image(file), "a blue circle", made_by=read_record(file))
        assert np.array_equal(pixels(edited), np.asarray(right))
        mask = file_of(Image.new("RGBA", open_image(file).size))
        for given, words in (
            ({"image": file_of(Image.new("RGB", (48, 48)))}, "it can only change one that it has drawn"),
            ({"mask": mask}, "cannot change a part"),
            ({"extra_body": {"strength": 0.5}}, "takes no strength"),
        ):
            with pytest.raises(openai.BadRequestError, match=words):
                client.images.edit(**({"image": file, "prompt": "a blue circle"} | given))


@pytest.mark.parametrize(
    ("given", "words", "param"),
    [
        ({"image": b"no picture"}, "image", "image"),
        ({"image": []}, "image", "image"),
        ({"image": [file_of(Image.new("RGB", (64, 64)))] * 2}, "2 were sent", "image"),
        ({"mask": file_of(Image.new("RGB", (64, 64)))}, "no transparent pixels", "mask"),
        ({"mask": file_of(Image.new("RGBA", (32, 64)))}, "32x64 pixels and the image 64x64", "mask"),
        ({"prompt": ""}, "prompt is missing", "prompt"),
        ({"size": "32x32"}, "an edit has the size of its picture", "size"),
        ({"extra_body": {"strength": 2}}, "less than or equal to 1", "strength"),
        ({"extra_body": {"fidelity": "high"}}, "no such option", "fidelity"),
        ({"model": "dall-e-2"}, "is not here", "model"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client, given, words, param):
    whole = {"image": file_of(Image.new("RGB", (64, 64))), "prompt": "a red circle"} | given
    with pytest.raises((openai.BadRequestError, openai.NotFoundError), match=words) as caught:
        client.images.edit(**whole)
    assert caught.value.param == param
