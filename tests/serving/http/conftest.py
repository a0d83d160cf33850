"""A real server on a free port, one for each file of tests, with the shipped nano in float32."""

import threading
import time
from contextlib import contextmanager

import openai
import pytest
import torch
import uvicorn

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano
from minigemini.engine.local import LocalEngine
from minigemini.engine.many import EngineForMany
from minigemini.generation.image_generator import ImageGenerator
from minigemini.serving.http.app import new_app
from minigemini.serving.http.door import LOOPBACK
from minigemini.serving.http.feed import Feed
from minigemini.serving.http.served import Served

KEYS = ["first-key", "second-key"]


@contextmanager
def running(app):
    """Its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def local():
    path = nano.path("nano")
    model = MiniGeminiForConditionalGeneration.from_pretrained(path, dtype=torch.float32).eval()
    return LocalEngine(model, MiniGeminiProcessor.from_pretrained(path))


@pytest.fixture(scope="session")
def generator():
    return ImageGenerator.from_pretrained("nano").with_settings(steps=2)


@pytest.fixture(scope="module")
def served(local, generator):
    with EngineForMany(local, slots=8, waiting=16) as engine:
        yield Served("nano", engine, generator, Feed(16, 60.0))


@pytest.fixture(scope="module")
def address(served):
    with running(new_app(served, KEYS, LOOPBACK)) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key=KEYS[0], max_retries=0) as client:
        yield client
