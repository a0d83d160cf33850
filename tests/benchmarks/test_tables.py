"""VLMEvalKit's tables, written small: questions that are answered with what is right, replies, and gold answers."""

import base64

import openpyxl
import pytest
from question_files import images_of, png_base64, scored_perfectly, tsv_rows, write_image, write_tsv
from score_command import refusal, scored, write_jsonl

from minigemini.benchmarks.formats import vlmevalkit
from minigemini.benchmarks.formats.read import read_examples
from minigemini.benchmarks.names import BENCHMARKS

NOT_FROM_A_TABLE = {"textvqa", "blink", "pope", "mmmu_pro", "realworldqa"}  # lack what the prompt needs, or other rows
TSV = [
    (name, protocol)
    for name, one in BENCHMARKS.items()
    for protocol, chosen in one.protocols.items()
    if chosen.form and not isinstance(one.table, str) and name not in NOT_FROM_A_TABLE
]


@pytest.mark.parametrize(("benchmark", "protocol"), TSV)
def test_tables(tmp_path, benchmark, protocol):
    rows = tsv_rows(benchmark)
    if benchmark != "mme":
        rows = [
            row | {"image": png_base64(number) if number < 2 else rows[0]["index"]} for number, row in enumerate(rows)
        ]
    else:
        for row in rows:
            write_image(tmp_path / row["image_path"])
    path = write_tsv(tmp_path / "DATA.tsv", rows)
    examples = read_examples(benchmark, protocol, path)
    assert len(examples) == (2 if benchmark == "mmmu" else len(rows))  # without dev
    assert all(images_of(example)[0].open().size == (4, 3) for example in examples[:3] if images_of(example))
    assert all("question" in example.reference for example in examples)
    scored = scored_perfectly(benchmark, protocol, examples)
    if benchmark == "mmvet" or (benchmark, protocol) == ("hallusionbench", "official"):
        assert scored.status == "needs judge"
    else:
        assert scored.metrics[0].value == {"mme": 2000, "ocrbench": 1}.get(benchmark, 100)


def test_pope_in_a_table_is_a_row_a_split(tmp_path):
    rows = [row | {"image": png_base64(n) if n < 2 else "2"} for n, row in enumerate(tsv_rows("pope"))]
    path = write_tsv(tmp_path / "POPE.tsv", rows)
    questions = vlmevalkit.read_questions(path, BENCHMARKS["pope"], None)
    assert [question.id for question in questions[:3]] == ["1/adversarial", "1/popular", "1/random"]
    assert {question.reference["image"] for question in questions[:3]} == {questions[0].reference["image"]}
    assert questions[0].reference["image"] != questions[3].reference["image"]
    assert questions[6].images[0].open().getpixel((0, 0)) == (1, 0, 0)
    with pytest.raises(ValueError, match=r"POPE.tsv: POPE: these rows are .*'random': 3000"):
        read_examples("pope", None, path)


def test_a_table_with_lists_of_pictures_and_of_paths(tmp_path):
    rows = tsv_rows("seed_bench")
    path = write_tsv(tmp_path / "B.tsv", [row | {"image": str([png_base64(1), png_base64(2)])} for row in rows])
    images = images_of(read_examples("seed_bench", None, path)[1])
    assert [image.open().getpixel((0, 0))[0] for image in images] == [1, 2]
    write_image(tmp_path / "p" / "a.png", 3)
    write_image(tmp_path / "p" / "b.png", 4)
    path = write_tsv(tmp_path / "C.tsv", [row | {"image_path": "['a.png', 'b.png']"} for row in rows])
    images = images_of(read_examples("seed_bench", None, path, tmp_path / "p")[0])
    assert [image.open().getpixel((0, 0))[0] for image in images] == [3, 4]
    with pytest.raises(FileNotFoundError, match=r"2 of 2 images are missing in .*, such as a.png .*index 1"):
        read_examples("seed_bench", None, path)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"image": "77"}, r"index 2: column 'image' is '77', which is no index of a row with a picture"),
        ({"image": "%" * 80}, r"index 2: column 'image' is not base64"),
        ({"image": ""}, r"index 2: the row has no image"),
        ({"index": "1"}, r"index 1: the row '1' is there twice"),
        ({"answer": ""}, r"D.tsv, index 2: no gold answer, and other rows have one"),
        ({"A": "", "B": ""}, r"index 2: no options"),
    ],
)
def test_tables_that_are_broken(tmp_path, change, error):
    rows = [row | {"image": png_base64(number)} for number, row in enumerate(tsv_rows("ai2d"))]
    path = write_tsv(tmp_path / "D.tsv", [rows[0], rows[1] | change])
    with pytest.raises(ValueError, match=error):
        read_examples("ai2d", None, path)


def test_tables_without_a_column_or_for_another_benchmark(tmp_path):
    path = write_tsv(tmp_path / "D.tsv", [{"index": "1", "text": "q"}])
    with pytest.raises(ValueError, match=r"D.tsv: no column 'question'; there are index, text"):
        read_examples("ai2d", None, path)
    with pytest.raises(ValueError, match="mathvista is not read from a tsv; give testmini.json"):
        read_examples("mathvista", None, path)


