"""Data we did not make: real photographs of many sizes and modes, with questions in LLaVA's format, through both commands."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import sklearn.datasets
import yaml
from PIL import Image
from small_run import align_recipe, finetune_recipe, losses

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.cli import main

QUESTIONS = [
    ("astronaut.jpg", "<image>\nWho is in the photograph?", "An astronaut in an orange suit."),
    ("coffee.png", "What is in the cup? <image>", "Coffee."),
    ("cat.png", "<image>\nWhich animal is it?", "A cat, looking to the right."),
    ("camera.png", "<image>\nIs this a photograph in colour?", "No, it is black and white."),
    ("coins.png", "<image>\nWhat lies on the table?", "Old coins."),
    ("rocket.jpg", "Look at <image> and say what starts.", "A rocket."),
    ("temple.jpg", "<image>\nWhere was it taken?", "In front of a temple in China."),
    ("flower.png", "<image>\nWhat is this?", "A flower."),
]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """``questions.json`` beside ``photos/``: JPEG and PNG; RGB, RGBA, grey, 16-bit grey, CMYK and palette; odd sizes."""
    folder = tmp_path_factory.mktemp("photographs")
    photos = folder / "photos"
    photos.mkdir()
    china, flower = (Image.fromarray(image) for image in sklearn.datasets.load_sample_images().images)
    cat = Image.fromarray(skimage.data.chelsea())
    cat.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, cat.width, dtype=np.uint8), (cat.height, 1))))
    Image.fromarray(skimage.data.astronaut()).resize((333, 511)).save(photos / "astronaut.jpg")
    Image.fromarray(skimage.data.coffee()).save(photos / "coffee.png")
    cat.save(photos / "cat.png")
    Image.fromarray(skimage.data.camera()).resize((97, 41)).save(photos / "camera.png")
    Image.fromarray(skimage.data.coins().astype(np.uint16) * 257).save(photos / "coins.png")
    Image.fromarray(skimage.data.rocket()).convert("L").save(photos / "rocket.jpg")
    china.convert("CMYK").save(photos / "temple.jpg")
    flower.quantize(32).save(photos / "flower.png")

    records: list[dict] = [
        {"id": name, "image": name, "conversations": turns(question, answer)} for name, question, answer in QUESTIONS
    ]
    both = turns(
        "<image>\n<image>\nWhich of the two is an animal?", "The first.", "And the second?", "A cup of coffee."
    )
    records.append({"id": "two", "image": ["cat.png", "coffee.png"], "conversations": both})
    records.append({"id": "text", "conversations": turns("What is a cat?", "A small animal with whiskers.")})
    draw = turns("Draw a rocket at night. <GEN>", "<h>a rocket at night, long exposure</h>")
    records.append({"id": "draw", "conversations": draw})
    seen = turns("<image>\nNow the same as a painting. <GEN>", "<h>a painting of a cat looking to the right</h>")
    records.append({"id": "draw what is seen", "image": "cat.png", "conversations": seen})
    (folder / "questions.json").write_text(json.dumps(records))
    return folder


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[i % 2], "value": text} for i, text in enumerate(texts)]


def test_both_stages_train_on_photographs(photographs, tiny_parts, tmp_path, capsys):
    data = photographs / "questions.json"
    align, finetune = tmp_path / "align.yaml", tmp_path / "finetune.yaml"
    align.write_text(yaml.safe_dump(align_recipe(tiny_parts, data, tmp_path / "align")))
    finetune.write_text(yaml.safe_dump(finetune_recipe(tmp_path / "align", data, tmp_path / "finetune")))
    folder = f"data.sources.0.image_folder={photographs / 'photos'}"

    assert main(["data", "check", str(align), folder]) == 0
    assert "12 good records, 2 of them text only, 11 images" in capsys.readouterr().out
    assert main(["train", str(align), folder]) == 0
    assert main(["train", str(finetune), folder, "trainer.num_train_epochs=12"]) == 0
    curve = losses(tmp_path / "finetune")
    assert np.mean(curve[-3:]) < 0.6 * np.mean(curve[:3])

    model: Any = MiniGeminiForConditionalGeneration.from_pretrained(tmp_path / "finetune")
    processor = MiniGeminiProcessor.from_pretrained(tmp_path / "finetune")
    question = {"type": "text", "text": "Which animal is it?"}
    photo = {"type": "image", "image": Image.open(photographs / "photos" / "cat.png")}
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": [photo, question]}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    answer = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert answer.shape == (1, inputs["input_ids"].shape[1] + 3)


def test_a_damaged_photograph_is_named_by_the_command(photographs, tiny_parts, tmp_path, capsys):
    data = photographs / "questions.json"
    for file in (photographs / "photos").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "rocket.jpg").write_bytes((photographs / "photos" / "rocket.jpg").read_bytes()[:-2000])
    (tmp_path / "cat.png").unlink()
    recipe = tmp_path / "align.yaml"
    recipe.write_text(yaml.safe_dump(align_recipe(tiny_parts, data, tmp_path / "align")))
    assert main(["train", str(recipe), f"data.sources.0.image_folder={tmp_path}"]) == 1
    error = capsys.readouterr().err
    assert "minigemini: 4 bad records" in error
    assert "questions.json: record 5 (id 'rocket.jpg'): image" in error
    assert "rocket.jpg: a broken picture (image file is truncated" in error
    assert "record 8 (id 'two')" in error
    assert "Traceback" not in error
