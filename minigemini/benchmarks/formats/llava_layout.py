"""LLaVA's evaluation folders (playground/data/eval, unpacked eval.zip; MGM-Eval is laid out alike): question files, gold answers
and images as docs/Evaluation.md of LLaVA says where to put them. The prompts of the question files are used as they are.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Benchmark
from minigemini.benchmarks.formats import llava as llava_files
from minigemini.benchmarks.formats import vlmevalkit
from minigemini.benchmarks.formats.image_folder import ImageFolder
from minigemini.benchmarks.formats.join import join
from minigemini.benchmarks.formats.lines import Row, read_jsonl
from minigemini.benchmarks.question import Question, cell, text_cell

Reader = Callable[[Benchmark, Path, "Path | None"], "list[Question]"]
"""(benchmark, its folder, folder of images instead of the layout's own) -> questions."""


@dataclass(frozen=True)
class LlavaFolder:
    """
    Attributes:
        names: of the folder, under playground/data/eval.
        read: None where only parquet files in it are read.
    """

    names: tuple[str, ...]
    read: Reader | None = None


def folder_of(folder: Path, benchmark: Benchmark, all_benchmarks: Iterable[Benchmark]) -> Path:
    """The benchmark's folder in ``folder`` (playground/data/eval); else ``folder`` itself.

    Raises:
        FileNotFoundError: ``folder`` holds those of other benchmarks.
    """
    own = benchmark.llava.names if benchmark.llava else ()
    names = {name for one in all_benchmarks if one.llava for name in one.llava.names}
    found = sorted(name for name in names if (folder / name).is_dir())
    if found and not set(own) & set(found):
        wanted = (
            " or ".join(own)
            if own
            else f"{benchmark.name} (it is not in LLaVA's evaluation data; give its own folder or file)"
        )
        raise FileNotFoundError(f"{folder}: holds {', '.join(found)}, but no folder {wanted}")
    return next((folder / name for name in own if name in found), folder)


def read(folder: Path, benchmark: Benchmark, images: Path | None) -> list[Question]:
    """
    Args:
        folder: the benchmark's.
        images: instead of the layout's own.

    Raises:
        ValueError: question file and gold answers do not fit, or LLaVA has no such benchmark.
        FileNotFoundError: a file or images are missing.
    """
    if benchmark.llava is None or benchmark.llava.read is None:
        raise ValueError(
            f"{folder}: no parquet files in it, and {benchmark.name} is not in LLaVA's evaluation data; give parquet files, "
            "VLMEvalKit's tsv, our own lines (.jsonl) or hub:"
        )
    return benchmark.llava.read(benchmark, folder, images)


def present(path: Path) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"{path}: not there; LLaVA's docs/Evaluation.md says where to get it")
    return path


def table_file(name: str) -> Reader:
    return lambda benchmark, folder, images: vlmevalkit.read_questions(present(folder / name), benchmark, images)


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


def question_file(
    name: str,
    images: str,
    gold: tuple[str, ...],
    read_gold: Callable[[Path], list[Row]],
    rows: Callable[[Path], Iterable[Row]] = read_rows,
) -> Reader:
    """
    Args:
        name: of the question file.
        images: their folder.
        gold: where the gold answers may be; the first that is there counts.
        read_gold: reads them.
        rows: reads the question file.
    """

    def read_folder(benchmark: Benchmark, folder: Path, elsewhere: Path | None) -> list[Question]:
        shown = ImageFolder(elsewhere or folder / images)
        asked = list(rows(present(folder / name)))
        for row in asked:
            try:
                row["id"] = benchmark.llava_id(row["id"])
            except ValueError as error:
                raise ValueError(f"{row['place']}: {error}") from None
        file = next((folder / path for path in gold if (folder / path).exists()), folder / gold[0])
        questions = [question_of(row, shown) for row in join(benchmark, asked, read_gold(present(file)))]
        shown.require_all()
        return questions

    return read_folder


def question_of(row: Row, shown: ImageFolder) -> Question:
    """
    Raises:
        ValueError: the gold answers say that there is an image and the question has none, or the other way round (ScienceQA).
    """
    reference, image = row["reference"], row["image"]
    if reference.get("is_multimodal", image is not None) != (image is not None):
        raise ValueError(f"{row['place']}: image {image!r}, but the gold answers say otherwise")
    if image is not None and "image" not in reference:
        reference = reference | {"image": image}
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


def unanswered_file(name: str, images: str) -> Reader:
    """LLaVA's question file of a test split, whose gold answers only a server has."""

    def read_folder(benchmark: Benchmark, folder: Path, elsewhere: Path | None) -> list[Question]:
        shown = ImageFolder(elsewhere or folder / images)
        questions = [
            question_of({**row, "reference": {"image": row["image"]}}, shown) for row in read_rows(folder / name)
        ]
        shown.require_all()
        return questions

    return read_folder
