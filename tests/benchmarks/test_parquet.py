"""Parquet files as on the hub, written small, read, and answered with what is right."""

import json
import os
import re
import subprocess
import sys

import pytest
from question_files import (
    OPTIONS,
    TEN,
    images_of,
    png,
    png_base64,
    scored_perfectly,
    text_of,
    tsv_rows,
    write_image,
    write_parquet,
    write_tsv,
)

from minigemini.benchmarks.formats.join import identify
from minigemini.benchmarks.formats.read import read_examples
from minigemini.benchmarks.names import BENCHMARKS
from minigemini.benchmarks.rules.mme import COGNITION, PERCEPTION
from minigemini.evaluation.reporting.row_pictures import InlinedPictures


def parquet_rows(benchmark, protocol="llava"):
    """Rows as the data set on the hub has them."""
    image, q = png(5), "Which?"
    letter = {"question": q, "answer": "B", "image": image}
    if benchmark == "pope":
        random = 2910 if protocol == "llava" else 3000
        return [
            {
                "question_id": str(n),
                "question": q,
                "answer": "yes" if n % 2 else "no",
                "category": split,
                "image": png(n % 3),
            }
            for split, count in (("adversarial", 3000), ("popular", 3000), ("random", random))
            for n in range(1, count + 1)
        ]
    if benchmark == "mme":
        return [
            {"question_id": f"{task}/1.png", "question": f"{c}? Please answer yes or no.", "answer": a, "category": task,
             "image": image}
            for task in (*PERCEPTION, *COGNITION) for c, a in (("red", "Yes"), ("blue", "No"))
        ]  # fmt: skip
    mmmu = {"id": "validation_Art_Theory_1", "question": "Which <image 2>?", "options": "['<image 1>', 'y']", "answer": "B",
            "question_type": "multiple-choice", "image_1": png(1), "image_2": png(2), "image_3": None}  # fmt: skip
    vista = {"pid": "1", "question": q, "image": "images/1.jpg", "decoded_image": image, "unit": "", "precision": 1.0,
             "answer": "1.2", "question_type": "free_form", "answer_type": "float", "choices": None,
             "metadata": {"task": "geometry"}, "query": "?"}  # fmt: skip
    place = {"category": "VS", "subcategory": "map", "set_id": "1", "figure_id": "1", "question_id": "0"}
    rows = {
        "textvqa": {"question": q, "answers": TEN, "image_id": "a", "ocr_tokens": ["T", "U"], "image": image},
        "vqav2": {"question_id": 7, "question": q, "answers": [{"answer": "red"}] * 10, "answer_type": "other", "image": image},
        "vizwiz": {"question_id": "VizWiz_val_1.jpg", "question": q, "answers": TEN, "category": "other", "image": image},
        "gqa": {"id": "7", "imageId": "n1", "question": q, "answer": "red", "types": {"structural": "query"}},
        "scienceqa": {"question": q, "choices": ["x", "y"], "answer": 1, "hint": "h", "image": image},
        "mmbench": {"index": 3, "hint": "nan", **OPTIONS, "C": "nan", "D": "nan", "category": "k", **letter},
        "seed_bench": {"question_id": "1", "question": q, "answer": "B", "data_type": "image", "image": [image],
                       **{f"choice_{one}": one for one in "abcd"}},
        "mmmu": mmmu,
        "mmmu_pro": {key: mmmu[key] for key in mmmu if key != "question_type"} | {"subject": "Art"},
        "mathvista": vista,
        "ai2d": {"question": q, "options": ["x", "y"], "answer": "1", "image": image},
        "mmstar": {"index": 0, "category": "math", "l2_category": "fine", **letter},
        "blink": {"idx": "val_Counting_1", "question": q, "prompt": "Which?\n(A) x\n(B) y", "choices": ["x", "y"],
                  "answer": "(B)", "sub_task": "Counting", "image_1": png(1), "image_2": png(2), "image_3": None},
        "realworldqa": letter,
        "chartqa": {"type": "human_test", "question": q, "answer": "12", "image": image},
        "docvqa": {"questionId": "9", "question": q, "answers": ["red"], "image": image},
        "ocrbench": {"question_type": "Handwriting Recognition", "question": q, "answer": ["red"], "image": image},
        "hallusionbench": place | {"question": q, "gt_answer": "1", "gt_answer_details": "It is.", "image": image},
        "mmvet": {"question_id": "v1_0", "question": q, "answer": "red", "capability": "ocr,math", "image": image},
        "llava_bench": {"question_id": 0, "question": q, "gpt_answer": "red", "caption": "c", "category": "conv",
                        "image": image},
    }  # fmt: skip
    return [rows[{"mmbench_cn": "mmbench", "infovqa": "docvqa"}.get(benchmark, benchmark)]]


