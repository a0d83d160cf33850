"""Examples -> a batch for the model, with labels from the chat template's own generation spans."""

import torch
from PIL import Image
from transformers import ProcessorMixin

from minigemini.data.mixture import Example
from minigemini.data.records import messages

IGNORED = -100  # label of a token that is not trained on


class Collator:
    """Calls the processor on the conversations of a batch and adds ``labels``.

    ``labels`` [B, L] are the token ids where the template's generation spans are (the assistant's words and the token
    that ends them) and -100 elsewhere. Samples are padded on the right.

    A batch without any image gets a blank one, its tokens behind the end of the shortest sample, where the attention
    mask is 0 and labels are -100. No word sees it, so losses stay as they are and its gradients are exactly zero; but
    towers, mining and projector run and have gradients on every process, which DDP and ZeRO-3 wait for. It is added
    on one process too, so that the number of processes does not change the arithmetic.
    """

    def __init__(self, processor: ProcessorMixin):
        self.processor = processor
        blank = processor(
            images=[Image.new("RGB", (8, 8))],
            text=[processor.image_token],
            add_special_tokens=False,
            return_tensors="pt",
        )
        self.blank_ids = blank["input_ids"][0]
        self.blank_pixels = {key: blank[key] for key in processor.image_processor.model_input_names if key in blank}

    def __call__(self, examples: list[Example]) -> dict[str, torch.Tensor]:
        """
        Returns:
            ``input_ids``, ``attention_mask``, ``labels`` [B, L] and the processor's pixel keys, N images in reading
            order.
        """
        encoded = self.processor.apply_chat_template(
            [messages(example.record, example.images) for example in examples],
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
            processor_kwargs={"padding": True, "padding_side": "right"},
        )
        batch = {
            key: torch.stack(list(value)) if key in self.blank_pixels else torch.as_tensor(value)
            for key, value in encoded.items()
        }
        answers = batch.pop("assistant_masks").bool()
        batch["labels"] = batch["input_ids"].masked_fill(~answers, IGNORED)
        for example, length, trained in zip(examples, batch["attention_mask"].sum(1), answers.any(1), strict=True):
            assert length == example.length, (
                f"{example.record.name}: {length} tokens, the check counted {example.length}"
            )
            assert trained, f"{example.record.name}: nothing to learn from"
        if not any(example.images for example in examples):
            batch = self._with_blank_image(batch)
        return batch

    def _with_blank_image(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        lengths = batch["attention_mask"].sum(1)
        shortest = int(lengths.argmin())
        start = int(lengths[shortest])
        missing = start + len(self.blank_ids) - batch["input_ids"].shape[1]
        if missing > 0:
            padding = {"input_ids": self.processor.tokenizer.pad_token_id, "attention_mask": 0, "labels": IGNORED}
            for key, value in padding.items():
                batch[key] = torch.nn.functional.pad(batch[key], (0, missing), value=value)
        batch["input_ids"][shortest, start : start + len(self.blank_ids)] = self.blank_ids
        return batch | self.blank_pixels
