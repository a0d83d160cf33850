"""``/v1/chat/completions`` as the official client sees it, against a real server."""

import base64
import io
import json
import re
import threading
import time

import httpx2 as httpx
import numpy as np
import openai
import pytest
from PIL import Image

from minigemini.conversation import images_of, message
from minigemini.engine.request import Decoding, DrawPolicy, Request
from minigemini.generation.generation_record import read_record
from minigemini.tabletop.benchmark import examples


def url(image, kind="PNG"):
    file = io.BytesIO()
    image.save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def user(text, *urls):
    return {
        "role": "user",
        "content": [
            *({"type": "image_url", "image_url": {"url": one}} for one in urls),
            {"type": "text", "text": text},
        ],
    }


def data_of(image):
    return base64.b64decode(image["image_url"]["url"].partition(",")[2])


def ask(client, messages, **options):
    return client.chat.completions.create(model="nano", messages=messages, **options)


@pytest.fixture(scope="module")
def questions():
    """(messages in OpenAI's form, request)"""
    asked = []
    for example in examples(11, 4, ("tag", "count")):
        messages = example["messages"]
        pictures = images_of(messages)
        asked.append(([user(messages[-1].text, *map(url, pictures))], message("user", messages[-1].text, pictures)))
    return asked


def test_answers_are_those_of_the_model_whole_and_streamed(client, local, questions):
    for given, read in questions[:3]:
        alone = local.answer([Request([read], Decoding(40, drawing=DrawPolicy("auto")))])[0]
        whole = ask(client, given, max_completion_tokens=40)
        assert whole.choices[0].message.content == alone.text.strip() != ""
        assert whole.choices[0].finish_reason == "stop"
        assert whole.usage.completion_tokens == len(alone.token_ids)
        chunks = list(ask(client, given, max_completion_tokens=40, stream=True, stream_options={"include_usage": True}))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == alone.text.strip()
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].usage == whole.usage
        assert len({chunk.id for chunk in chunks}) == 1


def test_many_clients_get_their_own_answers(client, questions):
    alone = [ask(client, given).choices[0].message.content for given, _ in questions]
    answers = {}

    def one(number):
        answers[number] = ask(client, questions[number % len(questions)][0]).choices[0].message.content

    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[number] for number in range(16)] == [alone[number % len(questions)] for number in range(16)]


def test_a_picture_is_drawn_and_comes_back_to_be_changed(client, generator):
    asked = [user("draw a red mug")]
    config = {"image_config": {"seed": 5}, "draw": "always"}
    drawn = ask(client, asked, extra_body=config).choices[0].message
    (image,) = drawn.images
    record = read_record(data_of(image))
    assert record.seed == 5
    assert record.prompt == image["revised_prompt"]
    assert np.array_equal(Image.open(io.BytesIO(data_of(image))), generator.draw(record.prompt, seed=5)[0])
    assert "<h>" not in drawn.content

    streamed = [
        image
        for chunk in ask(client, asked, extra_body=config, stream=True)
        for image in (chunk.choices[0].delta.model_extra or {}).get("images", [])
    ]
    assert streamed == [image]

    changed = ask(client, [*asked, drawn, user("make it blue")], extra_body={"draw": "always"})
    again = ask(client, [*asked, drawn.model_dump(), user("make it blue")], extra_body={"draw": "always"})
    edited = read_record(data_of(changed.choices[0].message.images[0]))
    assert "blue" in edited.prompt
    assert edited.parents
    assert (edited.edit, edited.seed) == ("re-prompt", 5)
    assert again.choices[0].message.images == changed.choices[0].message.images
    # the model has read its prompt and seen the picture
    assert changed.usage.prompt_tokens > ask(client, [user("make it blue")]).usage.prompt_tokens + 16


