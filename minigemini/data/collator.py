"""Examples -> a batch for the model, with labels from the chat template's own generation spans."""

import torch
from transformers import ProcessorMixin

from minigemini.data.mixture import Example
from minigemini.data.records import messages

IGNORED = -100  # label of a token that is not trained on


class Collator:
    """Calls the processor on the conversations of a batch and adds the labels."""

    def __init__(self, processor: ProcessorMixin):
        self.processor = processor

    def __call__(self, examples: list[Example]) -> dict[str, torch.Tensor]:
        """
        Returns:
            ``input_ids``, ``attention_mask``, ``labels`` [B, L], padded on the right, and the processor's pixel keys for the
            N images in reading order (none in a batch of text alone). ``labels`` are the ids of the tokens in the
            template's generation spans (the assistant's words and the token that ends them), and -100 elsewhere.
        """
        batch = self.processor.apply_chat_template(
            [messages(example.record, example.images) for example in examples],
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            return_assistant_tokens_mask=True,
            processor_kwargs={"padding": True, "padding_side": "right"},
        )
        answers = batch.pop("assistant_masks").bool()
        batch["labels"] = batch["input_ids"].masked_fill(~answers, IGNORED)
        for example, length, trained in zip(examples, batch["attention_mask"].sum(1), answers.any(1), strict=True):
            assert length == example.length, (
                f"{example.record.name}: {length} tokens, the check counted {example.length}"
            )
            assert trained, f"{example.record.name}: nothing to learn from"
        return dict(batch)
