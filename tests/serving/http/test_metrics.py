"""``/metrics`` of a real server, read as Prometheus reads it."""

import threading
import time

import httpx2 as httpx
import openai
import pytest
from conftest import KEYS, running  # the one beside
from prometheus_client.parser import text_string_to_metric_families

from minigemini.engine.many import EngineForMany
from minigemini.serving.http.app import new_app
from minigemini.serving.http.door import LOOPBACK
from minigemini.serving.http.feed import Feed
from minigemini.serving.http.served import Served

CHAT = "/v1/chat/completions"
LONG = {"extra_body": {"draw": "always", "image_config": {"steps": 200}, "progress": True}, "stream": True}


def ask(client, **options):
    messages = [{"role": "user", "content": "draw a red mug"}]
    return client.chat.completions.create(model="nano", messages=messages, **options)


def read(address):
    """Values by name and labels' values."""
    answer = httpx.get(f"{address}/metrics", headers={"Authorization": f"Bearer {KEYS[0]}"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name.removeprefix("minigemini_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


class Since:
    """What has been added to each value."""

    def __init__(self, address):
        self.address = address
        self.before = read(address)

    def __call__(self, *name):
        return read(self.address).get(name, 0) - self.before.get(name, 0)

    def wait(self, amount, *name):
        """A request is counted when it has ended, which its client may know a moment earlier."""
        begun = time.monotonic()
        while self(*name) != amount:
            assert time.monotonic() - begun < 10, (name, self(*name))
            time.sleep(0.01)


@pytest.fixture
def since(address):
    return Since(address)


def test_what_answers_take_and_hold(client, since):
    usages = [
        ask(client, extra_body={"draw": "always"}).usage,
        ask(client, modalities=["text"], max_completion_tokens=4).usage,
        *(chunk.usage for chunk in ask(client, stream=True, stream_options={"include_usage": True}) if chunk.usage),
    ]
    client.images.generate(prompt="a blue cube", n=2)
    since.wait(3, "requests_total", CHAT, "200")
    since.wait(1, "requests_total", "/v1/images/generations", "200")
    assert since("prompt_tokens_total") == sum(usage.prompt_tokens for usage in usages)
    assert since("completion_tokens_total") == sum(usage.completion_tokens for usage in usages)
    assert since("pictures_drawn_total") in (3, 4)  # the model chose in one answer
    assert 1 <= since("time_to_first_token_seconds_count") <= 3  # of those that have words
    assert since("answer_seconds_count") == 4
    assert since("answer_seconds_sum") > since("time_to_first_token_seconds_sum") > 0


def test_refusals_by_endpoint_and_status(client, address, since):
    with pytest.raises(openai.BadRequestError):
        ask(client, n=2)
    with pytest.raises(openai.AuthenticationError):
        ask(client.with_options(api_key="third-key"))
    assert client.models.retrieve("nano")
    assert httpx.get(f"{address}/nobody/knows/this").status_code == 404
    since.wait(1, "requests_total", CHAT, "400")
    since.wait(1, "requests_total", "other", "401")
    since.wait(1, "requests_total", "/v1/models/{name:path}", "200")
    since.wait(1, "requests_total", "other", "404")
    assert httpx.get(f"{address}/metrics").status_code == 401


def test_a_full_server(client, served, local, since):
    def one():
        try:
            ask(client, modalities=["text"])
        except openai.RateLimitError:
            rejected.append(True)

    rejected = []
    threads = [threading.Thread(target=one) for _ in range(served.feed.most + 2)]
    with local.alone():  # the model stands still
        for thread in threads:
            thread.start()
        since.wait(2, "requests_total", CHAT, "429")
        now = read(since.address)
        assert now["requests_running",] == now["requests_running_limit",] == served.feed.most
        assert now["queue_capacity",] == served.engine.waiting
        assert 0 < now["queue_length",] <= served.feed.most
    for thread in threads:
        thread.join()
    assert len(rejected) == 2
    since.wait(served.feed.most, "requests_total", CHAT, "200")
    now = read(since.address)
    assert now["requests_running",] == now["queue_length",] == 0


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_before_the_answer_is_not_a_200(client, served, local, since, stream):
    with local.alone():
        with pytest.raises(openai.APITimeoutError):
            ask(client.with_options(timeout=0.3), stream=stream)
        since.wait(1, "requests_total", CHAT, "cancelled")  # while the model stands still
    assert since("requests_total", CHAT, "200") == 0
    while served.feed.running:
        time.sleep(0.01)


def test_who_leaves_in_the_answer_is_not_a_200(client, served, since):
    stream = ask(client, **LONG)
    assert next(iter(stream)).choices
    stream.close()
    since.wait(1, "requests_total", CHAT, "cancelled")
    assert since("requests_total", CHAT, "200") == since("answer_seconds_count") == 0
    while served.feed.running:
        time.sleep(0.01)


def test_a_stream_that_breaks_off_has_failed(client, served, since, monkeypatch):
    monkeypatch.setattr(served.feed, "seconds", 0.5)
    with pytest.raises(openai.APIError, match="no answer within 0.5 seconds"):
        assert list(ask(client, **LONG))
    since.wait(1, "requests_total", CHAT, "failed")
    assert since("requests_total", CHAT, "200") == 0


def test_a_fault_of_ours_is_a_500(client, served, since, monkeypatch):
    monkeypatch.setattr(served.engine, "submit", lambda *arguments, **options: 1 / 0)
    with pytest.raises(openai.InternalServerError):
        ask(client)
    since.wait(1, "requests_total", CHAT, "500")


def test_another_server_in_the_process_counts_for_itself(client, local, since):
    with EngineForMany(local) as engine:
        other = Served("nano", engine, None, Feed(4, 60.0))
        with running(new_app(other, KEYS, LOOPBACK)) as address:
            client.models.list()
            since.wait(1, "requests_total", "/v1/models", "200")
            assert ("requests_total", "/v1/models", "200") not in read(address)
            assert read(address)["requests_running_limit",] == 4
