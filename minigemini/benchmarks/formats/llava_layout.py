"""LLaVA's evaluation folders (playground/data/eval, unpacked eval.zip; MGM-Eval is laid out alike): question files, gold answers
and images as docs/Evaluation.md of LLaVA says where to put them.

The prompts of the question files are used as they are. Of VQAv2 and VizWiz those files are the test splits', whose answers EvalAI
keeps; here the authors' files of val are read instead (v2_OpenEnded_mscoco_val2014_questions.json and ..._annotations.json with
val2014/; val.json with val/), and the prompts are built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigemini.benchmarks.formats import gold as gold_files
from minigemini.benchmarks.formats import llava as llava_files
from minigemini.benchmarks.formats import mathvista, mme_tool, tsv
from minigemini.benchmarks.formats.image_folder import ImageFolder
from minigemini.benchmarks.formats.join import join
from minigemini.benchmarks.formats.lines import Row, read_json, read_jsonl
from minigemini.benchmarks.prompts.form import LETTER
from minigemini.benchmarks.question import Question, cell, text_cell
from minigemini.benchmarks.rules.mme import COGNITION, PERCEPTION

FOLDERS = {  # under playground/data/eval
    "textvqa": ("textvqa",),
    "vqav2": ("vqav2",),
    "gqa": ("gqa",),
    "vizwiz": ("vizwiz",),
    "pope": ("pope",),
    "mme": ("MME",),
    "scienceqa": ("scienceqa",),
    "seed_bench": ("seed_bench",),
    "mmbench": ("mmbench",),
    "mmbench_cn": ("mmbench_cn", "mmbench"),
    "mmvet": ("mm-vet", "mmvet"),
    "llava_bench": ("llava-bench-in-the-wild",),
    "mmmu": ("MMMU",),
    "mathvista": ("MathVista",),
}
TABLES = {"mmbench": "mmbench_dev_20230712.tsv", "mmbench_cn": "mmbench_dev_cn_20231003.tsv"}


@dataclass(frozen=True)
class QuestionFile:
    """Paths within the benchmark's folder; of several for the gold answers the first that is there counts."""

    questions: str
    images: str
    gold: tuple[str, ...]


FILES = {
    "textvqa": QuestionFile("llava_textvqa_val_v051_ocr.jsonl", "train_images", ("TextVQA_0.5.1_val.json",)),
    "gqa": QuestionFile(
        "llava_gqa_testdev_balanced.jsonl",
        "data/images",
        tuple(f"data/{folder}testdev_balanced_questions.json" for folder in ("", "questions1.2/", "questions/")),
    ),
    "pope": QuestionFile("llava_pope_test.jsonl", "val2014", ("coco",)),
    "mme": QuestionFile("llava_mme.jsonl", "MME_Benchmark_release_version", ("MME_Benchmark_release_version",)),
    "seed_bench": QuestionFile("llava-seed-bench.jsonl", ".", ("SEED-Bench.json",)),
    "mmvet": QuestionFile("llava-mm-vet.jsonl", "images", ("mm-vet.json",)),
    "scienceqa": QuestionFile("llava_test_CQM-A.json", "images/test", (".",)),
    "llava_bench": QuestionFile("questions.jsonl", "images", (".",)),
}


def folder_of(folder: Path, benchmark: str) -> Path:
    """The benchmark's folder in ``folder`` (playground/data/eval); else ``folder`` itself.

    Raises:
        FileNotFoundError: ``folder`` holds those of other benchmarks.
    """
    own = FOLDERS.get(benchmark, ())
    found = sorted({name for names in FOLDERS.values() for name in names if (folder / name).is_dir()})
    if found and not set(own) & set(found):
        wanted = (
            " or ".join(own)
            if own
            else f"{benchmark} (it is not in LLaVA's evaluation data; give its own folder or file)"
        )
        raise FileNotFoundError(f"{folder}: holds {', '.join(found)}, but no folder {wanted}")
    return next((folder / name for name in own if name in found), folder)


