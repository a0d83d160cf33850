"""Examples -> a batch for the model."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from minigemini.data.mixture import Example
from minigemini.data.tokens import Processor, tokens_per_image

IGNORED = torch.nn.CrossEntropyLoss().ignore_index  # label of a token that is not trained on: torch's own, -100


class Collator:
    """Pads tokens on the right and has the processor make pixels of the images, all of a batch at once."""

    def __init__(self, processor: Processor):
        self.image_processor = processor.image_processor
        self.image_token_id = processor.image_token_id
        self.tokens_per_image = tokens_per_image(processor)
        self.pad_token_id = processor.tokenizer.pad_token_id

    def __call__(self, examples: list[Example]) -> dict[str, Any]:
        """
        Returns:
            ``names`` and ``sources`` of the B records (lists, not for the model), ``input_ids``, ``attention_mask``, ``labels``
            [B, L] int64, and the image processor's pixel keys for the N images in reading order (none in a batch of text
            alone). ``labels`` is -100 for all but the assistant's tokens.
        """
        ids, labels = self.ids_and_labels(examples)
        batch = {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=self.pad_token_id),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        }
        return batch | self.pixels_and_names(examples)

    def ids_and_labels(self, examples: list[Example]) -> tuple[list[Tensor], list[Tensor]]:
        """Of each sample, [L] int64."""
        tokens = [example.tokens.expanded(self.image_token_id, self.tokens_per_image) for example in examples]
        ids = [torch.from_numpy(sample.ids).long() for sample in tokens]
        trained = [torch.from_numpy(sample.trained) for sample in tokens]
        return ids, [row.masked_fill(~mask, IGNORED) for row, mask in zip(ids, trained, strict=True)]

    def pixels_and_names(self, examples: list[Example]) -> dict[str, Any]:
        images = [image for example in examples for image in example.images]
        pixels = dict(self.image_processor(images, return_tensors="pt")) if images else {}
        names = {"names": [example.name for example in examples], "sources": [example.source for example in examples]}
        return names | pixels


class PackCollator(Collator):
    """Sets the samples of a pack behind each other, as one row without padding or mask."""

    def __call__(self, packs: list[list[Example]]) -> dict[str, Any]:  # type: ignore[override]
        """
        Args:
            packs: one of them: a pack is a micro-batch.

        Returns:
            The same keys with B = 1 and the tokens of all samples in a row, but ``position_ids`` [1, L], which begin at 0 with every
            sample, in place of ``attention_mask``: that is how transformers' masks and variable-length kernels know a pack.
        """
        (examples,) = packs
        ids, labels = self.ids_and_labels(examples)
        for row in labels:
            row[0] = IGNORED  # the last token of the sample before does not predict it
        batch = {
            "input_ids": torch.cat(ids)[None],
            "position_ids": torch.cat([torch.arange(len(row)) for row in ids])[None],
            "labels": torch.cat(labels)[None],
        }
        return batch | self.pixels_and_names(examples)


def sample_of_trained_tokens(batch: dict[str, Any], trained: int) -> Tensor:
    """The number in ``names`` of the sample that each trained token belongs to, [trained tokens], in the order of the model's
    ``token_losses``. No value is asked of the device.

    Args:
        trained: how many there are, which the model's losses tell.
    """
    counts = count_of_samples(batch, torch.nn.functional.pad(batch["labels"][:, 1:] != IGNORED, (1, 0)))
    return torch.arange(len(counts), device=counts.device).repeat_interleave(counts, output_size=trained)


def lengths_of_samples(batch: dict[str, Any]) -> Tensor:
    """[samples] int64, in tokens, on the batch's device."""
    mask = batch.get("attention_mask")
    return count_of_samples(batch, torch.ones_like(batch["input_ids"]) if mask is None else mask)


def count_of_samples(batch: dict[str, Any], mask: Tensor) -> Tensor:
    """How many tokens of each sample the mask [B, L] has, [samples] int64."""
    if "position_ids" in batch:
        sample = (batch["position_ids"] == 0).cumsum(dim=1) - 1
    else:
        sample = torch.arange(len(mask), device=mask.device)[:, None].expand_as(mask)
    zeros = torch.zeros(len(batch["names"]), dtype=torch.int64, device=mask.device)
    return zeros.index_add(0, sample.flatten(), mask.flatten().long())
