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
import transformers
from rich.progress import Progress
from transformers import LogitsProcessorList

from minigemini.evaluation.benchmark import Example
from minigemini.evaluation.digest import code_digest, images_of, prompts_of, row_keys, short, tokens_of, weights_digest
from minigemini.evaluation.predictions import PredictionFile
from minigemini.evaluation.share import ALONE, Share
from minigemini.evaluation.stored_image import StoredImage
from minigemini.evaluation.view import FULL, View
from minigemini.generation.constrained import well_formed_prompt


def settings_of(model: Any, batch_size: int) -> dict[str, Any]:
    """What all predictions depend on; two runs with equal settings and row keys give the same predictions on the same machine."""
    config = model.config.to_dict()
    device = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else model.device.type
    return {
        "weights": weights_digest(model),
        "config": _without_paths(config),
        "dtype": str(model.dtype),
        "attention": model.config.get_text_config()._attn_implementation,
        "device": device,
        "batch_size": batch_size,
        "code": code_digest(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _without_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a checkpoint, wherever it lies and whichever version wrote it."""
    left_out = ("_name_or_path", "transformers_version")
    return {
        name: _without_paths(value) if isinstance(value, Mapping) else value
        for name, value in config.items()
        if name not in left_out
    }


def batches_of(examples: Sequence[Example], processor: Any, batch_size: int) -> list[list[Example]]:
    """Batches of examples that are decoded the same way, hold as many images, and are of similar length.

    An answer by chance is drawn alone: its seed is its row's, and no neighbour may use up its luck.
    """

    def way(item: tuple[int, Example]) -> tuple[bool, int, tuple[float, ...], int]:
        sampling = item[1].sampling
        drawn = () if sampling is None else (sampling.temperature, sampling.num_beams)
        return item[1].constrained, item[1].max_new_tokens, drawn, len(images_of(item[1]))

    lengths = map(len, tokens_of(prompts_of(examples, processor), processor))
    order = sorted(zip(lengths, examples, strict=True), key=lambda item: (way(item), item[0], item[1].id))
    batches = []
    for _, group in groupby(order, way):
        alike = [example for _, example in group]
        size = batch_size if alike[0].sampling is None else 1
        batches += [alike[start : start + size] for start in range(0, len(alike), size)]
    return batches


def predict(
    loaded: tuple[Any, Any],
    benchmark: str,
    examples: Sequence[Example],
    folder: Path,
    batch_size: int,
    progress: Progress,
    view: View = FULL,
    share: Share = ALONE,
    settings: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Answers what ``folder/predictions.jsonl`` does not hold yet and returns all lines, in the order of the examples.

    A line is ``{"id", "kind", "prompt", "prediction", "finished", "reference", "key"}``; the prediction is stripped of white space
    at its ends, as the published scripts do before they write it; ``finished`` is false where it was cut at ``max_new_tokens``.

    Args:
        loaded: model and processor.
        settings: of :func:`settings_of`, where they are known already.

    Raises:
        ValueError: as :class:`PredictionFile`; a picture that cannot be opened.
    """
    model, processor = loaded
    asked = [view.of(example) for example in examples]
    keys = row_keys(benchmark, asked, processor)
    file = PredictionFile(
        folder, keys, {**(settings or settings_of(model, batch_size)), "view": view.settings()}, share
    )
    batches = batches_of(asked, processor, batch_size)
    own = [batch for number, batch in enumerate(batches) if share.takes(number)]
    todo = [batch for batch in own if not all(example.id in file for example in batch)]
    name = f"{benchmark} {view.name}" + (f" ({share.number + 1} of {share.of})" if share.of > 1 else "")
    total, left = (sum(map(len, some)) for some in (own, todo))
    task = progress.add_task(name, total=total, completed=total - left)
    for batch, inputs in _prepared(processor, todo, view):
        answers = answer(model, processor, batch, inputs, seed=int(short(keys[batch[0].id])[:15], 16))
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
    return [{**message, "content": [_opened_part(part) for part in message["content"]]} for message in example.messages]


def _opened_part(part: dict[str, Any]) -> dict[str, Any]:
    image = part.get("image")
    return {**part, "image": image.open()} if isinstance(image, StoredImage) else part


@torch.inference_mode()
def answer(
    model: Any, processor: Any, batch: Sequence[Example], inputs: Mapping[str, Any], seed: int = 0
) -> list[tuple[str, bool]]:
    """Answers to examples that are decoded the same way: (text, ended by itself) for each.

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
        max_new_tokens=first.max_new_tokens,
        logits_processor=LogitsProcessorList(constraints),
    )[:, length:]
    ends = model.generation_config.eos_token_id
    ended = torch.isin(tokens, torch.tensor(ends, device=tokens.device)).any(dim=1).tolist()
    texts = processor.batch_decode(tokens, skip_special_tokens=True)
    return [(text.strip(), finished) for text, finished in zip(texts, ended, strict=True)]


def _on_device(tensor: torch.Tensor, model: Any) -> torch.Tensor:
    return tensor.to(model.device, model.dtype) if tensor.is_floating_point() else tensor.to(model.device)