def read(folder: Path, benchmark: str, images: Path | None) -> list[Question]:
    """
    Args:
        folder: the benchmark's.
        images: instead of the layout's own.

    Raises:
        ValueError: question file and gold answers do not fit, or LLaVA has no such benchmark.
        FileNotFoundError: a file or images are missing.
    """
    if benchmark in TABLES:
        return tsv.read(present(folder / TABLES[benchmark]), benchmark, images)
    if benchmark == "mathvista":
        return mathvista.read_json_file(present(folder / "testmini.json"), images)
    if benchmark in VAL:
        return VAL[benchmark](folder, images)
    if benchmark not in FILES:
        raise ValueError(
            f"{folder}: no parquet files in it, and {benchmark} is not in LLaVA's evaluation data; give parquet files, "
            "VLMEvalKit's tsv, our own lines (.jsonl) or hub:"
        )
    files = FILES[benchmark]
    path = present(folder / files.questions)
    shown = ImageFolder(images or folder / files.images)
    gold = gold_of(benchmark, folder, files)
    rows = [row for row in READERS.get(benchmark, read_rows)(path) if is_of_benchmark(row, benchmark)]
    joined = join(benchmark, rows, gold)
    questions = [question_of(row, path, benchmark, shown) for row in joined]
    shown.require_all()
    return questions


def present(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there; LLaVA's docs/Evaluation.md says where to get it")
    return path


def read_rows(path: Path) -> Iterator[Row]:
    """LLaVA's JSONL: question_id, image, text and perhaps category."""
    for number, row in enumerate(read_jsonl(path), start=1):
        place = f"{path}, row {number}"
        text = text_cell(row, "text", place)
        yield row_of(cell(row, "question_id", place), text, text_cell(row, "image", place), place)


def row_of(id: Any, text: str, image: str | None, place: str) -> Row:
    question = llava_files.question_of(text)
    return {
        "id": str(id), "kind": "", "question": question, "reference": {}, "text": text, "image": image, "place": place
    }  # fmt: skip


def mme_rows(path: Path) -> Iterator[Row]:
    """The id is task/name; five tasks keep their images in a folder of their own, which is in the file's name for them."""
    for row in read_rows(path):
        yield {**row, "id": mme_tool.task_and_image(row["id"], row["place"])}


def mmvet_rows(path: Path) -> Iterator[Row]:
    """Ids are 0, 1, ... here and v1_0, v1_1, ... in mm-vet.json."""
    for row in read_rows(path):
        yield {**row, "id": row["id"] if row["id"].startswith("v1_") else f"v1_{row['id']}"}


def scienceqa_rows(path: Path) -> Iterator[Row]:
    """A list of conversations. Its runner takes out "<image>" and adds the request for a letter (--single-pred-prompt)."""
    for number, row in enumerate(read_json(path), start=1):
        place = f"{path}, row {number}"
        said = text_cell(cell(row, "conversations", place)[0], "value", place)
        yield row_of(cell(row, "id", place), said.replace("<image>", "").strip() + LETTER, row.get("image"), place)


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "mme": mme_rows,
    "mmvet": mmvet_rows,
    "scienceqa": scienceqa_rows,
}


def gold_of(benchmark: str, folder: Path, files: QuestionFile) -> list[Row]:
    path = next((folder / name for name in files.gold if (folder / name).exists()), folder / files.gold[0])
    present(path)
    if benchmark == "mme":
        return mme_gold(path)
    rows = gold_files.read(benchmark, path)
    return [row for row in rows if row["kind"] == "image"] if benchmark == "seed_bench" else rows


