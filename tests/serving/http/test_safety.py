"""A server's safety filter sees all that is said, shown and drawn."""

import base64
import io

import openai
import pytest
from conftest import KEYS, running  # the one beside
from PIL import Image

from minigemini.serving.http.app import new_app
from minigemini.serving.http.door import LOOPBACK
from minigemini.serving.http.served import Served


def no_gore_and_no_red(content):
    if isinstance(content, str):
        return "gore" if "gore" in content else None
    red, green, blue = content.convert("RGB").resize((1, 1)).getpixel((0, 0))
    return "it is red" if red > 200 and green < 50 and blue < 50 else None


@pytest.fixture(scope="module")
def client(served, generator):
    here = Served("nano", served.engine, generator, served.feed, safety=no_gore_and_no_red)
    with (
        running(new_app(here, KEYS, LOOPBACK)) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key=KEYS[0], max_retries=0) as client,
    ):
        yield client


def file_of(color):
    file = io.BytesIO()
    Image.new("RGB", (48, 48), color).save(file, format="PNG")
    return file.getvalue()


def shown(color):
    url = "data:image/png;base64," + base64.b64encode(file_of(color)).decode()
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


HELLO = {"role": "user", "content": "hello"}
GORE = {"role": "user", "content": "gore"}
ANSWER = {"role": "assistant", "content": "hi"}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([GORE], "gore"),
        ([GORE, ANSWER, HELLO], "gore"),
        ([HELLO, {"role": "assistant", "content": "gore"}, HELLO], "gore"),
        ([shown("red")], "it is red"),
        ([shown("red"), ANSWER, HELLO], "it is red"),
    ],
)
def test_messages(client, messages, words):
    with pytest.raises(openai.BadRequestError, match=f"refused by the safety filter: {words}"):
        client.chat.completions.create(model="nano", messages=messages)


def test_other_messages_pass(client):
    whole = [shown("blue"), ANSWER, HELLO]
    assert client.chat.completions.create(model="nano", messages=whole).choices[0].finish_reason == "stop"


def test_prompts_and_pictures_without_a_conversation(client):
    with pytest.raises(openai.BadRequestError, match="gore"):
        client.images.generate(prompt="much gore")
    with pytest.raises(openai.BadRequestError, match="it is red"):
        client.images.edit(image=file_of("red"), prompt="a blue circle")
    with pytest.raises(openai.BadRequestError, match="gore"):
        client.responses.create(model="nano", input="gore")
    assert client.images.generate(prompt="a blue circle").data
