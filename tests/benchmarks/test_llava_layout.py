"""LLaVA's evaluation folders, written small, read, and answered with what is right."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from question_files import images_of, png_base64, scored_perfectly, write_image
from question_files import text_of as asked_of

from minigemini.benchmarks.formats.read import read_examples, text_of
from minigemini.benchmarks.names import BENCHMARKS
from minigemini.benchmarks.names.pope import OFFSETS
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules.mme import COGNITION, PERCEPTION

SHORT = "\nAnswer the question using a single word or phrase."
LETTER = "\nAnswer with the option's letter from the given choices directly."


def write(path: Path, stored) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl" or path.name.startswith("coco_pope"):
        text = "".join(json.dumps(row) + "\n" for row in stored)
    else:
        text = json.dumps(stored)
    path.write_text(text, encoding="utf-8")
    return path


def perfect(benchmark, examples, protocol=None):
    return scored_perfectly(benchmark, protocol, examples).metrics[0].value


@pytest.fixture
def textvqa(tmp_path):
    """Two questions about one picture, and one that is there twice."""
    folder = tmp_path / "textvqa"
    asked = [("a", "what is it?"), ("a", "What colour?"), ("b", "who?"), ("b", "who?")]
    write(
        folder / "llava_textvqa_val_v051_ocr.jsonl",
        [
            {"question_id": id, "image": f"{id}.jpg", "text": f"{text}\nReference OCR token: X, Y{SHORT}"}
            for id, text in asked
        ],
    )
    rows = [{"image_id": id, "question": text.lower(), "answers": ["red"] * 10} for id, text in asked]
    write(folder / "TextVQA_0.5.1_val.json", {"data": rows})
    for shade, name in enumerate("ab"):
        write_image(folder / "train_images" / f"{name}.jpg", shade)
    return folder


@pytest.mark.parametrize("above", [False, True])
def test_textvqa(textvqa, above):
    examples = read_examples("textvqa", None, textvqa.parent if above else textvqa)
    assert [example.id for example in examples] == ["a what is it", "a what colour", "b who", "b who, again 1"]
    assert asked_of(examples[0]) == f"what is it?\nReference OCR token: X, Y{SHORT}"
    assert examples[0].reference == {"answers": ["red"] * 10, "image": "a"}
    assert (examples[0].max_new_tokens, examples[0].sampling, examples[0].constrained) == (128, None, False)
    (image,) = images_of(examples[2])
    assert image.open().getpixel((0, 0)) == (1, 0, 0)
    assert image.name.endswith("train_images/b.jpg")
    assert perfect("textvqa", examples) == 100


def test_anothers_prompts_are_refused(tmp_path):
    """LLaVA's are no other protocol's, unless that differs in decoding only."""
    benchmark = replace(
        BENCHMARKS["mmmu"], protocols=BENCHMARKS["mmmu"].protocols | {"lmms": BENCHMARKS["ai2d"].protocols["lmms"]}
    )
    question = Question("1", "", "", (), {}, "file, row 1", prompt="Ready.", prompt_of="llava")
    assert text_of(question, benchmark.protocols["mgm"].form, benchmark) == "Ready."
    with pytest.raises(ValueError, match="file, row 1: this file holds the prompts of llava; for another protocol"):
        text_of(question, benchmark.protocols["lmms"].form, benchmark)


def test_images_may_lie_elsewhere(textvqa, tmp_path):
    (textvqa / "train_images").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match=r"2 of 2 images are missing in .*train_images, such as a.jpg .*row 1"):
        read_examples("textvqa", None, textvqa)
    examples = read_examples("textvqa", None, textvqa, tmp_path / "elsewhere")
    assert images_of(examples[0])[0].open().size == (4, 3)


def test_a_folder_of_other_benchmarks(textvqa, tmp_path):
    """Parquet files of another benchmark in it are not taken for this one's."""
    (tmp_path / "MMMU" / "Art").mkdir(parents=True)
    (tmp_path / "MMMU" / "Art" / "validation-00000-of-00001.parquet").write_bytes(b"")
    assert len(read_examples("textvqa", None, tmp_path)) == 4
    with pytest.raises(FileNotFoundError, match="holds MMMU, textvqa, but no folder gqa$"):
        read_examples("gqa", None, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"but no folder chartqa \(it is not in LLaVA's evaluation data"):
        read_examples("chartqa", None, tmp_path)


