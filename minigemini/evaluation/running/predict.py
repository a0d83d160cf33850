"""The model answers: batched, left padded, examples of similar length together.

Which examples share a batch depends only on the examples, never on what is already answered or on how many processes answer: a
resumed run computes the same batches, hence the same numbers to the last bit, as one that was never interrupted.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from transformers import LogitsProcessorList

from minigemini.benchmarks.benchmark import Example
from minigemini.benchmarks.stored_image import StoredImage
from minigemini.evaluation.running.digest import prompts_of, row_keys, short, tokens_of
from minigemini.evaluation.running.evaluated_model import EvaluatedModel
from minigemini.evaluation.running.predictions import PredictionFile
from minigemini.evaluation.running.share import ALONE, Share
from minigemini.evaluation.running.view import FULL, View
from minigemini.generation.constrained import well_formed_prompt


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
    for batch, inputs in _prepared(processor, todo, view):
        seed = int(keys[batch[0].id]["prompt"][:15], 16)
        answers = answer(*model.loaded, batch, inputs, seed)
        file.append(
            [
                {
                    "id": example.id,
                    "kind": example.kind,
                    "prompt": prompt_of[example.id],
                    "prediction": text,
                    "finished": finished,
                    "reference": example.reference,
                }
                for example, (text, finished) in zip(batch, answers, strict=True)
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
    """The processor's tensors for a batch, on the CPU.

    Raises:
        ValueError: a picture cannot be opened; it is named.
    """
    inputs = processor.apply_chat_template(
        [opened(example) for example in batch],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={"padding": True, "padding_side": "left", **view.processor_kwargs()},
    )
    return view.inputs(inputs)


def opened(example: Example) -> list[dict[str, Any]]:
    """The messages with every picture opened."""
    return example.with_images(
        lambda image: {"type": "image", "image": image.open() if isinstance(image, StoredImage) else image}
    )


@torch.inference_mode()
def answer(
    model: Any, processor: Any, batch: Sequence[Example], inputs: Mapping[str, Any], seed: int = 0
) -> list[tuple[str, bool]]:
    """Answers to examples that are decoded the same way: (text, ended by itself) for each.

    Nothing is left to the checkpoint's generation config but the tokens that end an answer or must not be in it.

    Args:
        inputs: what :func:`prepare` makes of the batch.
        seed: where the answer is drawn by chance.
    """
    first = batch[0]
    assert all(
        (e.constrained, e.max_new_tokens, e.sampling) == (first.constrained, first.max_new_tokens, first.sampling)
        for e in batch
    )
    given = {name: _on_device(tensor, model) for name, tensor in inputs.items()}
    length = given["input_ids"].shape[1]
    constraints = [well_formed_prompt(processor.tokenizer, length, first.max_new_tokens)] if first.constrained else []
    decoding: dict[str, Any] = {"do_sample": False, "num_beams": 1}
    if first.sampling is not None:
        assert len(batch) == 1
        torch.manual_seed(seed)
        decoding = {"do_sample": True, **vars(first.sampling), "top_p": 1.0, "top_k": 50}  # 50: as where nobody set it
    tokens = model.generate(
        **given,
        **decoding,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        max_new_tokens=first.max_new_tokens,
        logits_processor=LogitsProcessorList(constraints),
    )[:, length:]
    ends = model.generation_config.eos_token_id
    ended = torch.isin(tokens, torch.tensor(ends, device=tokens.device)).any(dim=1).tolist()
    texts = processor.batch_decode(tokens, skip_special_tokens=True)
    return [(text.strip(), finished) for text, finished in zip(texts, ended, strict=True)]


def _on_device(tensor: torch.Tensor, model: Any) -> torch.Tensor:
    return tensor.to(model.device, model.dtype) if tensor.is_floating_point() else tensor.to(model.device)
