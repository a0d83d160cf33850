"""A split whose gold answers only a server has is asked, and written as the server takes it."""

import json

import openpyxl
import pytest
from question_files import png, png_base64, tsv_rows, write_image, write_parquet, write_tsv
from score_command import write_jsonl

from minigemini.benchmarks.formats.read import read_examples
from minigemini.benchmarks.gold_check import has_gold
from minigemini.benchmarks.names import BENCHMARKS
from minigemini.benchmarks.score import without_gold
from minigemini.benchmarks.upload import write_upload


def uploaded(benchmark, data, folder, reply):
    """What is written for answers that are all ``reply``."""
    lines = [
        {"id": example.id, "kind": example.kind, "prediction": reply, "reference": example.reference}
        for example in read_examples(benchmark, None, data)
    ]
    assert not has_gold(lines)
    scored = without_gold(benchmark, "llava", lines)
    assert (scored.status, scored.metrics, scored.unparsable) == ("no gold answers", (), 0)
    said = write_upload(BENCHMARKS[benchmark], lines, folder)
    assert said.startswith(
        "no gold answers, so no number; "
        if BENCHMARKS[benchmark].upload is None
        else "no gold answers, so no number: upload."
    )
    (file,) = [path for path in folder.iterdir() if path.stem == "upload"] or [None]
    return json.loads(file.read_text()) if file and file.suffix == ".json" else file


@pytest.mark.parametrize("column", ["empty", "missing"])
def test_mmbench(column, tmp_path):
    rows = [row | {"image": png_base64(1), "answer": ""} for row in tsv_rows("mmbench")]
    if column == "missing":
        for row in rows:
            del row["answer"]
    file = uploaded("mmbench", write_tsv(tmp_path / "t.tsv", rows), tmp_path, "B")
    sheet = openpyxl.load_workbook(file).active
    assert [[cell.value for cell in row] for row in sheet] == [
        ["index", "question", "A", "B", "prediction"],
        [1, "Which?", "x", "y", "B"],
        [2, "Who?", "x", "y", "B"],
    ]


@pytest.mark.parametrize(
    ("benchmark", "file", "images", "wanted"),
    [
        ("vqav2", "llava_vqav2_mscoco_test-dev2015.jsonl", "test2015", [{"question_id": 7, "answer": "2 t shirts"}]),
        ("vizwiz", "llava_test.jsonl", "test", [{"image": "a.jpg", "answer": "2 t shirts"}]),
    ],
)
def test_llavas_test_splits(benchmark, file, images, wanted, tmp_path):
    (tmp_path / benchmark).mkdir()
    write_jsonl(tmp_path / benchmark / file, [{"question_id": 7, "image": "a.jpg", "text": "What?\nAnswer"}])
    write_image(tmp_path / benchmark / images / "a.jpg")
    assert uploaded(benchmark, tmp_path, tmp_path, "Two t-shirts.") == wanted  # as LLaVA cleans them


@pytest.mark.parametrize(
    ("benchmark", "row", "wanted"),
    [
        ("mmmu", {"id": "test_Art_1", "question": "?", "options": "['x', 'y']", "answer": "?", "question_type": "multiple-choice",
                  "image_1": png(1)}, {"test_Art_1": "B"}),
        ("docvqa", {"questionId": "9", "question": "?", "answers": None, "image": png(1)}, [{"questionId": 9, "answer": "(B)"}]),
        ("mmvet", {"question_id": "v1_0", "question": "?", "answer": None, "capability": "ocr", "image": png(1)}, {"v1_0": "(B)"}),
        ("textvqa", {"question": "?", "answers": None, "image_id": "a", "ocr_tokens": ["T"], "image": png(1)}, None),
        ("vizwiz", {"question_id": "a.jpg", "question": "?", "answers": None, "category": None, "image": png(1)},
         [{"image": "a.jpg", "answer": "b"}]),
    ],
)  # fmt: skip
def test_parquet_files_of_a_test_split(benchmark, row, wanted, tmp_path):
    path = write_parquet(tmp_path / "test.parquet", [row])
    assert uploaded(benchmark, path, tmp_path, "(B)") == wanted
