"""``serve/transformers_serve.py`` as a real process, asked by ``minigemini verify-serving``."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import openai
import pytest

from minigemini import nano
from minigemini.cli import main

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_transformers_serve_answers_as_the_checkpoint(tmp_path, capsys):
    folder = str(nano.path("nano"))
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, ROOT / "serve" / "transformers_serve.py", folder, "--port", str(port)]
    command += ["--device", "cpu", "--dtype", "float32"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        begun = time.monotonic()
        while "Uvicorn running" not in (said := (tmp_path / "log").read_text()):
            assert process.poll() is None, said
            assert time.monotonic() - begun < 120, said
            time.sleep(0.2)
        address = f"http://localhost:{port}"
        assert main(["verify-serving", address, "--served-as", folder]) == 0
        assert "all 77 are the same" in capsys.readouterr().out
        with openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
            typed = [{"role": "user", "content": "what is <image> here?"}]
            with pytest.raises(openai.APIStatusError):  # not well, but not answered
                client.chat.completions.create(model=folder, messages=typed, max_tokens=4)
    finally:
        process.kill()
        process.wait()