def parquet_folder(root, benchmark, protocol="llava"):
    """As the repository on the hub is laid out, with a split that is not asked for."""
    home = BENCHMARKS[benchmark].hub
    (config, *_) = home.configs or ("data",)
    split = home.split or "all"
    rows = parquet_rows(benchmark, protocol)
    half = (len(rows) + 1) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        if part:
            write_parquet(root / config / f"{split}-0000{number}-of-00002.parquet", part, rows_a_group=500)
    if home.split:
        write_parquet(root / config / "dev_of_others-00000-of-00001.parquet", rows[:1])
    if benchmark == "gqa":
        write_parquet(root / home.configs[1] / f"{split}-00000-of-00001.parquet", [{"id": "n1", "image": png(1)}])
        write_parquet(root / "testdev_all_images" / f"{split}-00000-of-00001.parquet", [{"id": "n1", "image": png(2)}])
    return root


PARQUET = [
    (name, protocol) for name, one in BENCHMARKS.items() for protocol, chosen in one.protocols.items() if chosen.form
]


@pytest.mark.parametrize(("benchmark", "protocol"), PARQUET)
def test_parquet(tmp_path, benchmark, protocol):
    examples = read_examples(benchmark, protocol, parquet_folder(tmp_path, benchmark, protocol))
    assert len(examples) == len(parquet_rows(benchmark, protocol))
    assert images_of(examples[0])[0].open().size == (4, 3)
    (asked, *_) = parquet_rows(benchmark, protocol)
    assert asked["question"] in examples[0].reference["question"]  # MathVista's has its hint
    scored = scored_perfectly(benchmark, protocol, examples)
    if benchmark in ("mmvet", "llava_bench") or benchmark == "hallusionbench":
        assert scored.status == "needs judge"
    else:
        assert scored.metrics[0].value == {"mme": 2000, "ocrbench": 1}.get(benchmark, 100)


def test_what_the_columns_become(tmp_path):
    (example,) = read_examples("textvqa", "llava", parquet_folder(tmp_path / "t", "textvqa"))
    assert "\nReference OCR token: T, U\n" in text_of(example)
    (example,) = read_examples("mmmu", "mgm", parquet_folder(tmp_path / "m", "mmmu"))
    assert (example.id, example.kind, len(images_of(example))) == ("validation_Art_Theory_1", "Art_Theory", 1)
    assert example.reference["question_type"] == "multiple-choice"
    assert example.sampling.num_beams == 5
    (example,) = read_examples("mmmu_pro", None, parquet_folder(tmp_path / "p", "mmmu_pro"))
    assert [image.open().getpixel((0, 0))[0] for image in images_of(example)] == [2, 1]  # as they are cited
    (example,) = read_examples("blink", None, parquet_folder(tmp_path / "b", "blink"))
    assert len(images_of(example)) == 2
    assert example.reference["answer"] == "B"
    (example,) = read_examples("mmbench", None, parquet_folder(tmp_path / "mmb", "mmbench"))
    assert text_of(example).startswith("Which?\nA. x\nB. y\n")  # no hint
    assert example.reference["choices"] == ["x", "y"]
    (example,) = read_examples("gqa", "llava", parquet_folder(tmp_path / "g", "gqa"))
    assert images_of(example)[0].open().getpixel((0, 0))[0] == 1
    assert (example.id, example.kind) == ("7", "open")
    example = read_examples("mme", "llava", parquet_folder(tmp_path / "mme", "mme"))[0]
    assert example.id == "existence/1.png red"
    assert example.reference["image"] == "existence/1.png"  # one name in two tasks is two images
    (example,) = read_examples("hallusionbench", None, parquet_folder(tmp_path / "h", "hallusionbench"))
    assert example.id == "VS_map_1_1_0"
    assert example.reference["answer_details"] == "It is."


def test_open_questions_of_mmmu(tmp_path):
    row = parquet_rows("mmmu")[0] | {
        "question_type": "open",
        "options": "[]",
        "answer": "['4', 'four']",
        "question": "?",
    }
    (example,) = read_examples("mmmu", None, write_parquet(tmp_path / "a.parquet", [row]))
    assert example.reference["answer"] == ["4", "four"]
    assert example.reference["choices"] == []
    assert scored_perfectly("mmmu", None, [example]).metrics[0].value == 100


@pytest.mark.parametrize(
    ("protocol", "reply", "value"),
    # one of them; none in lmms-eval, which looks for the text of the list; in VLMEvalKit one choice of two, with this text
    [("llava", "four", 100), ("lmms", "four", 0), ("lmms", "['4', 'four']", 100), ("vlmevalkit", "['4', 'four']", 100)],
)
def test_open_questions_of_mmmu_in_a_table(tmp_path, protocol, reply, value):
    rows = [tsv_rows("mmmu")[2] | {"answer": "['4', 'four']", "image": png_base64(1)}]
    (example,) = read_examples("mmmu", None, write_tsv(tmp_path / "a.tsv", rows))
    assert example.reference["answer"] == ["4", "four"]
    assert scored_perfectly("mmmu", protocol, [example], lambda _: reply).metrics[0].value == value


