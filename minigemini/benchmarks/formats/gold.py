"""The gold answers of a benchmark, from the files it is published in; or from our own lines (.jsonl), or VLMEvalKit's (.tsv).

Rows have an ``id`` as LLaVA's question files have it, a ``kind``, a ``reference`` and, where ids do not tell rows apart, the question.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from minigemini.benchmarks.formats import mgm, mme_tool, vlmevalkit
from minigemini.benchmarks.formats.lines import Row, read_gold_lines, read_json, read_jsonl
from minigemini.benchmarks.rules.hallusionbench import PLACE
from minigemini.benchmarks.rules.option_letter import LETTERS

POPE_OFFSETS = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}  # of LLaVA's question ids


def read(benchmark: str, path: Path) -> list[Row]:
    """
    Raises:
        ValueError: the benchmark's own files cannot be read, and this is neither .jsonl nor .tsv.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.suffix == ".jsonl":
        return read_gold_lines(path)
    if path.suffix == ".tsv":
        return vlmevalkit.read_gold(path, benchmark)
    if benchmark not in OWN_FILES:
        raise ValueError(
            f"{path}: gold answers of {benchmark} are read from our lines (.jsonl) or VLMEvalKit's data (.tsv)"
        )
    try:
        return OWN_FILES[benchmark](path)
    except KeyError as error:
        raise ValueError(f"{path}: not the gold answers of {benchmark}, {error} is missing") from None


def textvqa(path: Path) -> list[Row]:
    """TextVQA_0.5.1_val.json."""
    return [
        {
            "id": row["image_id"],
            "kind": "",
            "question": row["question"],
            "reference": {"answers": row["answers"], "image": row["image_id"]},
        }
        for row in read_json(path)["data"]
    ]


def vqav2(path: Path) -> list[Row]:
    """v2_mscoco_val2014_annotations.json."""
    return [
        {
            "id": str(row["question_id"]),
            "kind": row["answer_type"],
            "reference": {"answers": [one["answer"] for one in row["answers"]], "image": str(row["image_id"])},
        }
        for row in read_json(path)["annotations"]
    ]


def vizwiz(path: Path) -> list[Row]:
    """Annotations/val.json; the id is the image's name without its suffix, as in lmms-eval."""
    return [
        {
            "id": Path(row["image"]).stem,
            "kind": row["answer_type"],
            "reference": {"answers": [one["answer"] for one in row["answers"]], "image": row["image"]},
        }
        for row in read_json(path)
    ]


def gqa(path: Path) -> list[Row]:
    """testdev_balanced_questions.json; the balanced questions of it."""
    return [
        {
            "id": id,
            "kind": "open" if row["types"]["structural"] == "query" else "binary",
            "reference": {"answer": row["answer"], "image": row["imageId"]},
        }
        for id, row in read_json(path).items()
        if row["isBalanced"]
    ]


def scienceqa(path: Path) -> list[Row]:
    """A folder with problems.json and pid_splits.json; the test split."""
    problems = read_json(path / "problems.json")
    return [
        {
            "id": id,
            "kind": "",
            "reference": {
                "answer": LETTERS[problems[id]["answer"]],
                "choices": problems[id]["choices"],
                "is_multimodal": problems[id]["image"] is not None,
            },
        }
        for id in read_json(path / "pid_splits.json")["test"]
    ]


def pope(path: Path) -> list[Row]:
    """A folder with coco_pope_adversarial.json, coco_pope_popular.json and coco_pope_random.json."""
    return [
        {
            "id": str(offset + int(row["question_id"])),
            "kind": split,
            "reference": {"answer": row["label"], "image": row["image"]},
        }
        for split, offset in POPE_OFFSETS.items()
        for row in read_jsonl(path / f"coco_pope_{split}.json")
    ]


def seed_bench(path: Path) -> list[Row]:
    """SEED-Bench.json: images and videos, as the kind."""
    return [
        {
            "id": str(row["question_id"]),
            "kind": row["data_type"],
            "reference": {
                "answer": row["answer"],
                "choices": [row[f"choice_{letter}"] for letter in "abcd"],
                "image": str(row["data_id"]),
            },
        }
        for row in read_json(path)["questions"]
    ]


def mmmu(path: Path) -> list[Row]:
    """answer_dict_val.json, for the eval-only protocol: it has no options."""
    rows = []
    for id, row in read_json(path).items():
        subject = mgm.SUBJECT.fullmatch(id)
        reference = {"answer": row["ground_truth"], "question_type": row["question_type"]}
        rows.append({"id": id, "kind": subject[1] if subject else "", "reference": reference})
    return rows


def mathvista(path: Path) -> list[Row]:
    """data/testmini.json."""
    return [
        {"id": pid, "kind": row["metadata"]["task"], "reference": mgm.mathvista_problem(row, path)}
        for pid, row in read_json(path).items()
    ]


def mmvet(path: Path) -> list[Row]:
    """mm-vet.json, for the capabilities, and the question for a judge."""
    return [
        {
            "id": id,
            "kind": "",
            "reference": {"answer": row["answer"], "capability": row["capability"], "image": row["imagename"]}
            | {key: row[key] for key in ("question",) if key in row},
        }
        for id, row in read_json(path).items()
    ]


def llava_bench(path: Path) -> list[Row]:
    """A folder with questions.jsonl, context.jsonl and answers_gpt4.jsonl, for a judge."""
    captions = {row["image"]: row["caption"] for row in read_jsonl(path / "context.jsonl")}
    answers = {row["question_id"]: row["text"] for row in read_jsonl(path / "answers_gpt4.jsonl")}
    rows = []
    for row in read_jsonl(path / "questions.jsonl"):
        caption = captions[row["image"]]
        reference = {
            "answer": answers[row["question_id"]],
            "question": row["text"],
            "context": "\n".join(caption) if isinstance(caption, list) else caption,
            "image": row["image"],
        }
        rows.append({"id": str(row["question_id"]), "kind": row["category"], "reference": reference})
    return rows


def hallusionbench(path: Path) -> list[Row]:
    """HallusionBench.json; the id is category, subcategory, set, figure and question."""
    rows = []
    for row in read_json(path):
        place = {key: str(row[key]) for key in PLACE}
        answers = {"answer": row["gt_answer"], "answer_details": row["gt_answer_details"], "question": row["question"]}
        rows.append({"id": "_".join(place.values()), "kind": place["category"], "reference": place | answers})
    return rows


OWN_FILES: dict[str, Callable[[Path], list[Row]]] = {
    "textvqa": textvqa,
    "vqav2": vqav2,
    "vizwiz": vizwiz,
    "gqa": gqa,
    "scienceqa": scienceqa,
    "pope": pope,
    "mme": mme_tool.read_gold,
    "seed_bench": seed_bench,
    "mmmu": mmmu,
    "mathvista": mathvista,
    "mmvet": mmvet,
    "llava_bench": llava_bench,
    "hallusionbench": hallusionbench,
}
