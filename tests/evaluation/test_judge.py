"""The judge's client against a real local HTTP server: cache, tries, errors, the key."""

import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from judge_server import judge_server

from minigemini.evaluation.judging import client
from minigemini.evaluation.judging.client import Judge, RefusedRequest, Reply

QUESTION = [{"role": "user", "content": "good? ☂\u2028"}]
SOON = {"retry-after-ms": "1"}


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "*")


def ask(server, cache, messages=QUESTION, temperature=0.0, max_tokens=3, model="judge"):
    with Judge(server.url, model, cache) as judge:
        return judge.ask(messages, temperature, max_tokens)


def test_what_is_sent_and_what_comes_back(tmp_path):
    with judge_server(lambda number, content: "0.7 \u2028") as server:
        assert ask(server, tmp_path / "new" / "cache.jsonl") == Reply("0.7 \u2028", "judge-2026")
    assert server.requests == [{"model": "judge", "messages": QUESTION, "temperature": 0.0, "max_tokens": 3}]
    assert server.keys == {None}


def test_nothing_is_asked_twice(tmp_path):
    cache = tmp_path / "cache.jsonl"
    with judge_server(lambda number, content: f"reply {number}") as server:
        assert ask(server, cache).text == ask(server, cache).text == "reply 0"
        other: list[dict[str, Any]] = [
            {"messages": QUESTION * 2},
            {"temperature": 0.5},
            {"max_tokens": 4},
            {"model": "other"},
        ]
        texts = [ask(server, cache, **changed).text for changed in other]
        assert texts == ["reply 1", "reply 2", "reply 3", "reply 4"]
        assert [ask(server, cache, **changed).text for changed in other] == texts
    assert len(server.requests) == 5
    assert ask(server, cache) == Reply("reply 0", "judge-2026")  # the server is gone


def test_a_torn_last_line_is_asked_again(tmp_path):
    cache = tmp_path / "cache.jsonl"
    with judge_server(lambda number, content: f"reply {number}") as server:
        ask(server, cache)
        ask(server, cache, max_tokens=4)
        whole = cache.read_bytes()
        cache.write_bytes(whole[:-4])
        assert ask(server, cache).text == "reply 0"
        assert ask(server, cache, max_tokens=4).text == "reply 2"
    assert cache.read_bytes() == whole.replace(b"reply 1", b"reply 2")


def test_a_cache_torn_within_a_character(tmp_path):
    cache = tmp_path / "cache.jsonl"
    with judge_server(lambda number, content: "色") as server:
        ask(server, cache)
        whole = cache.read_bytes()
        cache.write_bytes(whole[: whole.index("色".encode()) + 1])
        assert ask(server, cache).text == "色"
    assert cache.read_bytes() == whole


def test_a_cache_that_is_none(tmp_path):
    file = tmp_path / "predictions.jsonl"
    file.write_text('{"id": "1"}\n')
    with pytest.raises(ValueError, match=r"predictions.jsonl, line 1: no reply of a judge"):
        Judge("http://localhost/v1", "judge", file)


def test_the_same_asked_by_two_threads_at_once_has_one_reply(tmp_path):
    together = threading.Barrier(2)

    def answer(number, content):
        together.wait(5)
        return f"reply {number}"

    cache = tmp_path / "cache.jsonl"
    with judge_server(answer) as server, Judge(server.url, "judge", cache) as judge, ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: judge.ask(QUESTION, 0.0, 3), range(2))
    assert one == two
    assert len(cache.read_text().splitlines()) == 1


@pytest.mark.parametrize("failure", [(500, "oh"), (408, "late"), (429, "slowly"), (503, "")])
def test_it_is_asked_again_when_the_server_fails(failure, tmp_path):
    with judge_server(lambda number, content: (*failure, SOON) if number < 4 else "good") as server:
        assert ask(server, tmp_path / "cache.jsonl").text == "good"
    assert len(server.requests) == 5


def test_it_is_asked_again_when_the_connection_breaks(tmp_path):
    with judge_server(lambda number, content: "good" if number else None) as server:
        assert ask(server, tmp_path / "cache.jsonl").text == "good"
    assert len(server.requests) == 2


def test_it_gives_up(tmp_path):
    with (
        judge_server(lambda number, content: (500, "out of  memory\n", SOON)) as server,
        pytest.raises(ValueError, match=r"no reply, the last time: HTTP 500: out of memory\. .*cache\.jsonl"),
    ):
        ask(server, tmp_path / "cache.jsonl")
    assert len(server.requests) == 5


def test_a_server_that_wants_to_be_left_alone_is(tmp_path):
    times: list[float] = []

    def answer(number, content):
        times.append(time.monotonic())
        return "good" if number else (429, "", {"Retry-After": "1"})

    with judge_server(answer) as server:
        assert ask(server, tmp_path / "cache.jsonl").text == "good"
    assert times[1] - times[0] >= 1  # without being told so, it would be half a second at most


def test_nobody_waits_for_a_day(tmp_path):
    with (
        judge_server(lambda number, content: (429, "no quota", {"Retry-After": "86400"})) as server,
        pytest.raises(ValueError, match=r"HTTP 429: no quota \(Retry-After: 86400\)\. .*cache\.jsonl"),
    ):
        ask(server, tmp_path / "cache.jsonl")
    assert len(server.requests) == 1