def test_a_question_of_textvqa_that_is_asked_twice(tmp_path):
    """Its predictions are read back as they were written. A question that says ", again" is one like any other."""
    row = parquet_rows("textvqa")[0]
    rows = [row, row, row | {"question": "Which, again?"}]
    examples = read_examples("textvqa", None, write_parquet(tmp_path / "a.parquet", rows))
    ids = [example.id for example in examples]
    assert ids == ["a which", "a which, again 1", "a which, again"]
    assert [row["id"] for row in identify(BENCHMARKS["textvqa"], [{"id": id} for id in ids])] == ids
    rows = [row | {"question": f"{row['question']} Is it there, again?"} for row in parquet_rows("mme")]
    rows = [{**row, "question": f"{i}{row['question']}"} for i, row in enumerate(rows)]
    assert len(read_examples("mme", None, write_parquet(tmp_path / "m.parquet", rows))) == len(rows)


def test_videos_of_seed_bench_are_not_asked(tmp_path):
    row = parquet_rows("seed_bench")[0]
    rows = [row | {"question_id": "2", "data_type": "video", "image": [png(1), png(2)]}, row]
    (example,) = read_examples("seed_bench", None, write_parquet(tmp_path / "a.parquet", rows))
    assert (example.id, example.kind) == ("1", "image")


def test_science_questions_without_a_picture(tmp_path):
    rows = [parquet_rows("scienceqa")[0] | {"image": image} for image in (png(1), None, png(1))]
    examples = read_examples("scienceqa", None, write_parquet(tmp_path / "a.parquet", rows))
    assert [example.reference["is_multimodal"] for example in examples] == [True, False, True]
    assert examples[0].reference["image"] == examples[2].reference["image"]
    assert "image" not in examples[1].reference
    assert images_of(examples[1]) == []


def test_pictures_of_one_cell_are_told_apart(tmp_path):
    """By their names, by which a report's pictures are known."""
    row = parquet_rows("seed_bench")[0] | {"image": [png(1), png(2)]}
    (example,) = read_examples("seed_bench", None, write_parquet(tmp_path / "a.parquet", [row]))
    shown = images_of(example)
    assert [image.name.removeprefix(str(tmp_path)) for image in shown] == [
        "/a.parquet, row 1, image 1",
        "/a.parquet, row 1, image 2",
    ]
    inlined = InlinedPictures()
    assert [inlined.add_stored(image)["picture"] for image in shown] == [0, 1]


def test_pictures_are_read_from_the_file_when_they_are_needed(tmp_path):
    """Rows in several groups, asked for in any order, after the reader is done."""
    rows = [{"question": "?", "answer": "red", "image": png(n)} for n in range(30)]
    examples = read_examples("realworldqa", None, write_parquet(tmp_path / "a.parquet", rows, rows_a_group=2))
    for number in (29, 0, 15, 28, 3):
        assert images_of(examples[number])[0].open().getpixel((0, 0))[0] == number
    assert len({example.reference["image"] for example in examples}) == 30
    assert "a.parquet, row 30, image" in images_of(examples[29])[0].name


@pytest.mark.parametrize(
    ("benchmark", "change", "error"),
    [
        ("ai2d", {"question": None}, r"a.parquet, row 2: column 'question' is empty"),
        ("ai2d", {"image": None}, r"a.parquet, row 2: column 'image' is empty, a picture is missing"),
        ("ai2d", {"image": b""}, r"a.parquet, row 2: column 'image' has the path None and no picture"),
        ("ai2d", {"options": None}, r"row 2: column 'options' is empty"),
        ("blink", {}, r"row 2: the row 'val_Counting_1' is there twice"),
        ("vqav2", {"answers": None, "question_id": 8}, r"a.parquet, row 2: no gold answer, and other rows have one"),
        ("mme", {"question_id": "1.png"}, r"a.parquet, row 2: the question id '1.png' is no task/image"),
    ],
)
def test_parquet_that_is_broken(tmp_path, benchmark, change, error):
    row = parquet_rows(benchmark)[0]
    path = write_parquet(tmp_path / "a.parquet", [row, row | change])
    with pytest.raises(ValueError, match=error):
        read_examples(benchmark, None, path)