MMBENCH = [
    ("index", "question", "hint", "A", "B", "C", "answer", "category", "image", "prediction"),
    (3, "which?", None, "apple", "banana", None, "A", "ocr", base64.b64encode(b"x" * 90).decode(), "A. apple"),
    (1000003, "which?", None, "banana", "apple", None, "B", "ocr", "3", "apple"),
    (4, "how?", None, "red", "blue", "green", "C", "color", "3", 5.0),
]


def write_table(path, table):
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for row in table:
            book.active.append(row)
        book.save(path)
    else:
        cells = [["" if cell is None else str(cell) for cell in row] for row in table]
        path.write_text("".join("\t".join(row) + "\n" for row in cells), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".xlsx", ".tsv"])
def test_vlmevalkit_tables(suffix, tmp_path, capsys):
    file = write_table(tmp_path / f"table{suffix}", MMBENCH)
    found = scored(tmp_path, "mmbench", file, "--format", "vlmevalkit", "--protocol", "vlmevalkit")
    values = {metric["name"]: metric["value"] for metric in found["metrics"]}
    assert values["circular accuracy"] == 50
    assert values["vanilla accuracy"] == pytest.approx(200 / 3)
    assert found["unparsable"]["count"] == 1
    assert {verdict["image"] for verdict in found["verdicts"]} == {
        found["verdicts"][0]["image"]
    }  # all the same picture
    assert "3 rows; the published data has 4377" in capsys.readouterr().out
    table = write_table(tmp_path / f"no{suffix}", [row[:-1] for row in MMBENCH])
    assert "a row has no 'prediction'" in refusal(capsys, "mmbench", table, "--format", "vlmevalkit")


def test_a_cell_that_was_cut_is_refused(tmp_path, capsys):
    table = [MMBENCH[0], (*MMBENCH[1][:-1], "x" * 32767)]
    file = write_table(tmp_path / "table.xlsx", table)
    assert "index 3: the prediction was cut at 32767" in refusal(capsys, "mmbench", file, "--format", "vlmevalkit")


def test_vlmevalkit_data_as_gold(tmp_path):
    data = write_table(tmp_path / "MMBench.tsv", [row[:-1] for row in MMBENCH])
    answers = [{"question_id": row[0], "prompt": "", "text": "A"} for row in MMBENCH[1:]]
    file = write_jsonl(tmp_path / "answers.jsonl", answers)
    found = scored(tmp_path, "mmbench", file, "--gold", data, "--format", "llava")
    assert [verdict["points"] for verdict in found["verdicts"]] == [1, 0, 0]


def test_vlmevalkit_lists_and_places(tmp_path):
    table = [("index", "answer", "category", "l2-category"), ("HB_VS_map_0_1_2", "Yes", "VS", "map")]
    (row,) = vlmevalkit.read_gold(write_table(tmp_path / "hb.tsv", table), BENCHMARKS["hallusionbench"])
    place = {key: row["reference"][key] for key in ("set_id", "figure_id", "question_id")}
    assert place == {"set_id": "0", "figure_id": "1", "question_id": "2"}
    assert vlmevalkit.parse_list("['a', 'b']") == ["a", "b"]
    assert vlmevalkit.parse_list("[sic") == ["[sic"]
    assert vlmevalkit.parse_list("7") == ["7"]


def test_what_vlmevalkits_tables_bring(tmp_path):
    """ScienceQA's has questions with an image only; without pictures no image is named; the kind of ChartQA is the split."""
    head = ("index", "question", "A", "B", "answer", "category", "l2-category", "split", "prediction")
    file = write_table(tmp_path / "t.tsv", [head, (5, "which?", "x", "y", "B", "biology", "plants", "test", "B")])
    (row,) = vlmevalkit.read(file, BENCHMARKS["scienceqa"])
    assert row["reference"] == {"choices": ["x", "y"], "answer": "B", "is_multimodal": True}
    assert (row["kind"], row["question"], row["prediction"]) == ("biology", "which?", "B")
    values = scored(tmp_path, "scienceqa", file, "--format", "vlmevalkit")["metrics"]
    assert {metric["name"]: metric["value"] for metric in values}["IMG accuracy"] == 100
    assert vlmevalkit.read(file, BENCHMARKS["chartqa"])[0]["kind"] == "test"
    assert vlmevalkit.read(file, BENCHMARKS["ai2d"])[0]["reference"] == {"choices": ["x", "y"], "answer": "B"}
    file = write_table(tmp_path / "h.tsv", [head, ("HB_7_8_9", "?", "", "", "Yes", "VD", "map", "", "Yes")])
    place = {"category": "VD", "subcategory": "map", "set_id": "7", "figure_id": "8", "question_id": "9"}
    assert vlmevalkit.read(file, BENCHMARKS["hallusionbench"])[0]["reference"] == {
        "choices": [],
        "answer": "Yes",
        **place,
    }


def test_a_table_that_begins_with_a_byte_order_mark(tmp_path):
    file = write_table(tmp_path / "table.tsv", MMBENCH)
    plain = vlmevalkit.read_table(file)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert vlmevalkit.read_table(file) == plain
