"""Answers that are decoded together, one token of each a step: requests join between steps and leave when they are finished.

Rows are padded on the left, so that the tokens of one step stand in one column; what is padding is masked, and positions are counted
without it. Each row has constraints, chance and stop strings of its own, and is decoded by the same logits processors as by ``generate``.

A row's answer is that of the request alone but for rounding: a sum may be cut into blocks in another way, which at half precision can
turn two tokens that are as good as equally likely.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event as Flag
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache, LogitsProcessorList

from minigemini.engine.answer_stream import AnswerStream, before_begun, cut_at
from minigemini.engine.local import Answer, LocalEngine
from minigemini.engine.reply import Failed, Reply
from minigemini.engine.request import Request


class Row:
    """One request on its way.

    Args:
        seconds, cancelled: as of :class:`Reply`.

    Raises:
        ValueError: beams are asked for, and as of :meth:`LocalEngine.stream`.
    """

    def __init__(
        self, engine: LocalEngine, request: Request, seconds: float | None = None, cancelled: Flag | None = None
    ) -> None:
        self.reply = Reply(seconds, cancelled)
        if request.decoding.num_beams != 1:
            raise ValueError(
                f"num_beams={request.decoding.num_beams}: answers that are decoded together have one beam each"
            )
        self.inputs = engine.read([request.messages])
        self.prompt_tokens = self.inputs["input_ids"].shape[1]
        self.request = request
        self.room = engine.room(request.decoding, self.prompt_tokens)
        self.constraints = engine.constraints(request.decoding, self.prompt_tokens, self.room)
        self.processors = _processors(engine, self)
        self.chance = None
        if request.seed is not None:
            self.chance = torch.Generator(engine.model.device).manual_seed(request.seed)
        self.end_token_ids = engine.end_token_ids
        self.tokenizer = engine.processor.tokenizer
        self.ids: Tensor = self.inputs["input_ids"]  # [1, read and written]
        self.tokens: list[int] = []  # written
        self.done = False
        self._stream = AnswerStream()

    def end_if_over(self) -> bool:
        """Whether it has ended because nobody listens any more, or its time is over."""
        if self.reply.cancelled.is_set():
            self.finish("cancelled")
        elif error := self.reply.out_of_time:
            self.fail(error)
        return self.done

    def write(self, logits: Tensor) -> None:
        """The next token, chosen by logits [V]; its text is handed on as far as it is settled."""
        decoding = self.request.decoding
        scores = self.processors(self.ids, logits[None].float())  # type: ignore[arg-type]
        if decoding.temperature > 0:
            token = torch.multinomial(scores.softmax(-1), 1, generator=self.chance)
        else:
            token = scores.argmax(-1, keepdim=True)
        self.ids = torch.cat([self.ids, token], dim=1)
        self.tokens.append(int(token))

        text = self.tokenizer.decode(self.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        cut = cut_at(text, decoding.stop)
        if cut != text or self.tokens[-1] in self.end_token_ids:
            self._hand_on(cut)
            self.finish("stop")
        elif len(self.tokens) == self.room:
            self._hand_on(cut)
            self.finish("length")
        else:  # a character may be spelled in several tokens
            self._hand_on(before_begun(text.rstrip("\ufffd"), decoding.stop))

    def finish(self, reason: Literal["stop", "length", "cancelled"]) -> None:
        rest = self._stream.finish(cancelled=reason == "cancelled")
        if rest:
            self.reply.put(rest)
        shortened = any(constraint.shortened for constraint in self.constraints)
        tokens = torch.tensor(self.tokens, dtype=torch.int64)
        self._end(Answer(self._stream.answer, reason, tokens, shortened, prompt_tokens=self.prompt_tokens))

    def fail(self, error: Exception) -> None:
        self._end(Failed(str(error) or type(error).__name__, error))

    def _end(self, event: Answer | Failed) -> None:
        self.reply.put(event)
        self.done = True

    def _hand_on(self, text: str) -> None:
        for piece in self._stream.feed(text[len(self._stream.answer) :]):
            self.reply.put(piece)


class Batch:
    """The rows that are being written.

    Attributes:
        rows: B of them.
        cache: keys and values [B, heads, L, width] of each layer.
        mask: [B, L] int64, 0 at padding.
    """

    def __init__(self, engine: LocalEngine) -> None:
        self.engine = engine
        self.rows: list[Row] = []
        self.cache = DynamicCache()
        self.mask = torch.zeros(0, 0, dtype=torch.int64, device=engine.model.device)

    @torch.inference_mode()
    def join(self, arrivals: Sequence[Row]) -> None:
        """Their pictures are encoded together, and each gets its first token. If that fails, each is tried alone."""
        if not arrivals:
            return
        try:
            logits = self._read(arrivals)
        except Exception as error:
            if len(arrivals) == 1:
                arrivals[0].fail(error)
            for row in arrivals if len(arrivals) > 1 else []:
                self.join([row])
            return
        self._write(arrivals, logits)

    @torch.inference_mode()
    def step(self) -> None:
        """One more token for each row. After an exception the batch is of no use any more."""
        for row in self.rows:
            row.end_if_over()
        self._leave()
        if not self.rows:
            return
        self.mask = functional.pad(self.mask, (0, 1), value=1)
        last = torch.tensor([row.tokens[-1:] for row in self.rows], device=self.mask.device)
        self._write(self.rows, self._logits(last, self.mask, self.mask.sum(1, keepdim=True) - 1, self.cache))

    def _read(self, arrivals: Sequence[Row]) -> Tensor:
        """Adds the rows, and gives what their first tokens may be, [rows, V]."""
        inputs = [row.inputs for row in arrivals]
        width = max(row.prompt_tokens for row in arrivals)
        padding = arrivals[0].end_token_ids[0]
        ids = torch.cat([_left_padded(one["input_ids"], width, padding) for one in inputs])
        mask = torch.cat([_left_padded(one["attention_mask"], width) for one in inputs])
        names = dict.fromkeys(name for one in inputs for name in one if name not in ("input_ids", "attention_mask"))
        pictures = {name: torch.cat([one[name] for one in inputs if name in one]) for name in names}
        cache = DynamicCache()
        logits = self._logits(ids, mask, (mask.cumsum(1) - 1).clamp(min=0), cache, **pictures)

        if self.rows:
            width = max(width, self.mask.shape[1])
            cache = _mapped(
                lambda *two: torch.cat([_left_padded(states, width, dim=-2) for states in two]), self.cache, cache
            )
            mask = torch.cat([_left_padded(self.mask, width), _left_padded(mask, width)])
        self.rows, self.cache, self.mask = [*self.rows, *arrivals], cache, mask
        return logits

    def _logits(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache, **pictures: Tensor) -> Tensor:
        outputs = self.engine.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **pictures,
        )
        return outputs.logits[:, -1]

    def _write(self, rows: Sequence[Row], logits: Tensor) -> None:
        for row, own in zip(rows, logits, strict=True):
            try:
                row.write(own)
            except Exception as error:
                row.fail(error)
        self._leave()

    def _leave(self) -> None:
        kept = [index for index, row in enumerate(self.rows) if not row.done]
        if len(kept) == len(self.rows):
            return
        self.rows = [self.rows[index] for index in kept]
        if not kept:
            self.cache, self.mask = DynamicCache(), self.mask[:0]
            return
        mask = self.mask[kept]
        begin = int(mask.any(0).int().argmax())  # columns in front that are padding in all of them
        self.mask = mask[:, begin:]
        self.cache = _mapped(lambda states: states[kept, :, begin:], self.cache)


def _processors(engine: LocalEngine, row: Row) -> LogitsProcessorList:
    """Those of ``generate``, in its order: the checkpoint's suppressed tokens, the constraints, temperature and what it cuts off.

    Some of it is not transformers' public interface; ours would be a second list of what a generation config can ask for.
    """
    model = engine.model
    options = engine.options(row.request.decoding, row.constraints) | {"max_new_tokens": row.room}
    constraints = options.pop("logits_processor")
    config, _ = model._prepare_generation_config(None, **options)
    model._prepare_special_tokens(config, device=model.device)
    return model._get_logits_processor(
        config, input_ids_seq_length=row.prompt_tokens, logits_processor=constraints, device=str(model.device)
    )


def _left_padded(tensor: Tensor, width: int, value: int = 0, dim: int = -1) -> Tensor:
    assert dim in (-1, -2)
    return functional.pad(tensor, (*[0] * (2 * (-dim - 1)), width - tensor.shape[dim], 0), value=value)


def _mapped(change: Callable[..., Tensor], *caches: DynamicCache) -> DynamicCache:
    """A cache with ``change`` of the keys, and of the values, of the same layer in each of ``caches``."""
    changed = DynamicCache()
    for index, layers in enumerate(zip(*(cache.layers for cache in caches), strict=True)):
        states: list[Any] = [change(*(getattr(layer, name) for layer in layers)) for name in ("keys", "values")]
        changed.update(*states, index)
    return changed
