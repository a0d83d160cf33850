"""``/v1/attention`` against a real server: the nano looks at what it is asked about."""

import io
from threading import Event

import httpx2 as httpx
import numpy as np
import pytest
import torch
from conftest import KEYS  # the one beside
from PIL import Image
from test_chat_completions import ask, data_of, url, user

from minigemini.conversation import Message, Text, images_of, message
from minigemini.engine.local import opened
from minigemini.engine.request import Decoding, DrawPolicy, Request
from minigemini.serving.http import attention
from minigemini.tabletop.benchmark import examples


@pytest.fixture
def http(address):
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {KEYS[0]}"}, timeout=60) as http:
        yield http


def look(http, *messages, **more):
    return http.post("/v1/attention", json={"model": "nano", "messages": [*messages], **more})


def refusal(answered, status=400):
    assert answered.status_code == status
    return answered.json()["error"]["message"]


@pytest.fixture(scope="module")
def tags():
    """Scenes, a question in OpenAI's form, and the cell that the answer is in."""
    found = []
    for example in examples(4, seed=1, types=("tag",)):
        shown = images_of(example["messages"])
        (cell,) = (thing.cell for thing in example["scene"].things if thing.tag == example["answer"])
        found.append((user(example["messages"][-1].text, *map(url, shown)), shown[0], cell))
    return found


def answer_of(client, asked, **more):
    return {"role": "assistant", "content": ask(client, [asked], **more).choices[0].message.content}


def test_it_looked_at_what_it_was_asked_about(client, http, tags, local):
    side = local.model.config.tokens_per_side
    for asked, shown, cell in tags:
        (looked,) = look(http, asked, answer_of(client, asked)).json()["data"]
        x, y = looked["brightest"]
        assert int(y * side) * side + int(x * side) == cell
        assert 0.05 < looked["share"] < 1
        overlay = Image.open(io.BytesIO(data_of(looked)))
        assert overlay.width / overlay.height == shown.width / shown.height
        # all but that is dimmed
        assert np.asarray(overlay).mean() < 0.8 * np.asarray(shown.convert("RGB")).mean()


def test_the_tokens_of_an_answer_are_those_that_were_written(local, tags):
    for words, draw in (("what is in the picture?", False), ("draw this again", True)):
        asked = message("user", words, [tags[0][1]])
        whole = [*local.stream(Request([asked], Decoding(60, drawing=DrawPolicy(draw))), Event())][-1]
        shown = opened([asked, Message("assistant", (Text(whole.text.strip()),))])
        again = attention.answer_tokens(local, shown, local.read([[asked]])["input_ids"][0])
        assert torch.equal(again, whole.token_ids[: len(again)])
        assert len(whole.token_ids) == len(again) + 1  # the token that ends it


def test_every_picture_of_the_conversation_in_its_order(client, http, tags):
    drawing = ask(client, [user("draw a red mug")], extra_body={"draw": "always"}).choices[0].message.model_dump()
    wide = url(Image.new("RGB", (120, 40), "white"))
    last = user(
        "what is the tag of the circle?", wide, *(part["image_url"]["url"] for part in tags[0][0]["content"][:1])
    )
    looked = look(http, user("draw a red mug"), drawing, last, {"role": "assistant", "content": "K7"}).json()["data"]
    sizes = [Image.open(io.BytesIO(data_of(one))).size for one in looked]
    assert [width / height for width, height in sizes] == [1, 3, 1]
    assert sum(one["share"] for one in looked) < 1


def test_what_cannot_be_shown_is_said(client, http, tags, monkeypatch):
    asked = tags[0][0]
    answer = {"role": "assistant", "content": "it is K7"}
    assert "assistant's" in refusal(look(http, answer, asked))
    assert "no picture was shown" in refusal(look(http, user("hello"), answer))
    assert "no words" in refusal(look(http, asked, {"role": "assistant", "content": ""}))
    assert "draw" in refusal(look(http, asked, answer, draw="auto"))
    assert "start anew" in refusal(look(http, asked, {"role": "assistant", "content": "a mug and " * 250}))
    monkeypatch.setattr(attention, "MOST_WORDS", 2)
    assert "2 may be looked into" in refusal(look(http, asked, answer))
    http.headers["Authorization"] = "Bearer wrong"
    assert "API key" in refusal(look(http, asked, answer), 401)
