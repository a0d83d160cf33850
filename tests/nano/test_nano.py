"""The shipped weights: whole, small, documented, and able to do what the README says."""

import json

import pytest
from PIL import Image

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano
from minigemini.conversation import with_images
from minigemini.engine.local import LocalEngine
from minigemini.engine.request import Decoding, Request
from minigemini.evaluation.running.evaluate import evaluate
from minigemini.tabletop import benchmark


def answers(name, examples):
    model = MiniGeminiForConditionalGeneration.from_pretrained(nano.path(name)).float().eval()
    processor = MiniGeminiProcessor.from_pretrained(nano.path(name))
    requests = [Request(example["messages"], Decoding(8)) for example in examples]
    return [answer.text.strip() for answer in LocalEngine(model, processor).answer(requests)]


def right(name, kind, number=40):
    examples = list(benchmark.examples(number, seed=3, types=(kind,)))
    hits = [said == example["answer"] for said, example in zip(answers(name, examples), examples, strict=True)]
    return sum(hits) / len(hits)


def test_all_shipped_weights_fit_into_forty_megabytes():
    assert sum(file.stat().st_size for file in nano.WEIGHTS.rglob("*") if file.is_file()) <= 40e6


@pytest.mark.parametrize("name", nano.NAMES)
def test_each_has_a_model_card_and_nothing_but_safetensors(name):
    folder = nano.path(name)
    assert "toy" in (folder / "README.md").read_text() or "control" in (folder / "README.md").read_text()
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "import_minigemini.py"]
    assert {file.suffix for file in files} <= {".md", ".json", ".jinja", ".safetensors"}


def test_a_name_that_is_not_shipped_is_refused():
    with pytest.raises(ValueError, match="nano-xl"):
        nano.path("nano-xl")
    with pytest.raises(ValueError, match="nano/none"):
        nano.path("nano/none")


def test_a_local_folder_wins_over_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert nano.resolve("nano") == str(nano.path("nano"))
    (tmp_path / "nano").mkdir()
    with pytest.raises(ValueError, match="nano: the folder holds no model"):
        nano.resolve("nano")
    (tmp_path / "nano" / "config.json").write_text("{}")
    assert nano.resolve("nano") == "nano"


def test_nano_answers_and_the_low_resolution_cannot_read_tags():
    assert right("nano", "colour") >= 0.85
    assert right("nano", "tag") >= 0.6
    assert right("nano-low-res", "tag") <= 0.25


def test_nothing_is_said_about_a_picture_that_is_not_there():
    """The blind control must be at a loss: the language model has not learned the answers by heart."""
    examples = list(benchmark.examples(40, seed=3, types=("colour",)))
    for example in examples:
        example["messages"] = with_images(example["messages"], lambda _: None)
    said = answers("nano", examples)
    assert sum(a == e["answer"] for a, e in zip(said, examples, strict=True)) <= 20


def test_the_readme_pictures_are_not_in_the_benchmark():
    from pathlib import Path

    from minigemini.tabletop import oracle
    from minigemini.tabletop.scene import reserved

    pictures = sorted((Path(__file__).parents[2] / "eval" / "pictures").glob("*.png"))
    assert pictures
    for picture in pictures:
        assert not reserved(oracle.read(Image.open(picture)).scene)


@pytest.mark.slow
def test_the_floors_hold(tmp_path):
    assert evaluate("tabletop", "nano", tmp_path, strict=True) == 0
    assert json.loads((tmp_path / "results.json").read_text())
