"""A server that is asked: keys, names, and what is no server of OpenAI's API."""

import http.server
import threading
from contextlib import contextmanager

import pytest

from minigemini.engine.request import Decoding, Request
from minigemini.serving.asked_server import AskedServer, Refused, same_name
from minigemini.tabletop.mixed_questions import mixed_questions


def test_the_key_is_read_from_the_environment_and_never_shown(address, local, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with AskedServer(address, "nano") as server, pytest.raises(ValueError, match=r"HTTP 401.*read from OPENAI_API_KEY"):
        server.models()
    monkeypatch.setenv("OPENAI_API_KEY", "my-secret-key")
    with page(b"no such key: Bearer my-secret-key", 401) as repeating, AskedServer(repeating, "nano") as server:
        with pytest.raises(ValueError, match="HTTP 401: no such key") as refused:
            server.models()
        assert "my-secret-key" not in str(refused.value)
    monkeypatch.setenv("OPENAI_API_KEY", "first-key")
    with AskedServer(f"{address}/v1/", "nano") as server:
        assert server.models() == ["nano"]
        for messages in (mixed_questions(1)[kind][0] for kind in ("tag", "two pictures", "picture after picture")):
            reply, own = server.ask(messages, 8), local.answer([Request(messages, Decoding(8))])[0]
            assert (reply.text, reply.prompt_tokens) == (own.text.strip(), own.prompt_tokens)
        assert isinstance(server.ask([], 8), Refused)
    with AskedServer(address, "other") as server, pytest.raises(ValueError, match="'other' is not here"):
        server.ask(mixed_questions(1)["tag"][0], 8)


@contextmanager
def page(text, status=200):
    """The address of a server that answers everything with a page."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_page_is_no_server():
    with page(b"<html>welcome</html>") as address, AskedServer(address, "nano") as server:
        with pytest.raises(ValueError, match="no reply of an OpenAI-compatible server"):
            server.models()
        with pytest.raises(ValueError, match="no reply of an OpenAI-compatible server"):
            server.ask(mixed_questions(1)["no picture"][0], 8)


def test_a_server_may_know_a_model_by_its_folder():
    assert same_name("/data/checkpoints/mgm-7b", "checkpoints/mgm-7b")
    assert same_name("nano", "nano")
    assert not same_name("mgm-7b-hd", "mgm-7b")
