"""A model on this machine that answers: several conversations at once, or one as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from threading import RLock
from typing import Any, Literal

import torch
from PIL import Image
from transformers import LogitsProcessorList, StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

from minigemini.conversation import Message, PromptSpan, for_template, images_of
from minigemini.engine.answer_stream import AnswerStream, cut_at, until
from minigemini.engine.constraint import Constraint, well_formed_prompt
from minigemini.engine.request import Decoding, Request
from minigemini.media import open_image


@dataclass(frozen=True)
class Answer:
    """
    Attributes:
        text: as the model wrote it, drawing prompts included, special tokens not.
        finish_reason: ``"stop"`` by the model or at a ``stop``, ``"length"`` at the token limit, ``"cancelled"``.
        token_ids: [A] int64, on the CPU; of a batch, with what pads it to the longest answer.
        shortened: a drawing prompt was made to end, because the next word would not have fitted.
        prompt_tokens: that were read, those of pictures included.
    """

    text: str
    finish_reason: Literal["stop", "length", "cancelled"]
    token_ids: torch.Tensor
    shortened: bool = False
    prompt_tokens: int = field(kw_only=True)


class LocalEngine:
    """A model and its processor. Any number of threads may ask it; it does one thing at a time.

    Args:
        model: a ``MiniGeminiForConditionalGeneration`` in eval mode (any model whose processor has a chat template will do).
        processor: its processor.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model = model
        self.processor = processor
        self._lock = RLock()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing else is answered meanwhile."""
        with self._lock:
            yield

    def read(self, conversations: Sequence[Sequence[Message]]) -> dict[str, Any]:
        """The processor's tensors, on the model's device and in its dtype; errors as of :func:`prepare`."""
        return self._placed(prepare(self.processor, conversations))

    @torch.inference_mode()
    def answer(self, requests: Sequence[Request], inputs: Mapping[str, Any] | None = None) -> list[Answer]:
        """One batch. All are decoded the same way, and by the seed of the first.

        Args:
            inputs: what :func:`prepare` makes of the requests, where it is there already.

        Raises:
            ValueError: as of :func:`prepare` and :func:`well_formed_prompt`.
        """
        first = requests[0]
        assert all(request.decoding == first.decoding for request in requests)
        given = self._placed(inputs or prepare(self.processor, [request.messages for request in requests]))
        length = given["input_ids"].shape[1]
        constraints = self.constraints(first.decoding, length, first.decoding.max_new_tokens)
        with self._lock, _seeded(first.seed, self.model.device):
            tokens = self.model.generate(**given, **self.options(first.decoding, constraints))[:, length:].cpu()
        ended = torch.isin(tokens, torch.tensor(self.end_token_ids)).any(dim=1).tolist()
        texts = self.processor.batch_decode(tokens, skip_special_tokens=True)
        answers = []
        read = given["attention_mask"].sum(1).tolist()
        for row, (text, own, end) in enumerate(zip(texts, tokens, ended, strict=True)):
            cut = cut_at(text, first.decoding.stop)
            shortened = any(row in constraint.shortened for constraint in constraints)
            answers.append(
                Answer(cut, "stop" if end or cut != text else "length", own, shortened, prompt_tokens=read[row])
            )
        return answers

    def stream(self, request: Request, cancelled: Flag) -> Iterator[str | PromptSpan | Answer]:
        """One answer as it is written: text, each drawing prompt when it is complete, and at last the whole.

        Args:
            cancelled: ends the answer when it is set, from any thread. It is set when nobody listens any more.

        Raises:
            ValueError: as of :meth:`answer`, or the conversation has outgrown the model's context; before anything is written.
        """
        assert request.decoding.num_beams == 1, "beams change their minds"
        inputs = self.read([request.messages])
        length = inputs["input_ids"].shape[1]
        room = self.room(request.decoding, length)
        constraints = self.constraints(request.decoding, length, room)
        options = {**inputs, **self.options(request.decoding, constraints), "max_new_tokens": room}
        return self._stream(request, options, constraints, cancelled)

    def _stream(
        self, request: Request, options: dict[str, Any], constraints: Sequence[Constraint], cancelled: Flag
    ) -> Iterator[str | PromptSpan | Answer]:
        streamer = TextIteratorStreamer(
            self.processor.tokenizer, skip_prompt=True, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        criteria = StoppingCriteriaList([_StopWhenSet(cancelled)])

        def generate() -> torch.Tensor:
            with self._lock, torch.inference_mode(), _seeded(request.seed, self.model.device):
                return self.model.generate(**options, streamer=streamer, stopping_criteria=criteria)

        stream = AnswerStream()
        with ThreadPoolExecutor(1) as thread:
            tokens = thread.submit(generate)
            # Also when it fails: else we would wait for the end of the text for ever.
            tokens.add_done_callback(lambda _: streamer.text_queue.put(streamer.stop_signal))
            try:
                for text in until(streamer, request.decoding.stop):
                    yield from stream.feed(text)
            except BaseException:  # nobody listens any more: do not wait for the rest of the text
                cancelled.set()
                raise
            written = tokens.result()[0, options["input_ids"].shape[1] :].cpu()

        reason: Literal["stop", "length", "cancelled"] = "length"
        if cancelled.is_set():
            reason = "cancelled"
        elif int(written[-1]) in self.end_token_ids or len(written) < options["max_new_tokens"]:
            reason = "stop"
        rest = stream.finish(cancelled=reason == "cancelled")
        if rest:
            yield rest
        shortened = any(constraint.shortened for constraint in constraints)
        yield Answer(stream.answer, reason, written, shortened, prompt_tokens=options["input_ids"].shape[1])

    @torch.inference_mode()
    def first_token_logits(self, conversations: Sequence[Sequence[Message]]) -> torch.Tensor:
        """[B, V] float32: what the first token of each answer would be."""
        inputs = self.read(conversations)
        with self._lock:
            return self.model(**inputs, logits_to_keep=1).logits[:, -1].float()

    @property
    def end_token_ids(self) -> list[int]:
        """The tokens that end an answer."""
        ends = self.model.generation_config.eos_token_id or self.processor.tokenizer.eos_token_id
        return [ends] if isinstance(ends, int) else list(ends)

    def room(self, decoding: Decoding, length: int) -> int:
        """How many tokens an answer to ``length`` tokens may have.

        Raises:
            ValueError: none, the conversation has outgrown the model's context.
        """
        context = self.model.config.get_text_config().max_position_embeddings
        if length >= context:
            raise ValueError(f"the conversation has grown to {length} tokens and the model reads {context}: start anew")
        return min(decoding.max_new_tokens, context - length)

    def constraints(self, decoding: Decoding, length: int, room: int) -> list[Constraint]:
        """What keeps the drawing prompts of one batch in order, for ``length`` tokens read and ``room`` to write; errors as of
        :func:`well_formed_prompt`."""
        asked = decoding.drawing
        if asked is None:
            return []
        return [
            well_formed_prompt(
                self.processor.tokenizer,
                length,
                room,
                draw=asked.draw,
                end_token_ids=self.end_token_ids,
                max_prompt_tokens=asked.max_prompt_tokens,
                count_prompt_tokens=asked.count_prompt_tokens,
            )
        ]

    def options(self, decoding: Decoding, constraints: Sequence[Constraint]) -> dict[str, Any]:
        """Of ``generate``; those that are not set would be the checkpoint's."""
        options: dict[str, Any] = {
            "max_new_tokens": decoding.max_new_tokens,
            "num_beams": decoding.num_beams,
            "repetition_penalty": decoding.repetition_penalty,
            "no_repeat_ngram_size": 0,
            "do_sample": decoding.temperature > 0,
            "eos_token_id": self.end_token_ids,
            "logits_processor": LogitsProcessorList(constraints),
        }
        if self.model.generation_config.pad_token_id is None:
            options["pad_token_id"] = self.end_token_ids[0]
        if decoding.temperature > 0:
            options |= {"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": decoding.top_k}
        if decoding.stop:
            options |= {"stop_strings": list(decoding.stop), "tokenizer": self.processor.tokenizer}
        return options

    def _placed(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        device, dtype = self.model.device, self.model.dtype
        return {
            name: tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)
            for name, tensor in inputs.items()
        }


def prepare(processor: Any, conversations: Sequence[Sequence[Message]], **options: Any) -> dict[str, Any]:
    """The processor's tensors for a batch, left padded, on the CPU.

    Args:
        options: more of the processor's.

    Raises:
        ValueError: a picture cannot be opened, or the chat template does not take the conversation.
    """
    return dict(
        processor.apply_chat_template(
            [opened(messages) for messages in conversations],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True, "padding_side": "left", **options},
        )
    )


def opened(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """As the chat template takes them, with every picture opened; errors as of :func:`prepare`."""
    return for_template(messages, map(picture, images_of(messages)))


def picture(source: Any) -> Image.Image:
    """Opened from what a message may hold; errors as of :func:`prepare`."""
    if isinstance(source, Image.Image):
        return source
    return open_image(source) if isinstance(source, str | Path | bytes) else source.open()


@contextmanager
def _seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else [], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        yield


class _StopWhenSet(StoppingCriteria):
    def __init__(self, flag: Flag) -> None:
        self.flag = flag

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        rows = input_ids.shape[:1]
        return torch.full(rows, self.flag.is_set(), dtype=torch.bool, device=input_ids.device)  # type: ignore[return-value]
