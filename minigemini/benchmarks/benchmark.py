"""What a benchmark is, and what it gives a model to answer.

Everything a scorer needs travels in the prediction line (``Example.reference``), so a score can be recomputed from the
file alone, on a machine without the model, the images or torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a benchmark is made of names its lines
    from PIL import Image

    from minigemini.benchmarks.formats.hub import Hub
    from minigemini.benchmarks.formats.lines import Row as StoredRow
    from minigemini.benchmarks.formats.llava_layout import LlavaFolder
    from minigemini.benchmarks.formats.parquet import Record
    from minigemini.benchmarks.judge import Judge
    from minigemini.benchmarks.question import Question
    from minigemini.benchmarks.rules.verdict import Verdict
    from minigemini.benchmarks.stored_image import StoredImage

from minigemini.benchmarks.statistics.metric import Metric, accuracy
from minigemini.conversation import Message, images_of

Line = Mapping[str, Any]
"""One line of predictions.jsonl: ``id``, ``kind``, ``prediction``, ``reference``, and what helps a reader."""


@dataclass(frozen=True)
class Sampling:
    """Decoding by chance, as some published scripts do it; the seed of each answer comes from its row."""

    temperature: float = 1.0
    num_beams: int = 1


@dataclass(frozen=True)
class Example:
    """One thing to answer.

    ``id`` is unique within the benchmark; ``kind`` names the row of the table it counts in; ``messages`` are
    of text and pictures (PIL, or :class:`StoredImage`); ``reference`` is plain JSON. With ``constrained`` the
    answer is decoded as a well-formed drawing prompt ``<h>...</h>`` (the user asked for a picture); otherwise decoding
    is free. It is greedy unless there is ``sampling``.
    """

    id: str
    kind: str
    messages: list[Message]
    reference: dict[str, Any]
    constrained: bool = False
    max_new_tokens: int = 16
    sampling: Sampling | None = None

    @property
    def images(self) -> list[Any]:
        """The pictures, in reading order."""
        return images_of(self.messages)


def all_images(question: Question) -> tuple[StoredImage, ...]:
    return question.images


@dataclass(frozen=True)
class Form:
    """How a protocol asks.

    Attributes:
        text: the user's turn, without the images' markers, which the chat template writes before it.
        max_new_tokens: of the answer.
        images: those that are shown, in their order.
        sampling: None: greedy.
    """

    text: Callable[[Question], str]
    max_new_tokens: int
    images: Callable[[Question], tuple[StoredImage, ...]] = all_images
    sampling: Sampling | None = None


def first_gold(line: Line, gold: Any) -> str:
    """The right answer, or the most frequent of several (the first of equals)."""
    return max(gold, key=gold.count) if isinstance(gold, list) else gold


@dataclass(frozen=True)
class Protocol:
    """How a benchmark's number is made, named after the table or tool whose number it gives: ``llava`` (the tables of the LLaVA-1.5
    and MGM papers), ``lmms`` (lmms-eval), ``vlmevalkit`` (VLMEvalKit without a judge), ``official`` (the benchmark's own tool).
    The prompt belongs to it as much as the rule: a number is only comparable with others of the same protocol *and* prompt.

    Attributes:
        rule: judges one line.
        says: what it reproduces and what the prompt must be, for the reader of the number.
        metrics: the numbers, the published one first.
        form: None where nobody prescribes a prompt, or a tool asks our model itself (``task``): answers made elsewhere can be scored.
        task: the benchmark's name in lmms-eval or VLMEvalKit, where it is they who ask.
        fallback: what the tool makes of a reply that its rule cannot read; used only when asked for. The generator is
            seeded with 42, as the tools do, and runs through the lines in their order.
        check: refuses rows that are not those of the protocol.
        right_reply: a reply to a line that is right, by the gold answer of its verdict. With it every row is tried before the first is
            asked.
        misses_gold: the published rule calls some of the published gold answers wrong; such rows are counted, not refused.
        controls: ways of answering that understand nothing, by name: lines -> the verdicts on those that such a way answers.
    """

    rule: Callable[[Line], Verdict]
    says: str
    metrics: Callable[[Sequence[Verdict]], list[Metric]] = accuracy
    form: Form | None = None
    task: str = ""
    fallback: Callable[[Line, Random], Verdict] | None = None
    check: Callable[[Sequence[Line]], None] | None = None
    right_reply: Callable[[Line, Any], str] = first_gold
    misses_gold: bool = False
    controls: Mapping[str, Callable[[Sequence[Line]], list[Verdict]]] = field(default_factory=dict)


Cells = dict[str, str]
"""A row of a table: column -> text, "" where it is empty."""


def as_it_is(row: StoredRow, cells: Cells) -> list[StoredRow]:
    return [row]


def unchanged(id: str) -> str:
    return id


def as_read(row: StoredRow, fields: Mapping[str, Any]) -> StoredRow:
    return row


@dataclass(frozen=True)
class Benchmark:
    """All that is particular to a benchmark; the readers in ``formats/`` and ``score`` know none by name.

    Attributes:
        name: as users write it.
        title: as its authors do, with the split.
        sizes: the numbers of rows that published numbers are of, with a name each; empty: not known.
        protocols: by name; the first is the default.
        make: kinds, how many of each, and a seed -> the examples, where a program makes them.
        read: a file -> the examples, where they are conversations and not rows of questions; its own file is ``items``.
        see: of a picture that was drawn for an example without messages: what its line says of it.
        hub: where its parquet files are.
        columns: a row of them, and its number -> the question; None where the row is not the benchmark's.
        table: a row of VLMEvalKit's table, as it is read in general, and its cells -> the benchmark's rows; a text where such a table
            lacks what the rules need: what to give instead.
        options: its rows are choices; a table has a column for each of them.
        several_answers: a row has a list of right answers, ``reference["answers"]``; else there is ``reference["answer"]``.
        gold: reads the files that its gold answers are published in.
        llava: its folder in LLaVA's evaluation data.
        llava_id: an id of LLaVA's question files and answers -> that of the gold answers.
        mgm_row: a row that MGM's script leaves, with its gold answer; None: as LLaVA's.
        grades: reads files in which a judge's grades are stored.
        sample: a row of lmms-eval's samples, as it is read in general, and the fields of its metrics -> the benchmark's.
        told_by_question: ids do not tell rows apart, id and question do.
        asked_twice: its list has a question twice; both are asked, and the second gets a number.
        judge: how a language model grades, or reads, its answers.
        notes: what the reader of a number has to know about these lines in particular.
        upload: writes the answers to a split whose gold answers only a server has, in the form that it takes, into a folder.
    """

    name: str
    title: str
    sizes: Mapping[int, str]
    protocols: Mapping[str, Protocol]
    make: Callable[[Sequence[str], int, int], list[Example]] | None = None
    read: Callable[[Path], list[Example]] | None = None
    items: Path | None = None
    see: Callable[[Image.Image], dict[str, Any]] | None = None
    hub: Hub | None = None
    columns: Callable[[Record, int], Question | None] | None = None
    table: Callable[[StoredRow, Cells], list[StoredRow]] | str = as_it_is
    options: bool = False
    several_answers: bool = False
    gold: Callable[[Path], list[StoredRow]] | None = None
    llava: LlavaFolder | None = None
    llava_id: Callable[[str], str] = unchanged
    mgm_row: Callable[[StoredRow, Path], StoredRow] | None = None
    grades: Callable[[Path], list[StoredRow]] | None = None
    sample: Callable[[StoredRow, Mapping[str, Any]], StoredRow] = as_read
    told_by_question: bool = False
    asked_twice: bool = False
    judge: Judge | None = None
    notes: Callable[[Sequence[Line]], list[str]] = lambda lines: []
    upload: Callable[[Sequence[Line], Path], Path] | None = None

    @property
    def ours(self) -> bool:
        """Whether its examples come with the repository: there is one protocol, and no row shares its picture with another."""
        return self.make is not None or self.read is not None