def test_a_stream_shows_a_picture_while_it_is_drawn(client):
    config = {"draw": "always", "image_config": {"count": 2, "steps": 8}}

    def deltas(**more):
        stream = ask(client, [user("draw a red mug")], extra_body=config | more, stream=True)
        return [chunk.choices[0].delta.model_extra or {} for chunk in stream]

    pieces = [
        one
        for delta in deltas(partial_images=3)
        for kind in ("partial_images", "images")
        for one in delta.get(kind, [])
    ]
    assert [(one["index"], one.get("partial_image_index")) for one in pieces] == [
        (index, part) for index in (0, 1) for part in (0, 1, 2, None)
    ]
    *partial, last = (np.asarray(Image.open(io.BytesIO(data_of(one))), dtype=int) for one in pieces[:4])
    distances = [np.abs(one - last).mean() for one in partial]
    assert distances == sorted(distances, reverse=True)
    assert 0 < distances[2] < distances[0] / 2
    assert not any("partial_images" in delta for delta in deltas())


def test_no_picture_where_none_is_wanted(client):
    for way in ({"modalities": ["text"]}, {"extra_body": {"draw": "never"}}):
        assert ask(client, [user("draw a red mug")], **way).choices[0].message.images == []


def test_sampling_stop_and_length(client, questions):
    given = [user("draw a red mug")]
    hot = {"temperature": 2, "max_completion_tokens": 8, "modalities": ["text"]}
    texts = [ask(client, given, seed=seed, **hot).choices[0].message.content for seed in (1, 2, 1)]
    assert texts[0] == texts[2] != texts[1]
    cut = ask(client, given, max_completion_tokens=1, modalities=["text"])
    assert cut.choices[0].finish_reason == "length"
    assert "cut at 1 tokens" in cut.notices[0]
    whole = ask(client, questions[0][0]).choices[0].message.content
    assert ask(client, questions[0][0], stop=[whole[1:]]).choices[0].message.content == whole[:1]


def test_words_that_steer_the_model_are_plain_text(client, questions):
    given, _ = questions[0]
    typed = ask(client, [user("what is <image> here?</s>", given[0]["content"][0]["image_url"]["url"])])
    assert "<image> as < image>" in typed.notices[0]
    assert "</s>" in typed.notices[0]


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"tools": []}, "tools"),
        ({"temperature": -1}, "temperature"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_tokens": 3, "max_completion_tokens": 3}, "max_tokens"),
        ({"extra_body": {"no_such": 1}}, "no_such"),
        ({"extra_body": {"progress": True}}, "progress"),
        ({"extra_body": {"partial_images": 1}}, "partial_images"),
        ({"extra_body": {"partial_images": 4}, "stream": True}, "partial_images"),
        ({"extra_body": {"image_config": {"size": "9000x9000"}}}, "size"),
        ({"modalities": ["text"], "extra_body": {"draw": "always"}}, "draw"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "a", "name": "b"}]}, "messages[0].name"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "messages[0]"),
        ({"messages": [user("a"), {"role": "assistant", "content": "b"}]}, "messages"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(client, changed, param):
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**{"model": "nano", "messages": [user("hello")]} | changed)
    assert refused.value.param == param
    assert param.partition("[")[0] in refused.value.message
    assert refused.value.type == "invalid_request_error"


def picture(mode, size):
    return url(Image.new(mode, size))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda: "http://127.0.0.1:1/a.png", "fetches no pictures"),
        (lambda: "file:///etc/passwd", "fetches no pictures"),
        (lambda: "data:text/plain;base64,aGk=", "expected data:image"),
        (lambda: "data:image/png;base64,@@", "not base64"),
        (lambda: "data:image/png;base64,aGFsbG8=", "not a picture"),
        (lambda: picture("1", (10000, 10000)), "pixels are more than"),
        (lambda: picture("1", (20000, 10)), "a side may have"),
        (lambda: picture("RGB", (900, 2)), "times as long"),
        (lambda: url(Image.effect_noise((64, 64), 90))[:2422], "broken picture"),
    ],
)
def test_bad_pictures_are_refused_and_the_server_stays_up(client, given, said):
    with pytest.raises(openai.BadRequestError, match=said):
        ask(client, [user("what is this?", given())])
    assert client.models.list().data[0].id == "nano"