def test_mmbench_is_judged_alike_from_either_form_of_its_data(tmp_path):
    """What the judge is asked is the bare question, not the prompt with its options."""
    write_tsv(tmp_path / "a.tsv", [tsv_rows("mmbench")[0] | {"image": png_base64(1)}])
    write_parquet(tmp_path / "a.parquet", parquet_rows("mmbench"))
    write_image(tmp_path / "a.png")
    own = {"id": "1", "question": "Which?", "choices": ["x", "y"], "images": ["a.png"], "reference": {"answer": "B"}}
    (tmp_path / "a.jsonl").write_text(json.dumps(own) + "\n")
    fields = []
    for name in ("a.tsv", "a.parquet", "a.jsonl"):
        (example,) = read_examples("mmbench", None, tmp_path / name)
        line = {"id": example.id, "prediction": "", "prompt": text_of(example), "reference": example.reference}
        fields.append(BENCHMARKS["mmbench"].judge.fields(line))
    assert fields == [{"question": "Which?", "choices": "A. x\nB. y", "prediction": ""}] * 3


def test_a_folder_of_images_beside_parquet(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", parquet_rows("ai2d"))
    with pytest.raises(
        ValueError, match=r"a.parquet: parquet files hold their pictures; a folder of images .* not used"
    ):
        read_examples("ai2d", "lmms", path, tmp_path)


def test_parquet_files_of_something_else(tmp_path):
    path = write_parquet(tmp_path / "test-0.parquet", [{"prompt": "?", "image": png(1)}])
    with pytest.raises(ValueError, match=r"row 1: column 'answer' is not there; there are prompt"):
        read_examples("ai2d", "lmms", path)
    with pytest.raises(ValueError, match=r"no parquet files of the split 'val'; there are test-0.parquet"):
        read_examples("blink", None, tmp_path)
    (tmp_path / "broken.parquet").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"broken.parquet: not a parquet file"):
        read_examples("ai2d", "lmms", tmp_path / "broken.parquet")
    for config in ("one", "two"):
        write_parquet(tmp_path / "pro" / config / "test-0.parquet", parquet_rows("mmmu_pro"))
    with pytest.raises(ValueError, match=r"several configurations, none of them standard \(10 options\)"):
        read_examples("mmmu_pro", None, tmp_path / "pro")
    (example,) = read_examples("mmmu_pro", None, tmp_path / "pro" / "one")
    assert example.kind == "Art"


def test_options_that_are_no_list(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", [parquet_rows("mmmu")[0] | {"options": "['a', "}])
    with pytest.raises(ValueError, match=r"a.parquet, row 1: column 'options' is no list but \"\['a', \""):
        read_examples("mmmu", None, path)


def test_vision_setting_of_mmmu_pro(tmp_path):
    row = {"id": "test_Art_1", "options": "['x', 'y']", "answer": "B", "subject": "Art", "image": png(1)}
    (example,) = read_examples("mmmu_pro", None, write_parquet(tmp_path / "a.parquet", [row]))
    assert "Answer: $LETTER" in text_of(example)
    assert "question" not in example.reference  # it is in the picture
    assert len(images_of(example)) == 1


def test_without_pyarrow_it_says_what_to_install(tmp_path):
    """In a process of its own, where pyarrow cannot be imported."""
    path = write_parquet(tmp_path / "a.parquet", parquet_rows("ai2d"))
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from minigemini.benchmarks.formats.read import read_examples\n"
        f"read_examples('ai2d', 'lmms', {str(path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "parquet files need pyarrow: pip install 'minigemini[eval]'" in done.stderr
    code = code.replace("read_examples('ai2d'", "assert 'torch' not in sys.modules  # read_examples('ai2d'")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_hub_from_the_local_cache_and_without_a_hub(tmp_path):
    """In a process of its own: huggingface_hub looks at its environment when it is imported."""
    cached = tmp_path / "datasets--lmms-lab-encoder--ai2d"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("a" * 40)
    parquet_folder(cached / "snapshots" / ("a" * 40), "ai2d")
    code = (
        "from minigemini.benchmarks.formats import hub\n"
        "from minigemini.benchmarks.formats.read import BENCHMARKS, read_examples\n"
        "print(len(read_examples('ai2d', 'lmms', {0!r})), hub.pin(BENCHMARKS['ai2d'], {0!r}))"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}

    def run(data):
        return subprocess.run(
            [sys.executable, "-c", code.format(data)], env=environment, capture_output=True, text=True
        )

    for known in ("hub:", "hub:lmms-lab-encoder/ai2d", f"hub:lmms-lab-encoder/ai2d@{'a' * 40}"):
        assert run(known).stdout == f"1 hub:lmms-lab-encoder/ai2d@{'a' * 40}\n", run(known).stderr
    for unknown in ("hub:lmms-lab/ai2d", "hub:@v9", "hub:no/such/name"):
        error = run(unknown).stderr
        assert re.search(r"ValueError: hub:\S+: cannot be had from the hub", error), error
        assert "Known for ai2d: lmms-lab-encoder/ai2d, lmms-lab/ai2d." in error
