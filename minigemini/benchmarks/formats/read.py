"""A published benchmark's data -> the examples that a model answers."""

from collections.abc import Sequence
from pathlib import Path

from minigemini.benchmarks.benchmark import Benchmark, Example, Form
from minigemini.benchmarks.formats import hub, llava_layout, own_lines, parquet, vlmevalkit
from minigemini.benchmarks.formats.join import key_of, keys_of
from minigemini.benchmarks.gold_check import has_gold
from minigemini.benchmarks.names import BENCHMARKS, form_of, protocol_of
from minigemini.benchmarks.question import Question
from minigemini.benchmarks.score import score
from minigemini.conversation import message


def read_examples(benchmark: str, protocol: str | None, data: str | Path, images: Path | None = None) -> list[Example]:
    """The benchmark's rows as the protocol asks them. Every row, its image and its gold answer are looked at before the first one is
    returned, by scoring empty answers. Where no row has a gold answer, it is a test split: there is nothing to score.

    Args:
        benchmark: a name of :data:`names.BENCHMARKS`.
        protocol: one of its protocols; its first by default.
        data: LLaVA's evaluation folder (the benchmark's, or the one above); a folder with parquet files, or one; a ``.tsv``
            of VLMEvalKit; our own lines (``.jsonl``); or ``hub:``, ``hub:owner/name@revision``.
        images: the folder of images, where they do not lie as the layout says.

    Returns:
        Examples of one user turn: the images, opened when they are needed, then the text. Ids and references are those of
        ``minigemini eval score``.

    Raises:
        ValueError: no such benchmark or protocol; its prompt is not known; a row lacks something, is there twice, or the rows
            are not those of the protocol; no reply can equal a gold answer. File, row and column are named.
        FileNotFoundError: a file, or images, are missing.
    """
    name, _ = protocol_of(benchmark, protocol)
    form, which = form_of(benchmark, name), BENCHMARKS[benchmark]
    questions = _read(which, str(data), images)
    examples = []
    for question, id in zip(questions, _ids(which, questions), strict=True):
        text = text_of(question, form, which)
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
    if has_gold(empty):
        try:
            score(benchmark, empty, name, places=[question.place for question in questions])
        except ValueError as error:
            named = str(error).startswith(str(data))  # by the place of a row
            raise ValueError(str(error) if named else f"{data}: {error}") from error
    return examples


def text_of(question: Question, form: Form, benchmark: Benchmark) -> str:
    """The text of the user's turn. Raises ValueError: the data has another protocol's prompts only, or lacks what this one needs."""
    if question.prompt is None:
        return form.text(question)
    if question.prompt_of is not None:
        theirs = benchmark.protocols[question.prompt_of].form
        if theirs is None or theirs.text is not form.text:  # protocols may differ in decoding or reading only
            raise ValueError(
                f"{question.place}: this file holds the prompts of {question.prompt_of}; for another protocol bare questions are "
                "needed: give parquet files, VLMEvalKit's tsv or our own lines (.jsonl)"
            )
    return question.prompt


def _asked(question: Question) -> dict[str, str]:
    """The bare question, for a judge; none where the data has the whole prompt, or the question is in the picture."""
    return {"question": question.text} if question.text else {}


def _read(benchmark: Benchmark, data: str, images: Path | None) -> list[Question]:
    if data.startswith(hub.HUB):
        return _parquet(hub.fetch(benchmark, data), benchmark, images)
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_dir():
        folder = llava_layout.folder_of(path, benchmark, BENCHMARKS.values())
        if next(folder.rglob("*.parquet"), None) is None:
            return llava_layout.read(folder, benchmark, images)
        return _parquet(folder, benchmark, images)
    if path.suffix == ".parquet":
        return _parquet(path, benchmark, images)
    if path.suffix == ".tsv":
        return vlmevalkit.read_questions(path, benchmark, images)
    if path.suffix == ".jsonl":
        return own_lines.read(path, images)
    raise ValueError(f"{path}: questions are read from .parquet, .tsv and .jsonl files, and from folders")


def _parquet(path: Path, benchmark: Benchmark, images: Path | None) -> list[Question]:
    if images is not None:
        raise ValueError(f"{path}: parquet files hold their pictures; a folder of images ({images}) is not used")
    return parquet.read(path, benchmark)


def _ids(benchmark: Benchmark, questions: Sequence[Question]) -> list[str]:
    """Raises ValueError: a row is there twice."""
    rows = [{"id": question.id, "question": question.text} for question in questions]
    found = keys_of(benchmark, rows)
    if benchmark.asked_twice:
        return found
    for question, row, id in zip(questions, rows, found, strict=True):
        if id != key_of(benchmark, row):
            raise ValueError(f"{question.place}: the row {question.id!r} is there twice")
    return found
