"""A results folder of MME's eval_tool: TASK.txt for each of 14 tasks, lines of image, question, gold answer and reply between tabs."""

from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark
from minigemini.benchmarks.formats.lines import Row, gold_row, read_text
from minigemini.benchmarks.rules.mme import COGNITION, PERCEPTION


def read(path: Path, benchmark: Benchmark) -> list[Row]:
    return _read(path, columns=4)


def read_gold(path: Path) -> list[Row]:
    """The same without replies (the tool's template), or with replies that are not looked at."""
    return _read(path, columns=3)


def _read(folder: Path, columns: int) -> list[Row]:
    """Raises ValueError: a task's file is missing, or a line has too few columns."""
    rows = []
    for task in (*PERCEPTION, *COGNITION):
        file = folder / f"{task}.txt"
        if not file.is_file():
            raise ValueError(f"{folder}: {task}.txt is missing; the score is a sum over 14 tasks")
        text = read_text(file)
        for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
            parts = line.split("\t")
            if len(parts) < columns or len(parts) > 4:
                raise ValueError(
                    f"{file}, line {number}: {len(parts)} columns, not image, question, gold answer and reply"
                )
            image, question, gold, reply = (*parts, "")[:4]
            known = gold_row(f"{task}/{image}", task, answer=gold, image=f"{task}/{image}", question=question)
            rows.append({**known, "prediction": reply, "question": question})
    return rows