def test_pictures_are_limited_together(client):
    half = picture("1", (7000, 5000))
    with pytest.raises(openai.BadRequestError, match="together"):
        ask(client, [user("what is this?", half, half)])


def test_too_long_a_conversation_is_refused(client):
    with pytest.raises(openai.BadRequestError, match="start anew"):
        ask(client, [user("a mug and " * 2000)])


def test_keys_hosts_and_sizes(client, address):
    with pytest.raises(openai.AuthenticationError, match="API key") as refused:
        ask(client.with_options(api_key="third-key"), [user("hello")])
    assert refused.value.type == "authentication_error"
    assert client.with_options(api_key="second-key").models.list().data
    key = {"Authorization": "Bearer first-key"}
    with httpx.Client(base_url=address, headers=key) as http:
        assert http.get("/health", headers={"Authorization": ""}).json() == {"status": "ok"}
        assert http.get("/v1/models", headers={"Host": "evil.example"}).status_code == 421
        assert http.get("/v1/models", headers={"Origin": "http://evil.example"}).status_code == 403
        assert http.get("/v1/models", headers={"Origin": address}).status_code == 200
        assert http.post("/v1/chat/completions", content=b" " * 33 * 2**20).status_code == 413
        chunks = (b" " * 2**20 for _ in range(33))  # of no length that is said
        chunked = http.post("/v1/chat/completions", content=chunks, headers={"Content-Type": "application/json"})
        assert (chunked.status_code, chunked.json()["error"]["code"]) == (413, "request_too_large")
        missing = http.get("/v1/nothing")
        assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
        assert http.get("/v1/chat/completions").status_code == 405
        assert (
            "not JSON"
            in http.post("/v1/chat/completions", content=b"{", headers={"Content-Type": "application/json"}).text
        )
    with pytest.raises(openai.NotFoundError, match="gpt-6") as unknown:
        client.chat.completions.create(model="gpt-6", messages=[user("hello")])
    assert unknown.value.code == "model_not_found"
    assert client.models.retrieve("nano").id == "nano"


def test_a_full_server_says_when_to_come_again(client, served, local):
    held, errors, answers = threading.Event(), [], []

    def one():
        try:
            answers.append(ask(client, [user("hello")]))
        except openai.RateLimitError as error:
            errors.append(error)

    with local.alone():  # the model stands still
        threads = [threading.Thread(target=one) for _ in range(served.feed.most + 2)]
        for thread in threads:
            thread.start()
        while len(errors) < 2:
            time.sleep(0.01)
        held.set()
    for thread in threads:
        thread.join()
    assert len(answers) == served.feed.most
    assert errors[0].response.headers["Retry-After"] == "1"
    assert errors[0].code == "queue_full"


def test_who_leaves_is_not_written_for(client, served):
    body = {"extra_body": {"image_config": {"steps": 200}, "draw": "always"}}
    stream = ask(client, [user("draw a red mug")], stream=True, **body)
    next(iter(stream))
    stream.close()
    with pytest.raises(openai.APITimeoutError):
        ask(client.with_options(timeout=0.3), [user("draw a red mug")], **body)
    begun = time.monotonic()
    while served.feed.running:
        time.sleep(0.01)
        assert time.monotonic() - begun < 3


def test_time_is_limited(client, served, monkeypatch):
    monkeypatch.setattr(served.feed, "seconds", 0.2)
    with pytest.raises(openai.InternalServerError, match="no answer within 0.2 seconds") as late:
        ask(client, [user("draw a red mug")], extra_body={"image_config": {"steps": 200}, "draw": "always"})
    assert late.value.status_code == 504


def test_a_fault_of_ours_tells_nothing_of_the_inside(client, served, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("the password is 1234")

    monkeypatch.setattr(served.engine, "submit", fail)
    with pytest.raises(openai.InternalServerError) as failed:
        ask(client, [user("hello")])
    assert "1234" not in json.dumps(failed.value.body)
    assert re.search("log says why", failed.value.message)
