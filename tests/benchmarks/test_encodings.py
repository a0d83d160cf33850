"""Files with a byte order mark, and pictures with line breaks or as data: URLs, are read; what is no UTF-8 is named."""

import base64

import pytest
from question_files import images_of, png, tsv_rows, write_image, write_tsv
from score_command import refusal, scored, write_jsonl

from minigemini.benchmarks.formats.read import read_examples

MARK = b"\xef\xbb\xbf"


def one_row(path, encoded):
    return write_tsv(path, [tsv_rows("ai2d")[0] | {"image": encoded}])


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
@pytest.mark.parametrize("breaks", ["", "\n", "\r\n", " "])
def test_pictures_in_a_cell(head, breaks, tmp_path):
    encoded = base64.b64encode(png(7) * 2).decode()
    broken = breaks.join(encoded[start : start + 76] for start in range(0, len(encoded), 76)) if breaks else encoded
    cell = f'"{head}{broken}"' if breaks else f"{head}{broken}"
    (example,) = read_examples("ai2d", None, one_row(tmp_path / "t.tsv", cell))
    assert images_of(example)[0].encoded() == png(7) * 2


def test_a_byte_order_mark(tmp_path):
    write_image(tmp_path / "a.png")
    row = {"id": "1", "question": "?", "images": ["a.png"], "reference": {"answer": "red"}}
    questions = write_jsonl(tmp_path / "q.jsonl", [row])
    answers = write_jsonl(tmp_path / "a.jsonl", [{"question_id": "1", "prompt": "?", "text": "red"}])
    for file in (questions, answers):
        file.write_bytes(MARK + file.read_bytes())
    assert read_examples("gqa", None, questions)[0].id == "1"
    found = scored(tmp_path, "gqa", answers, "--format", "llava", "--gold", questions)
    assert found["metrics"][0]["value"] == 100


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_refused_by_the_name_of_the_file(encoding, tmp_path, capsys):
    path = one_row(tmp_path / "t.tsv", base64.b64encode(png(7) * 2).decode() + "é")
    path.write_bytes(path.read_text().encode(encoding))
    with pytest.raises(ValueError, match=r"t.tsv: not UTF-8 .*; save it as UTF-8"):
        read_examples("ai2d", None, path)
    file = write_jsonl(tmp_path / "a.jsonl", [{"question_id": "1", "text": "é"}])
    file.write_bytes('{"question_id": "1", "text": "é"}'.encode(encoding))
    assert "a.jsonl: not UTF-8" in refusal(capsys, "gqa", file, "--format", "llava")


def test_a_reply_that_is_no_text(tmp_path, capsys):
    for text in ("null", "5"):
        (tmp_path / "a.jsonl").write_text(f'{{"question_id": 1, "text": {text}}}')
        assert "row '1': the prediction is" in refusal(capsys, "gqa", tmp_path / "a.jsonl", "--format", "llava")
