"""The model answers: batched, left padded, examples of similar length together.

Which examples share a batch depends only on the examples, never on what is already answered or on how many processes answer: a
resumed run computes the same batches, hence the same numbers to the last bit, as one that was never interrupted.
"""

import copy
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.progress import Progress

from minigemini.benchmarks.benchmark import Example
from minigemini.engine import local
from minigemini.engine.local import LocalEngine
from minigemini.engine.request import Decoding, DrawPolicy, Request
from minigemini.evaluation.running.digest import prompts_of, row_keys, short, tokens_of
from minigemini.evaluation.running.evaluated_model import EvaluatedModel
from minigemini.evaluation.running.predictions import PredictionFile
from minigemini.evaluation.running.share import ALONE, Share
from minigemini.evaluation.running.view import FULL, View


def batches_of(examples: Sequence[Example], lengths: Sequence[int], batch_size: int) -> list[list[Example]]:
    """Batches of examples that are decoded the same way, hold as many images, and are of similar length.

    An answer by chance is drawn alone: its seed is its row's, and no neighbour may use up its luck.

    Args:
        lengths: of the prompts, in tokens.
    """

    def way(item: tuple[int, Example]) -> tuple[bool, int, tuple[float, ...], int]:
        sampling = item[1].sampling
        drawn = () if sampling is None else (sampling.temperature, sampling.num_beams)
        return item[1].constrained, item[1].max_new_tokens, drawn, len(item[1].images)

    order = sorted(zip(lengths, examples, strict=True), key=lambda item: (way(item), item[0], item[1].id))
    batches = []
    for _, group in groupby(order, way):
        alike = [example for _, example in group]
        size = batch_size if alike[0].sampling is None else 1
        batches += [alike[start : start + size] for start in range(0, len(alike), size)]
    return batches


def predict(
    model: EvaluatedModel,
    benchmark: str,
    examples: Sequence[Example],
    folder: Path,
    progress: Progress,
    view: View = FULL,
    share: Share = ALONE,
) -> list[dict[str, Any]]:
    """Answers what ``folder/predictions.jsonl`` does not hold yet and returns all lines, in the order of the examples.

    A line is ``{"id", "kind", "prompt", "prediction", "finished", "reference", "key"}``; the prediction is stripped of white space
    at its ends, as the published scripts do before they write it; ``finished`` is false where it was cut at ``max_new_tokens``.

    Raises:
        ValueError: as :class:`PredictionFile` and :func:`digest.prompts_of`; a picture that cannot be opened.
    """
    processor = model.loaded[1]
    asked = [view.of(example) for example in examples]
    name = f"{benchmark} {view.name}" + (f" ({share.number + 1} of {share.of})" if share.of > 1 else "")
    task = progress.add_task(f"{name}: reading", total=None)
    prompts = prompts_of(asked, processor)
    tokens = tokens_of(prompts, processor)
    keys = row_keys(benchmark, asked, prompts, tokens)
    batches = batches_of(asked, list(map(len, tokens)), model.batch_size)
    settings = {
        **model.settings,
        "view": view.settings(),
        "number_of_rows": len(asked),
        "batches": short([[example.id for example in batch] for batch in batches]),
    }
    file = PredictionFile(folder, keys, settings, share)
    own = [batch for number, batch in enumerate(batches) if share.takes(number)]
    todo = [batch for batch in own if not all(example.id in file for example in batch)]
    total, left = (sum(map(len, some)) for some in (own, todo))
    progress.update(task, description=name, total=total, completed=total - left)
    prompt_of = {example.id: prompt for example, prompt in zip(asked, prompts, strict=True)}
    engine = LocalEngine(*model.loaded)
    for batch, inputs in _prepared(processor, todo, view):
        seed = int(keys[batch[0].id]["prompt"][:15], 16)
        answers = engine.answer([request_of(example, seed) for example in batch], inputs)
        file.append(
            [
                {
                    "id": example.id,
                    "kind": example.kind,
                    "prompt": prompt_of[example.id],
                    "prediction": answer.text.strip(),
                    "finished": answer.finish_reason == "stop",
                    "reference": example.reference,
                }
                for example, answer in zip(batch, answers, strict=True)
            ]
        )
        progress.advance(task, len(batch))
    return file.finish()


def _prepared(
    processor: Any, batches: Sequence[Sequence[Example]], view: View
) -> Iterator[tuple[Sequence[Example], dict[str, Any]]]:
    """Each batch with its tensors; those of the next one are made while the caller answers this one."""
    own = copy.deepcopy(processor)  # a tokenizer is not for two threads at once
    with ThreadPoolExecutor(1) as thread:
        ahead = [thread.submit(prepare, own, batch, view) for batch in batches[:1]]
        for number, batch in enumerate(batches):
            inputs = ahead.pop().result()
            ahead += [thread.submit(prepare, own, following, view) for following in batches[number + 1 : number + 2]]
            yield batch, inputs


def prepare(processor: Any, batch: Sequence[Example], view: View = FULL) -> dict[str, Any]:
    """As :func:`engine.local.prepare`, of what the view shows."""
    return view.inputs(local.prepare(processor, [example.messages for example in batch], **view.processor_kwargs()))


def request_of(example: Example, seed: int | None = None) -> Request:
    """
    Args:
        seed: where the answer is drawn by chance.
    """
    drawing = DrawPolicy(True) if example.constrained else None
    decoding = Decoding(example.max_new_tokens, drawing=drawing)
    if example.sampling is None:
        return Request(example.messages, decoding)
    by_chance = replace(decoding, **vars(example.sampling), top_k=50)  # 50: as where nobody set it
    return Request(example.messages, by_chance, seed)
