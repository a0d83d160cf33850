"""Questions in our own lines, written small, read, and answered with what is right."""

import json

import pytest
from question_files import images_of, scored_perfectly, text_of, write_image

from minigemini.benchmarks.formats.read import read_examples


def write_lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


OWN = {"id": "1", "question": "Which?", "choices": ["x", "y"], "images": ["a.png"], "reference": {"answer": "B"}}


def test_own_lines(tmp_path):
    write_image(tmp_path / "a.png", 7)
    path = write_lines(tmp_path / "q.jsonl", OWN | {"hint": "h", "kind": "k"})
    (example,) = examples = read_examples("ai2d", "lmms", path)
    assert text_of(example).startswith("Which?\nA. x\nB. y\n")
    assert example.kind == "k"
    assert example.reference == {"question": "Which?", "answer": "B", "choices": ["x", "y"], "image": "a.png"}
    assert images_of(example)[0].open().getpixel((0, 0)) == (7, 0, 0)
    assert scored_perfectly("ai2d", "lmms", examples).metrics[0].value == 100
    own_prompt = {"id": 2, "prompt": "My own.", "reference": {"answer": "B", "choices": ["x", "y"]}}
    (example,) = read_examples("ai2d", "lmms", write_lines(path, own_prompt))
    assert (text_of(example), example.id, images_of(example)) == ("My own.", "2", [])
    row = {"id": "1", "question": "?", "ocr": ["T"], "reference": {"answers": ["red"] * 10}}
    (example,) = read_examples("textvqa", "llava", write_lines(path, row))
    assert "token: T\n" in text_of(example)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"quesiton": "?"}, r"q.jsonl, row 2: unknown key 'quesiton'"),
        ({"prompt": "?"}, "row 2: either 'question' or 'prompt'"),
        ({"question": 5}, "row 2: column 'question' holds 5"),
        ({"images": "a.png"}, "row 2: 'images' is 'a.png', not a list of texts"),
        ({"images": ["../a.png"]}, r"row 2: the image '../a.png' leads out of"),
        ({"reference": "B"}, "row 2: 'reference' is 'B', not an object"),
        ({"reference": {}}, "q.jsonl, row 2: no gold answer, and other rows have one"),
        ({"id": "1"}, "row 2: the row '1' is there twice"),
        ({"id": None}, "row 2: column 'id' is empty"),
        ({"question_id": 3}, "row 2: this is a question file of LLaVA; give the folder"),
    ],
)
def test_own_lines_that_are_wrong(tmp_path, change, error):
    write_image(tmp_path / "a.png")
    path = write_lines(tmp_path / "q.jsonl", OWN, OWN | {"id": "2"} | change)
    with pytest.raises(ValueError, match=error):
        read_examples("ai2d", "lmms", path)


def test_own_lines_whose_image_is_missing(tmp_path):
    path = write_lines(tmp_path / "q.jsonl", OWN)
    with pytest.raises(FileNotFoundError, match=r"1 of 1 images are missing in .*, such as a.png .*q.jsonl, row 1"):
        read_examples("ai2d", "lmms", path)


def test_what_is_no_data(tmp_path):
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(ValueError, match=r"a.csv: questions are read from .parquet, .tsv and .jsonl files"):
        read_examples("ai2d", "lmms", tmp_path / "a.csv")
    with pytest.raises(ValueError, match="no scorer for 'nothing'"):
        read_examples("nothing", None, tmp_path)
    with pytest.raises(ValueError, match="ai2d has no protocol 'llava'"):
        read_examples("ai2d", "llava", tmp_path)
