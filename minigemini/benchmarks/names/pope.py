"""POPE on COCO (Li et al. 2023).

LLaVA's and MGM's numbers are on commit e3e3926, whose random split has 2910 questions; today's has 3000.
"""

from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Cells, Form, Protocol
from minigemini.benchmarks.formats.hub import of_lmms
from minigemini.benchmarks.formats.lines import Row, gold_row, read_jsonl
from minigemini.benchmarks.formats.llava_layout import LlavaFolder, question_file
from minigemini.benchmarks.formats.parquet import Record
from minigemini.benchmarks.prompts import yes_or_no
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules import pope, yes_no

OFFSETS = {"adversarial": 0, "random": 10_000_000, "popular": 20_000_000}  # of LLaVA's question ids


def columns(record: Record, number: int) -> Question:
    split = record.text("category")
    if split not in OFFSETS:
        raise ValueError(f"{record.place}: column 'category' is {split!r}, not one of {', '.join(OFFSETS)}")
    return record.question(
        OFFSETS[split] + int(record.get("question_id")), split, {"answer": record.gold_text("answer")}
    )


def table(row: Row, cells: Cells) -> list[Row]:
    """VLMEvalKit's table has a question that several splits share once, with category "adversarial,popular", and the tool counts it in
    each (utils/yorn.py, POPE_rating): here it is a row a split, whose index ends with the split's name.
    """
    return [{**row, "id": f"{row['id']}/{split}", "kind": split} for split in row["kind"].split(",")]


def gold(path: Path) -> list[Row]:
    """A folder with coco_pope_adversarial.json, coco_pope_popular.json and coco_pope_random.json."""
    return [
        gold_row(offset + int(row["question_id"]), split, answer=row["label"], image=row["image"])
        for split, offset in OFFSETS.items()
        for row in read_jsonl(path / f"coco_pope_{split}.json")
    ]


POPE = Benchmark(
    "pope",
    "POPE (COCO)",
    sizes={8910: "commit e3e3926", 9000: "today's"},
    protocols={
        "llava": Protocol(
            pope.rule(yes_no.pope),
            "POPE's script, mean of three F1; random split of 2910",
            pope.metrics,
            form=Form(yes_or_no, 128),
            fallback=pope.taken_for_yes,
            check=pope.check_splits(2910),
        ),
        "lmms": Protocol(
            pope.rule(yes_no.whole_reply),
            "lmms-eval: the reply must be the word; pooled; random split of 3000",
            pope.pooled_metrics(pope.lmms_counts),
            task="pope",
            check=pope.check_splits(3000),
        ),
        "vlmevalkit": Protocol(
            pope.rule(yes_no.one_of_the_words),
            "VLMEvalKit: one of the words; pooled; random split of 3000",
            pope.pooled_metrics(pope.vlmevalkit_counts),
            task="POPE",
            check=pope.check_splits(3000),
        ),
    },
    hub=of_lmms("POPE", "test"),
    columns=columns,
    table=table,
    gold=gold,
    llava=LlavaFolder(("pope",), question_file("llava_pope_test.jsonl", "val2014", ("coco",), gold)),
)