def test_images_may_be_linked(textvqa, tmp_path):
    (textvqa / "train_images" / "b.jpg").unlink()
    (textvqa / "train_images" / "b.jpg").symlink_to(write_image(tmp_path / "coco" / "b.jpg", 8))
    assert images_of(read_examples("textvqa", None, textvqa)[2])[0].open().getpixel((0, 0)) == (8, 0, 0)


def test_one_missing_image_is_named_before_anything_is_answered(textvqa):
    (textvqa / "train_images" / "b.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 2 images are missing .* such as b.jpg .*row 3\)"):
        read_examples("textvqa", None, textvqa)


@pytest.mark.parametrize("name", ["../../secret.jpg", "/etc/passwd", "..\\secret.jpg", "C:\\secret.jpg", ""])
def test_an_image_that_leads_out_of_the_folder(textvqa, name):
    file = textvqa / "llava_textvqa_val_v051_ocr.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[1]["image"] = name
    write(file, rows)
    with pytest.raises(ValueError, match=r"row 2: the image .* leads out of"):
        read_examples("textvqa", None, textvqa)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda rows: rows[0].pop("text"), r"row 1: column 'text' is not there; there are question_id, image"),
        (lambda rows: rows[0].update(text=5), r"row 1: column 'text' holds 5, not a text"),
        (lambda rows: rows.pop(), r"1 rows are missing, such as 'b who, again 1'"),
        (lambda rows: rows.append(rows[0]), r"1 rows are there twice, such as 'a what is it, again 1'"),
        (lambda rows: rows[0].update(question_id="z"), r"1 rows are without a gold answer, such as 'z what is it'"),
    ],
)
def test_question_files_that_do_not_fit(textvqa, change, error):
    file = textvqa / "llava_textvqa_val_v051_ocr.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    change(rows)
    write(file, rows)
    with pytest.raises(ValueError, match=error):
        read_examples("textvqa", None, textvqa)


