"""A published benchmark's data -> the examples that a model answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from minigemini.benchmarks.benchmark import Example
from minigemini.benchmarks.formats import hub, llava_layout, own_lines, parquet, tsv
from minigemini.benchmarks.formats.join import key_of, keys_of
from minigemini.benchmarks.prompts.table import form_of, text_of
from minigemini.benchmarks.protocols import protocol_of
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.rules.option_letter import LETTERS
from minigemini.benchmarks.score import score
from minigemini.conversation import message

REPEATED = ("textvqa", "seed_bench")  # their own lists have a question twice; both are asked, the second gets a number


def read_examples(benchmark: str, protocol: str | None, data: str | Path, images: Path | None = None) -> list[Example]:
    """The benchmark's rows as the protocol asks them. Every row, its image and its gold answer are looked at before the first one is
    returned, by scoring empty answers.

    Args:
        benchmark: a name of :data:`protocols.BENCHMARKS`.
        protocol: one of its protocols; its first by default.
        data: LLaVA's evaluation folder (the benchmark's, or the one above); a folder with parquet files, or one; a ``.tsv``
            of VLMEvalKit; our own lines (``.jsonl``); or ``hub:``, ``hub:owner/name@revision``.
        images: the folder of images, where they do not lie as the layout says.

    Returns:
        Examples of one user turn: the images, opened when they are needed, then the text. Ids and references are those of
        ``minigemini eval score``.

    Raises:
        ValueError: no such benchmark or protocol; its prompt is not known; a row lacks something, is there twice, or the rows
            are not those of the protocol. File, row and column are named.
        FileNotFoundError: a file, or images, are missing.
    """
    name, _ = protocol_of(benchmark, protocol)
    form = form_of(benchmark, name)
    questions = _read(benchmark, str(data), images)
    examples = []
    for question, id in zip(questions, _ids(benchmark, questions), strict=True):
        _check_letter(question)
        text = text_of(question, form, name)
        examples.append(
            Example(
                id=id,
                kind=question.kind,
                messages=[message("user", text, form.images(question))],
                reference=_asked(question) | question.reference,
                max_new_tokens=form.max_new_tokens,
                sampling=form.sampling,
            )
        )
    empty = [
        {"id": example.id, "kind": example.kind, "prediction": "", "reference": example.reference}
        for example in examples
    ]
    try:
        score(benchmark, empty, name)
    except ValueError as error:
        raise ValueError(f"{data}: {error}") from error
    return examples


def _check_letter(question: Question) -> None:
    """
    Raises:
        ValueError: the gold answer is the letter of an option that is not there: no answer would be right.
    """
    answer, choices = question.reference.get("answer"), question.reference.get("choices")
    if choices and answer in list(LETTERS[len(choices) :]):
        raise ValueError(f"{question.place}: the right answer is {answer!r}, and there are {len(choices)} options")


def _asked(question: Question) -> dict[str, str]:
    """The bare question, for a judge; none where the data has the whole prompt, or the question is in the picture."""
    return {"question": question.text} if question.text else {}


def _read(benchmark: str, data: str, images: Path | None) -> list[Question]:
    if data.startswith(hub.HUB):
        return _parquet(hub.fetched(benchmark, data), benchmark, images)
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_dir():
        folder = llava_layout.folder_of(path, benchmark)
        if next(folder.rglob("*.parquet"), None) is None:
            return llava_layout.read(folder, benchmark, images)
        return _parquet(folder, benchmark, images)
    if path.suffix == ".parquet":
        return _parquet(path, benchmark, images)
    if path.suffix == ".tsv":
        return tsv.read(path, benchmark, images)
    if path.suffix == ".jsonl":
        return own_lines.read(path, images)
    raise ValueError(f"{path}: questions are read from .parquet, .tsv and .jsonl files, and from folders")


def _parquet(path: Path, benchmark: str, images: Path | None) -> list[Question]:
    if images is not None:
        raise ValueError(f"{path}: parquet files hold their pictures; a folder of images ({images}) is not used")
    return parquet.read(path, benchmark)


def _ids(benchmark: str, questions: Sequence[Question]) -> list[str]:
    """
    Raises:
        ValueError: a row is there twice.
    """
    rows = [{"id": question.id, "question": question.text} for question in questions]
    found = keys_of(benchmark, rows)
    if benchmark in REPEATED:
        return found
    for question, row, id in zip(questions, rows, found, strict=True):
        if id != key_of(benchmark, row):
            raise ValueError(f"{question.place}: the row {question.id!r} is there twice")
    return found
