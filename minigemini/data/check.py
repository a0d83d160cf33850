"""The check pass: every record is read, its images decoded and its tokens counted before training starts.

It finds *all* problems, each with the name of file and record. Nothing is repaired, shortened or replaced: a bad
record is an error, or, where the recipe says ``on_bad_record: skip``, left out, counted and listed.
"""

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import ProcessorMixin

from minigemini.data.images import open_image
from minigemini.data.progress import with_progress
from minigemini.data.records import BadRecord, Record, messages, read_records
from minigemini.data.sources import DataRecipe

PRINTED_PROBLEMS = 20
Gather = Callable[[Any], list[Any]]


@dataclass
class CheckedSource:
    """The good records of a source.

    ``lengths`` [records] is the number of tokens of each, image tokens and template included.
    """

    weight: float
    records: list[Record]
    lengths: np.ndarray


@dataclass
class CheckedData:
    """What the check pass found: the good records by source, and every bad one."""

    sources: list[CheckedSource]
    problems: list[BadRecord] = field(default_factory=list)

    @property
    def records(self) -> list[Record]:
        return [record for source in self.sources for record in source.records]

    def summary(self) -> str:
        """One line for the user: how many good records, with how many images, how long."""
        records = self.records
        images = sum(len(record.images) for record in records)
        text_only = sum(not record.images for record in records)
        line = f"{len(records):,} good records, {text_only:,} of them text only, {images:,} images"
        lengths = np.concatenate([source.lengths for source in self.sources])
        if not lengths.any():  # no processor, or no record
            return line
        return line + f"; tokens: median {np.median(lengths):.0f}, longest {lengths.max()}"


def check(
    recipe: DataRecipe,
    processor: ProcessorMixin | None,
    share: tuple[int, int] = (0, 1),
    gather: Gather = lambda item: [item],
    show_progress: bool = True,
) -> CheckedData:
    """Check every record of every source.

    Args:
        processor: gives the tokens; without one, lengths are not computed (all 0) and only records and images are
        checked. share: ``(rank, processes)``: this process decodes and tokenises every ``processes``-th item ...
        gather: ... and gets the results of all, in order of rank, from here. All processes return the same.

    Raises:
        FileNotFoundError: a data file does not exist.
        ValueError: a data file is not a JSON list, or the chat template does not mark the assistant's words.
    """
    if processor is not None:
        assert_marks_answers(processor)
    parsed = [read_records(source.path, source.image_folder) for source in recipe.sources]
    good = [record for records in parsed for record in records if isinstance(record, Record)]
    problems: dict[str, BadRecord] = {
        bad.name: bad for records in parsed for bad in records if isinstance(bad, BadRecord)
    }

    rank, processes = share
    paths = list(dict.fromkeys(path for record in good for path in record.images))
    broken: dict[str, str] = {}
    for part in gather(broken_images(paths[rank::processes], processor, show_progress)):
        broken |= part
    for record in good:
        if reasons := [broken[path] for path in record.images if path in broken]:
            problems[record.name] = BadRecord(record.name, "; ".join(reasons))

    good = [record for record in good if record.name not in problems]
    lengths: dict[str, int] = {}
    if processor is not None:
        for part in gather(token_counts(good[rank::processes], processor, show_progress)):
            lengths |= {name: total for name, (total, _) in part.items()}
            for name, (total, answer) in part.items():
                if answer == 0:
                    problems[name] = BadRecord(
                        name, "no token of it is the assistant's: there is nothing to learn from"
                    )
                elif total > recipe.max_length:
                    problems[name] = BadRecord(name, f"{total} tokens, more than max_length {recipe.max_length}")

    sources = []
    for source, records in zip(recipe.sources, parsed, strict=True):
        kept = [record for record in records if isinstance(record, Record) and record.name not in problems]
        counts = np.array([lengths.get(record.name, 0) for record in kept], dtype=np.int32)
        sources.append(CheckedSource(source.weight, kept, counts))
    in_order = [problems[record.name] for records in parsed for record in records if record.name in problems]
    return CheckedData(sources, in_order)


def broken_images(paths: Sequence[str], processor: ProcessorMixin | None, show_progress: bool = True) -> dict[str, str]:
    """For each file that cannot be decoded, or that the processor refuses for its mode or shape, the reason."""

    def reason(path: str) -> str | None:
        try:
            image = open_image(path)
        except ValueError as error:
            return str(error)
        try:
            if processor is not None:
                processor.image_processor.process_image(image)
        except ValueError as error:
            return f"image {path}: {error}"
        return None

    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as threads:  # threads do: PIL decodes outside Python's lock
        reasons = with_progress(threads.map(reason, paths), "checking images", len(paths), show_progress)
        return {path: text for path, text in zip(paths, reasons, strict=True) if text is not None}


def token_counts(
    records: Sequence[Record], processor: ProcessorMixin, show_progress: bool = True, batch_size: int = 256
) -> dict[str, tuple[int, int]]:
    """For each record's name, its number of tokens and how many of them are trained on. No image is opened.

    It is the number the processor arrives at with the images: their marker is one token here and ``image_tokens``
    there, and the tokenizer adds its beginning of text where the template has none.
    """
    tokenizer = processor.tokenizer
    tokens_per_image = image_tokens(processor)
    counts = {}
    for start in with_progress(
        range(0, len(records), batch_size), "counting tokens", -(-len(records) // batch_size), show_progress
    ):
        batch = records[start : start + batch_size]
        encoded = tokenizer.apply_chat_template(
            [messages(record) for record in batch],
            chat_template=processor.chat_template,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        for record, ids, mask in zip(batch, encoded["input_ids"], encoded["assistant_masks"], strict=True):
            written_out = tokenizer.bos_token is not None and ids[0] == tokenizer.bos_token_id
            added = 0 if written_out else tokenizer.num_special_tokens_to_add()
            counts[record.name] = (len(ids) + added + len(record.images) * (tokens_per_image - 1), sum(mask))
    return counts


def image_tokens(processor: ProcessorMixin) -> int:
    """Tokens of one image. An image is squared first, so every size and shape takes the same number."""
    one = processor(images=[Image.new("RGB", (8, 8))], text=[processor.image_token])
    return list(one["input_ids"][0]).count(processor.image_token_id)


def assert_marks_answers(processor: ProcessorMixin) -> None:
    """Labels come from the template's ``{% generation %}`` spans, so it must have them.

    Raises:
        ValueError: it has none.
    """
    if processor.chat_template is None or not re.search(r"\{%-?\s*generation\s*-?%\}", processor.chat_template):
        raise ValueError(
            "the processor's chat template does not mark the assistant's words with {% generation %} ... "
            "{% endgeneration %}, so there is nothing to make labels from"
        )


def report(problems: Sequence[BadRecord], file: Path) -> str:
    """Write the full list of problems to ``file``, one a line; the words for the user, with the first of them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{problem}\n" for problem in problems), encoding="utf-8")
    shown = [f"  {problem}" for problem in problems[:PRINTED_PROBLEMS]]
    if len(problems) > PRINTED_PROBLEMS:
        shown.append(f"  ... and {len(problems) - PRINTED_PROBLEMS} more")
    return "\n".join([f"{len(problems)} bad records (full list in {file}):", *shown])
