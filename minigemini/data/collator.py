"""Examples -> a batch for the model."""

from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from minigemini.data.mixture import Example
from minigemini.data.tokens import Processor, tokens_per_image

IGNORED = -100  # label of a token that is not trained on


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
        tokens = [example.tokens.expanded(self.image_token_id, self.tokens_per_image) for example in examples]
        ids = [torch.from_numpy(sample.ids).long() for sample in tokens]
        labels = [
            sample_ids.masked_fill(~torch.from_numpy(sample.trained), IGNORED)
            for sample_ids, sample in zip(ids, tokens, strict=True)
        ]
        batch: dict[str, Any] = {
            "names": [example.name for example in examples],
            "sources": [example.source for example in examples],
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=self.pad_token_id),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
        }
        images = [image for example in examples for image in example.images]
        return batch | dict(self.image_processor(images, return_tensors="pt")) if images else batch
