import json
from dataclasses import asdict, replace

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minigemini.generation.generation_record import GenerationRecord, pixel_hash, read_record, save_png

RECORD = GenerationRecord(
    prompt='a "red" circle, 漢字 & <b>',
    negative_prompt=None,
    seed=2**63 - 1,
    steps=20,
    guidance=4.5,
    width=8,
    height=6,
    generator="nano",
    pipeline="PixArtSigmaPipeline",
    scheduler="DPMSolverMultistepScheduler",
    dtype="float32",
    device="cpu",
    versions={"torch": "2.9"},
    prompt_tokens=4,
    truncated=True,
    parents=["0" * 64],
)
IMAGE = Image.new("RGB", (8, 6), "red")


def png_with(text, path):
    info = PngInfo()
    info.add_itxt("minigemini", text)
    IMAGE.save(path, pnginfo=info)
    return path


def test_a_record_comes_back_as_it_was(tmp_path):
    save_png(IMAGE, RECORD, tmp_path / "a.png")
    assert read_record(tmp_path / "a.png") == RECORD
    none = replace(RECORD, steps=None, guidance=None, prompt_tokens=None, parents=[])
    save_png(IMAGE, none, tmp_path / "b.png")
    assert read_record(tmp_path / "b.png") == none


def test_it_is_readable_by_others(tmp_path):
    save_png(IMAGE, RECORD, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert json.loads(image.info["minigemini"])["prompt"] == RECORD.prompt


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 2**63}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": "1"}, "seed"),
        ({"steps": 0}, "steps"),
        ({"steps": 10**9}, "steps"),
        ({"width": 10**6}, "width"),
        ({"height": 0}, "height"),
        ({"guidance": float("nan")}, "guidance"),
        ({"guidance": 1e9}, "guidance"),
        ({"prompt": None}, "prompt"),
        ({"prompt": "x" * 10**5}, "prompt"),
        ({"negative_prompt": 3}, "negative_prompt"),
        ({"versions": {"torch": 2}}, "versions"),
        ({"parents": "abc"}, "parents"),
        ({"truncated": 1}, "truncated"),
        ({"edit": "magic"}, "edit"),
        ({"edit": ["re-prompt"]}, "edit"),
        ({"strength": 0}, "strength"),
        ({"strength": 1.5}, "strength"),
        ({"more": 1}, "unknown more"),
    ],
)
def test_a_foreign_record_is_checked_field_by_field(tmp_path, change, named):
    file = png_with(json.dumps({**asdict(RECORD), **change}), tmp_path / "foreign.png")
    with pytest.raises(ValueError, match=rf"foreign\.png.*{named}"):
        read_record(file)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"x"', "[" * 100_000, json.dumps({"prompt": "a"})])
def test_nonsense_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"foreign\.png"):
        read_record(png_with(text, tmp_path / "foreign.png"))


def test_no_record_no_png_no_file(tmp_path):
    IMAGE.save(tmp_path / "plain.png")
    with pytest.raises(ValueError, match="no generation record"):
        read_record(tmp_path / "plain.png")
    IMAGE.save(tmp_path / "photo.jpg")
    with pytest.raises(ValueError, match="no generation record"):
        read_record(tmp_path / "photo.jpg")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ValueError, match="not a picture"):
        read_record(tmp_path / "text.png")
    with pytest.raises(ValueError, match=r"none\.png: no such file"):
        read_record(tmp_path / "none.png")


def test_the_hash_sees_pixels_and_shape():
    assert pixel_hash(IMAGE) == pixel_hash(IMAGE.copy())
    assert pixel_hash(IMAGE) != pixel_hash(Image.new("RGB", (6, 8), "red"))
    changed = IMAGE.copy()
    changed.putpixel((3, 3), (254, 0, 0))
    assert pixel_hash(IMAGE) != pixel_hash(changed)