def mme_gold(folder: Path) -> list[Row]:
    """MME_Benchmark_release_version: a text file an image with two lines "question<TAB>Yes"; five tasks keep images and texts apart.

    Raises:
        ValueError: an image has not two questions, or a line is no question and answer.
    """
    rows = []
    for task in (*PERCEPTION, *COGNITION):
        apart = (folder / task / "images").is_dir()
        texts = present(folder / task / "questions_answers_YN" if apart else folder / task)
        pictures = {file.stem: file.name for file in (texts.parent / "images" if apart else texts).iterdir()
                    if file.suffix != ".txt"}  # fmt: skip
        for path in sorted(texts.glob("*.txt")):
            lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
            parts = [line.strip().split("\t") for line in lines]
            if len(parts) != 2 or any(len(part) != 2 for part in parts) or path.stem not in pictures:
                raise ValueError(f"{path}: not the two lines 'question<TAB>Yes' or 'No' of an image beside it")
            name = f"{task}/{pictures[path.stem]}"
            for question, answer in parts:
                reference = {"answer": answer, "image": name, "question": question}
                rows.append({"id": name, "kind": task, "question": question, "reference": reference})
    return rows


def is_of_benchmark(row: Row, benchmark: str) -> bool:
    """Of SEED-Bench the images; LLaVA's file has the videos' middle frames too."""
    return benchmark != "seed_bench" or not row["image"].startswith("SEED-Bench-video-image")


def question_of(row: Row, path: Path, benchmark: str, shown: ImageFolder) -> Question:
    """
    Raises:
        ValueError: ScienceQA's problem has an image and the question none, or the other way round.
    """
    reference, image = row["reference"], row["image"]
    if benchmark == "scienceqa":
        if reference["is_multimodal"] != (image is not None):
            raise ValueError(f"{row['place']}: image {image!r}, but problems.json says otherwise")
        reference = reference | ({} if image is None else {"image": image})
    return Question(
        id=row["id"],
        kind=row["kind"].removeprefix("llava_bench_"),
        text="",
        images=() if image is None else (shown.image(image, row["place"]),),
        reference=reference,
        place=row["place"],
        prompt=row["text"],
        prompt_of="llava",
    )


def vqav2_val(folder: Path, images: Path | None) -> list[Question]:
    path = val_file(folder / "v2_OpenEnded_mscoco_val2014_questions.json", "VQAv2")
    gold = {row["id"]: row for row in gold_files.read("vqav2", present(folder / "v2_mscoco_val2014_annotations.json"))}
    shown = ImageFolder(images or folder / "val2014")
    questions = []
    for number, row in enumerate(cell(read_json(path), "questions", str(path)), start=1):
        place = f"{path}, row {number}"
        id = str(cell(row, "question_id", place))
        if id not in gold:
            raise ValueError(f"{place}: question {id} has no annotation")
        name = f"COCO_val2014_{int(cell(row, 'image_id', place)):012d}.jpg"
        text, image = text_cell(row, "question", place), shown.image(name, place)
        questions.append(Question(id, gold[id]["kind"], text, (image,), gold[id]["reference"] | {"image": name}, place))
    if len(questions) != len(gold):
        raise ValueError(f"{path}: {len(questions)} questions for {len(gold)} annotations")
    shown.require_all()
    return questions


def vizwiz_val(folder: Path, images: Path | None) -> list[Question]:
    path = next((folder / name for name in ("val.json", "Annotations/val.json") if (folder / name).exists()), None)
    path = path or val_file(folder / "val.json", "VizWiz")
    shown = ImageFolder(images or folder / "val")
    questions = []
    rows = zip(gold_files.read("vizwiz", path), read_json(path), strict=True)
    for number, (gold, row) in enumerate(rows, start=1):
        place = f"{path}, row {number}"
        text, image = text_cell(row, "question", place), shown.image(gold["reference"]["image"], place)
        questions.append(Question(gold["id"], gold["kind"], text, (image,), gold["reference"], place))
    shown.require_all()
    return questions


def val_file(path: Path, name: str) -> Path:
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: not there. LLaVA's question file of {name} is the test split, whose answers only EvalAI has; to get a "
            "number here, put the files of val into this folder"
        )
    return path


VAL = {"vqav2": vqav2_val, "vizwiz": vizwiz_val}