def test_a_server_that_says_nothing(tmp_path, monkeypatch):
    """The time is limited, and it is asked again."""
    monkeypatch.setattr(client, "TIMEOUT", 0.2)
    monkeypatch.setattr(client, "TRIES", 2)
    over = threading.Event()
    with judge_server(lambda number, content: None if over.wait(10) else "good") as server:
        with pytest.raises(ValueError, match=r"no reply within 0\.2 s\. .*cache\.jsonl"):
            ask(server, tmp_path / "cache.jsonl")
        over.set()
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused_is_not_sent_again(status, tmp_path):
    cache = tmp_path / "cache.jsonl"
    with (
        judge_server(lambda number, content: (status, "too long")) as server,
        pytest.raises(RefusedRequest, match=f"HTTP {status}: too long"),
    ):
        ask(server, cache)
    assert len(server.requests) == 1
    assert cache.read_text() == ""


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((404, "no such model"), "HTTP 404: no such model"),
        ((401, ""), r"HTTP 401: Unauthorized \(the key is read from OPENAI_API_KEY\)"),
        ((302, "", {"Location": "http://127.0.0.1:1/v1"}), "HTTP 302: Found"),
        ((200, "<html>"), "no reply of an OpenAI-compatible server but '<html>'"),
        ((200, "<html>", {"Content-Type": "text/html"}), "no reply of an OpenAI-compatible server but '<html>'"),
        ((200, '{"choices": []}'), "no reply of an OpenAI-compatible server"),
    ],
)
def test_what_no_further_try_mends(answer, error, tmp_path):
    with judge_server(lambda number, content: answer) as server, pytest.raises(ValueError, match=error):
        ask(server, tmp_path / "cache.jsonl")
    assert len(server.requests) == 1


def test_no_content_is_an_empty_reply_of_the_model_asked(tmp_path):
    body = json.dumps({"choices": [{"message": {"content": None}}]})
    with judge_server(lambda number, content: (200, body)) as server:
        assert ask(server, tmp_path / "cache.jsonl") == Reply("", "judge")


def test_nobody_there(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "TRIES", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        Judge(f"http://127.0.0.1:{port}/v1/", "judge", tmp_path / "cache.jsonl") as judge,
        pytest.raises(
            ValueError, match=rf"^http://127.0.0.1:{port}/v1/chat/completions: cannot be reached \(.*refused"
        ),
    ):
        judge.ask(QUESTION, 0.0, 3)


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "file:///etc/passwd", "http:///v1", "http://localhost:80a/v1", ""]
)
def test_what_is_no_url(url, tmp_path):
    with pytest.raises(ValueError, match="is no URL of a judge; one looks like http"):
        Judge(url, "judge", tmp_path / "cache.jsonl")
    assert not (tmp_path / "cache.jsonl").exists()


def test_the_key_goes_into_the_header_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\n")
    answers = ["good", (400, "Incorrect key sk-secret"), (403, "Incorrect key sk-secret")]
    with judge_server(lambda number, content: answers[number]) as server:
        ask(server, tmp_path / "cache.jsonl")
        for kind in (RefusedRequest, ValueError):
            with pytest.raises(kind, match=r"Incorrect key \[the key\]"):
                ask(server, tmp_path / "cache.jsonl", max_tokens=4)
    assert server.keys == {"Bearer sk-secret"}
    assert "secret" not in json.dumps(server.requests) + (tmp_path / "cache.jsonl").read_text()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret\nx")
    with pytest.raises(ValueError, match="^OPENAI_API_KEY holds characters that no key has$"):
        Judge(server.url, "judge", tmp_path / "cache.jsonl")


def test_after_stop_nothing_is_sent(tmp_path):
    with judge_server(lambda number, content: "good") as server, Judge(server.url, "j", tmp_path / "c.jsonl") as judge:
        kept = judge.ask(QUESTION, 0.0, 3)
        judge.stop()
        assert judge.ask(QUESTION, 0.0, 3) == kept
        with pytest.raises(ValueError, match="not asked any more"):
            judge.ask(QUESTION, 0.0, 4)
    assert len(server.requests) == 1


def test_after_stop_nothing_is_sent_again(tmp_path):
    judges: list[Judge] = []

    def answer(number, content):
        judges[0].stop()
        return (500, "", SOON)

    with judge_server(answer) as server, Judge(server.url, "judge", tmp_path / "cache.jsonl") as judge:
        judges.append(judge)
        with pytest.raises(ValueError, match="not asked any more"):
            judge.ask(QUESTION, 0.0, 3)
    assert len(server.requests) == 1


def test_a_cache_of_before_openai(tmp_path):
    """The key of a line is the sha256 of what was once sent byte by byte."""
    cache = tmp_path / "cache.jsonl"
    key = "fc20be658655d2809ea93546ecfd02a465b8316e498d699bc96f8c11e542afc3"
    cache.write_text(json.dumps({"key": key, "model": "judge-2024", "reply": "0.7"}) + "\n")
    with Judge("http://127.0.0.1:9/v1", "judge", cache) as judge:
        assert judge.ask(QUESTION, 0.0, 3) == Reply("0.7", "judge-2024")


def test_without_openai_it_says_what_to_install(tmp_path):
    """In a process of its own, where openai cannot be imported."""
    code = (
        "import sys; sys.modules['openai'] = None\n"
        "from pathlib import Path\n"
        "from minigemini.evaluation.judging.client import Judge\n"
        f"Judge('http://localhost/v1', 'judge', Path({str(tmp_path / 'cache.jsonl')!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ValueError: a judge is asked by the openai package: pip install 'minigemini[judge]'" in done.stderr
    assert not (tmp_path / "cache.jsonl").exists()
