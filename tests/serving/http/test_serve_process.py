"""``minigemini serve`` as a real process, and how it ends."""

import signal
import time

import openai
import pytest
from serving_process import serving

SECONDS = 4
COMMAND = f"""
from minigemini import cli
from minigemini.serving.http import run

run.SECONDS_TO_FINISH = {SECONDS}
raise SystemExit(cli.main(["serve", "--port", "0"]))
"""


def draw(address, size, steps):
    """A stream that has begun."""
    client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    messages = [{"role": "user", "content": "draw a red mug"}]
    config = {"size": size, "steps": steps}
    body = {"draw": "always", "image_config": config, "progress": True}
    stream = iter(client.chat.completions.create(model="nano", messages=messages, stream=True, extra_body=body))
    assert next(stream).choices[0].delta.role == "assistant"
    return stream


def test_at_sigterm_it_finishes_what_it_can_and_ends_with_status_0():
    with serving("-c", COMMAND) as server:
        short = draw(server.address, "256x256", 20)
        long = draw(server.address, "512x512", 200)  # half a minute
        asked = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        chunks = list(short)
        assert any((chunk.choices[0].delta.model_extra or {}).get("images") for chunk in chunks)
        assert chunks[-1].choices[0].finish_reason == "stop"
        with pytest.raises(openai.APIConnectionError):  # it takes no more
            draw(server.address, "auto", 2)
        with pytest.raises(openai.APIError):
            list(long)
        assert server.process.wait(60) == 0
        assert time.monotonic() - asked > SECONDS
