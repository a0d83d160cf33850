"""What we save is read by a process that imports only transformers, if it trusts the code; else refused in words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano

CODE = """
import sys, transformers
folder = sys.argv[1]
for auto in ("AutoConfig", "AutoProcessor", "AutoImageProcessor", "AutoModelForImageTextToText"):
    try:
        getattr(transformers, auto).from_pretrained(folder, trust_remote_code=False)
    except ValueError as error:
        assert "trust_remote_code=True" in str(error), error
    else:
        raise AssertionError(auto)
for auto, name in {
    "AutoProcessor": "Processor", "AutoImageProcessor": "ImageProcessor", "AutoConfig": "Config", "AutoModel": "Model",
    "AutoModelForMultimodalLM": "ForConditionalGeneration", "AutoModelForImageTextToText": "ForConditionalGeneration",
}.items():
    read = getattr(transformers, auto).from_pretrained(folder, trust_remote_code=True)
    assert type(read).__name__ == "MiniGemini" + name, (auto, type(read))
    if len(sys.argv) > 2:
        read.save_pretrained(sys.argv[2])
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    MiniGeminiForConditionalGeneration.from_pretrained(nano.path("nano")).save_pretrained(folder)
    MiniGeminiProcessor.from_pretrained(nano.path("nano")).save_pretrained(folder)
    return folder


def run(tmp_path: Path, *arguments: Path) -> None:
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", CODE, *map(str, arguments)], check=True, env=environment)


def test_only_transformers(saved, tmp_path):
    run(tmp_path, saved, tmp_path / "again")
    assert sorted(path.name for path in (tmp_path / "again").glob("*.py")) == ["import_minigemini.py"]


def test_the_shipped_nano(tmp_path):
    run(tmp_path, nano.path("nano"))
