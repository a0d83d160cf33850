"""The model answers: batched greedy decoding, left padded, examples of similar length together.

Which examples share a batch depends only on the examples, never on what is already answered: a resumed run computes the
same batches, hence the same numbers to the last bit, as one that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
import transformers
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from transformers import LogitsProcessorList

from minigemini.evaluation.benchmark import Example
from minigemini.evaluation.digest import examples_digest, images_of, prompts_of, tokens_of, weights_digest
from minigemini.evaluation.predictions import PredictionFile
from minigemini.generation.constrained import well_formed_prompt


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f}/s" if task.speed else "", style="progress.data.speed")


def progress_bar() -> Progress:
    """What is being done, how far it is, how many a second, and the time left."""
    return Progress(
        TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()
    )


def without_images(example: Example) -> Example:
    """The same example for the blind control: the words, and no picture."""
    messages = [
        {**message, "content": [part for part in message["content"] if part["type"] != "image"]}
        for message in example.messages
    ]
    return Example(**{**vars(example), "messages": messages})


def settings_of(model: Any, processor: Any, examples: Sequence[Example], batch_size: int) -> dict[str, Any]:
    """What the predictions depend on; two runs with the same settings give the same predictions on the same machine."""
    return {
        "weights": weights_digest(model),
        "config": model.config.to_json_string(use_diff=False),
        "dtype": str(model.dtype),
        "examples": examples_digest(examples, processor),
        "number_of_examples": len(examples),
        "decoding": "greedy",
        "batch_size": batch_size,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def batches_of(examples: Sequence[Example], processor: Any, batch_size: int) -> list[list[Example]]:
    """Batches of examples that are decoded the same way, hold as many images, and are of similar length."""

    def way(item: tuple[int, Example]) -> tuple[bool, int, int]:
        return item[1].constrained, item[1].max_new_tokens, len(images_of(item[1]))

    lengths = map(len, tokens_of(prompts_of(examples, processor), processor))
    order = sorted(zip(lengths, examples, strict=True), key=lambda item: (way(item), item[0], item[1].id))
    batches = []
    for _, group in groupby(order, way):
        alike = [example for _, example in group]
        batches += [alike[start : start + batch_size] for start in range(0, len(alike), batch_size)]
    return batches


def predict(
    model: Any,
    processor: Any,
    examples: Sequence[Example],
    file: PredictionFile,
    batch_size: int,
    progress: Progress,
    description: str,
) -> list[dict[str, Any]]:
    """Answers what ``file`` does not hold yet and returns all lines, in the order of the examples.

    A line is ``{"id", "kind", "prompt", "prediction", "finished", "reference"}``; ``finished`` is false where the
    answer was cut at ``max_new_tokens``.
    """
    task = progress.add_task(description, total=len(examples), completed=len(file.lines))
    for batch in batches_of(examples, processor, batch_size):
        if all(example.id in file for example in batch):
            continue
        answered = len(file.lines)
        answers = answer(model, processor, batch)
        file.append(
            [
                {
                    "id": example.id,
                    "kind": example.kind,
                    "prompt": prompt,
                    "prediction": text,
                    "finished": finished,
                    "reference": example.reference,
                }
                for example, prompt, (text, finished) in zip(batch, prompts_of(batch, processor), answers, strict=True)
            ]
        )
        progress.advance(task, len(file.lines) - answered)
    return file.finish()


@torch.inference_mode()
def answer(model: Any, processor: Any, batch: Sequence[Example]) -> list[tuple[str, bool]]:
    """Greedy answers to examples that are decoded the same way: (text, ended by itself) for each."""
    constrained, max_new_tokens = batch[0].constrained, batch[0].max_new_tokens
    assert all((e.constrained, e.max_new_tokens) == (constrained, max_new_tokens) for e in batch)
    inputs = processor.apply_chat_template(
        [example.messages for example in batch],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True, "padding_side": "left"},
    ).to(model.device, model.dtype)
    length = inputs["input_ids"].shape[1]
    constraints = [well_formed_prompt(processor.tokenizer, length, max_new_tokens)] if constrained else []
    tokens = model.generate(
        **inputs,
        do_sample=False,
        num_beams=1,
        max_new_tokens=max_new_tokens,
        logits_processor=LogitsProcessorList(constraints),
    )[:, length:]
    ends = model.generation_config.eos_token_id
    ended = torch.isin(tokens, torch.tensor(ends, device=tokens.device)).any(dim=1).tolist()
    texts = processor.batch_decode(tokens, skip_special_tokens=True)
    return [(text, finished) for text, finished in zip(texts, ended, strict=True)]