def test_a_file_that_is_not_there(textvqa):
    (textvqa / "TextVQA_0.5.1_val.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"TextVQA_0.5.1_val.json: not there"):
        read_examples("textvqa", None, textvqa)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        read_examples("textvqa", None, textvqa / "nowhere")


def test_a_human_answer_is_missing(textvqa):
    rows = json.loads((textvqa / "TextVQA_0.5.1_val.json").read_text())
    rows["data"][1]["answers"].pop()
    write(textvqa / "TextVQA_0.5.1_val.json", rows)
    with pytest.raises(ValueError, match="'a what colour': 9 human answers"):
        read_examples("textvqa", None, textvqa)


@pytest.fixture
def mme(tmp_path):
    """An image a task; "artwork" keeps images and texts apart. Two tasks have an image of the same name."""
    folder = tmp_path / "MME"
    rows = []
    for task in (*PERCEPTION, *COGNITION):
        place = folder / "MME_Benchmark_release_version" / task
        apart = task == "artwork"
        write_image(place / "images" / "0001.jpg" if apart else place / "0001.jpg")
        texts = place / "questions_answers_YN" if apart else place
        texts.mkdir(exist_ok=True)
        space = "  " if task == "OCR" else " "
        lines = [f"Is it {colour}?{space}Please answer yes or no.\t{answer}\n" for colour, answer in
                 (("red", "Yes"), ("blue", "No"))]  # fmt: skip
        (texts / "0001.txt").write_text("".join(lines))
        for colour in ("red", "blue"):
            image = f"{task}/images/0001.jpg" if apart else f"{task}/0001.jpg"
            id = image if apart else f"{task}/0001.jpg"
            text = f"Is it {colour}?{SHORT}"
            rows.append({"question_id": id, "image": image, "text": text, "category": task})
    write(folder / "llava_mme.jsonl", rows)
    return folder


def test_mme(mme):
    examples = read_examples("mme", None, mme)
    assert len(examples) == len({example.id for example in examples}) == 28
    (artwork,) = [example for example in examples if example.id == "artwork/0001.jpg is it red"]
    assert asked_of(artwork) == f"Is it red?{SHORT}"
    assert artwork.kind == "artwork"
    assert artwork.reference["answer"] == "Yes"
    assert images_of(artwork)[0].open().size == (4, 3)
    assert [metric.value for metric in scored_perfectly("mme", None, examples).metrics[:2]] == [2000, 800]


def test_an_id_of_mme_without_its_task(mme):
    rows = [json.loads(line) for line in (mme / "llava_mme.jsonl").read_text().splitlines()]
    write(mme / "llava_mme.jsonl", [*rows[:3], rows[3] | {"question_id": "0001.jpg"}, *rows[4:]])
    with pytest.raises(ValueError, match=r"llava_mme.jsonl, row 4: the question id '0001.jpg' is no task/image"):
        read_examples("mme", None, mme)


def test_mme_pairs_that_are_odd(mme):
    file = mme / "MME_Benchmark_release_version" / "color" / "0001.txt"
    file.write_text(file.read_text().split("\n")[0] + "\n")
    with pytest.raises(ValueError, match=r"color/0001.txt: not the two lines"):
        read_examples("mme", None, mme)


@pytest.fixture
def pope(tmp_path):
    """All 8910 questions, about four pictures."""
    folder = tmp_path / "pope"
    rows = []
    for split, offset in OFFSETS.items():
        labels = []
        for number in range(1, 2911 if split == "random" else 3001):
            image, answer = f"COCO_{number % 4}.jpg", "yes" if number % 2 else "no"
            labels.append({"question_id": number, "image": image, "text": "Is there a dog?", "label": answer})
            text = f"Is there a dog?{SHORT}"
            rows.append({"question_id": offset + number, "image": image, "text": text, "category": split})
        write(folder / "coco" / f"coco_pope_{split}.json", labels)
    write(folder / "llava_pope_test.jsonl", rows)
    for number in range(4):
        write_image(folder / "val2014" / f"COCO_{number}.jpg", number)
    return folder


def test_pope(pope):
    examples = read_examples("pope", None, pope)
    assert len(examples) == 8910
    assert perfect("pope", examples) == 100


def test_pope_of_another_version_is_refused_before_it_is_answered(pope):
    for file, last in ((pope / "coco" / "coco_pope_random.json", 2910), (pope / "llava_pope_test.jsonl", 10_002_910)):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        write(file, [row for row in rows if row["question_id"] != last])
    with pytest.raises(ValueError, match="POPE: these rows are"):
        read_examples("pope", None, pope)


def test_gqa(tmp_path):
    folder = tmp_path / "gqa"
    write(
        folder / "llava_gqa_testdev_balanced.jsonl", [{"question_id": "7", "image": "n1.jpg", "text": f"Is it?{SHORT}"}]
    )
    row = {"answer": "yes", "imageId": "n1", "isBalanced": True, "types": {"structural": "verify"}}
    write(folder / "data" / "testdev_balanced_questions.json", {"7": row})
    write_image(folder / "data" / "images" / "n1.jpg")
    (example,) = examples = read_examples("gqa", None, folder)
    assert (example.id, example.kind) == ("7", "binary")
    assert perfect("gqa", examples) == 100


@pytest.fixture
def scienceqa(tmp_path):
    folder = tmp_path / "scienceqa"
    said = {"4": "q\nA. a\nB. b", "5": "<image>\nContext: h\nq\nA. a\nB. b"}
    write(
        folder / "llava_test_CQM-A.json",
        [
            {
                "id": id,
                "conversations": [{"from": "human", "value": text}],
                **({"image": "5/image.png"} if id == "5" else {}),
            }
            for id, text in said.items()
        ],
    )
    problem = {"answer": 1, "choices": ["a", "b"]}
    write(folder / "problems.json", {"4": problem | {"image": None}, "5": problem | {"image": "image.png"}})
    write(folder / "pid_splits.json", {"test": ["4", "5"]})
    write_image(folder / "images" / "test" / "5" / "image.png")
    return folder


def test_scienceqa(scienceqa):
    text, image = examples = read_examples("scienceqa", None, scienceqa)
    assert asked_of(text) == f"q\nA. a\nB. b{LETTER}"
    assert images_of(text) == []
    assert asked_of(image) == f"Context: h\nq\nA. a\nB. b{LETTER}"
    assert image.reference == {"answer": "B", "choices": ["a", "b"], "is_multimodal": True, "image": "5/image.png"}
    assert image.max_new_tokens == 1024
    assert perfect("scienceqa", examples) == 100


def test_scienceqa_files_that_do_not_agree(scienceqa):
    rows = json.loads((scienceqa / "llava_test_CQM-A.json").read_text())
    del rows[1]["image"]
    write(scienceqa / "llava_test_CQM-A.json", rows)
    with pytest.raises(ValueError, match=r"row 2: image None, but the gold answers say otherwise"):
        read_examples("scienceqa", None, scienceqa)


def test_seed_bench_is_asked_about_images_only(tmp_path):
    folder = tmp_path / "seed_bench"
    rows, questions = [], []
    # one question of the images is in the list twice; a video
    for id, kind, folder_name in (
        ("1", "image", "SEED-Bench-image"), ("1", "image", "SEED-Bench-image"), ("2", "video", "SEED-Bench-video-image"),
    ):  # fmt: skip
        rows.append(
            {"question_id": id, "image": f"{folder_name}/{id}.png", "text": f"q\nA. a\nB. b\nC. c\nD. d{LETTER}"}
        )
        options = {f"choice_{letter}": letter for letter in "abcd"}
        questions.append({"question_id": id, "answer": "C", "data_type": kind, "data_id": id, **options})
    write(folder / "llava-seed-bench.jsonl", rows)
    write(folder / "SEED-Bench.json", {"questions": questions})
    write_image(folder / "SEED-Bench-image" / "1.png")
    examples = read_examples("seed_bench", None, folder)
    assert [example.id for example in examples] == ["1", "1, again 1"]
    assert perfect("seed_bench", examples) == 100


@pytest.mark.parametrize("name", ["mm-vet", "mmvet"])
def test_mmvet(tmp_path, name):
    folder = tmp_path / name
    write(folder / "llava-mm-vet.jsonl", [{"question_id": 0, "image": "v1_0.png", "text": "What is x?"}])
    row = {"question": "What is x?", "answer": "-1", "capability": ["ocr", "math"], "imagename": "v1_0.png"}
    write(folder / "mm-vet.json", {"v1_0": row})
    write_image(folder / "images" / "v1_0.png")
    (example,) = read_examples("mmvet", None, tmp_path)
    assert example.id == "v1_0"
    assert asked_of(example) == "What is x?"
    assert example.reference["question"] == "What is x?"
    assert scored_perfectly("mmvet", None, [example]).status == "needs judge"


def test_llava_bench(tmp_path):
    folder = tmp_path / "llava-bench-in-the-wild"
    row = {"question_id": 3, "image": "001.jpg", "text": "Describe.", "category": "detail"}
    write(folder / "questions.jsonl", [row])
    write(folder / "context.jsonl", [{"image": "001.jpg", "caption": "a red square"}])
    write(folder / "answers_gpt4.jsonl", [{"question_id": 3, "text": "A square."}])
    write_image(folder / "images" / "001.jpg")
    (example,) = read_examples("llava_bench", None, tmp_path)
    assert (example.id, example.kind, asked_of(example)) == ("3", "detail", "Describe.")
    assert example.reference["context"] == "a red square"
    assert scored_perfectly("llava_bench", None, [example]).status == "needs judge"


@pytest.mark.parametrize(
    ("benchmark", "file", "request_"),
    [
        ("mmbench", "mmbench/mmbench_dev_20230712.tsv", LETTER),
        ("mmbench_cn", "mmbench_cn/mmbench_dev_cn_20231003.tsv", "\n请直接回答选项字母。"),
    ],
)
def test_mmbench(tmp_path, benchmark, file, request_):
    rows = [
        ["index", "question", "hint", "A", "B", "C", "answer", "category", "image"],
        ["3", "q?", "h", "a", "b", "", "A", "identity", png_base64(9)],
        ["1000003", "q?", "h", "b", "a", "", "B", "identity", "3"],
    ]
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text("".join("\t".join(row) + "\n" for row in rows))
    first, second = examples = read_examples(benchmark, "llava", tmp_path)
    assert asked_of(first) == f"h\nq?\nA. a\nB. b{request_}"
    assert images_of(first)[0].digest() == images_of(second)[0].digest()
    assert first.reference["image"] == second.reference["image"]
    assert images_of(second)[0].open().getpixel((0, 0)) == (9, 0, 0)
    assert perfect(benchmark, examples, "llava") == 100


@pytest.mark.parametrize("protocol", ["llava", "rules"])
def test_mathvista(tmp_path, protocol):
    problem = {
        "question": "How long?", "image": "images/1.jpg", "choices": None, "unit": "cm", "precision": 1, "answer": "1.2",
        "question_type": "free_form", "answer_type": "float", "metadata": {"task": "geometry"},
    }  # fmt: skip
    write(tmp_path / "MathVista" / "testmini.json", {"1": problem})
    write_image(tmp_path / "MathVista" / "images" / "1.jpg")
    (example,) = examples = read_examples("mathvista", protocol, tmp_path)
    assert asked_of(example).endswith("at the end.\nQuestion: How long? (Unit: cm)")
    assert example.reference["question"] == asked_of(example)
    assert (example.id, example.kind, example.reference["image"]) == ("1", "geometry", "images/1.jpg")
    assert perfect("mathvista", examples, protocol) == 100


def test_vqav2_val(tmp_path):
    folder = tmp_path / "vqav2"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match="v2_mscoco_val2014_annotations.json: not there"):
        read_examples("vqav2", None, folder)
    asked = {"question_id": 420, "image_id": 42, "question": "What is it?"}
    write(folder / "v2_OpenEnded_mscoco_val2014_questions.json", {"questions": [asked]})
    answers = [{"answer": "net"}] * 10
    annotation = {"question_id": 420, "image_id": 42, "answer_type": "other", "answers": answers}
    write(folder / "v2_mscoco_val2014_annotations.json", {"annotations": [annotation]})
    write_image(folder / "val2014" / "COCO_val2014_000000000042.jpg")
    (example,) = examples = read_examples("vqav2", None, folder)
    assert (asked_of(example), example.max_new_tokens) == (f"What is it?{SHORT}", 128)
    assert perfect("vqav2", examples) == 100


def test_vizwiz_val(tmp_path):
    row = {
        "image": "VizWiz_val_1.jpg",
        "question": "What is it?",
        "answer_type": "other",
        "answers": [{"answer": "can"}] * 10,
    }
    write(tmp_path / "vizwiz" / "Annotations" / "val.json", [row])
    write_image(tmp_path / "vizwiz" / "val" / "VizWiz_val_1.jpg")
    (example,) = examples = read_examples("vizwiz", None, tmp_path)
    assert example.id == "VizWiz_val_1"
    assert perfect("vizwiz", examples) == 100


def test_a_benchmark_that_llava_does_not_have(tmp_path):
    with pytest.raises(ValueError, match="no parquet files in it, and chartqa is not in LLaVA's evaluation data"):
        read_examples("chartqa", None, tmp_path)
