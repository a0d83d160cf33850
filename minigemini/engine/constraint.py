"""Decoding in which a drawing prompt is always well formed: a logits processor over the grammar of ``<h>prompt</h>``.

Whether text is well formed is decided character by character, so nothing is assumed about how a tokenizer cuts the markers:
``<``, ``h>a`` and ``</h>.`` are all just tokens that move the grammar from one state to the next. A token is allowed when it
leads to a state from which the answer can still be finished in the room that is left.

llguidance 1.9.1 was tried: four lines of Lark say this grammar, and a mask of 757 / 32,000 tokens takes it 0.08 / 0.27 ms on one core (ours
0.19 / 0.66). But it cannot count a prompt in another tokenizer's tokens (0.53 / 1.7 ms with that), nor say how many tokens an answer
still needs, and its matchers would have to follow the rows that a beam search reorders: most of this file would stay, so all of it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial, reduce
from typing import NamedTuple

import torch
from torch.nn import functional
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from minigemini.conversation import IMAGE_MARKER, PROMPT_END, PROMPT_START
from minigemini.engine.request import Draw

UNREACHABLE = 1 << 30
CANDIDATES, ENOUGH = 32, 0.999
"""Inside a prompt the length is measured with the likeliest tokens, until they are so many or have this share of the probability."""


class _State(NamedTuple):
    """Where in an answer we are."""

    inside: bool = False  # between <h> and </h>
    has_words: bool = False  # the open prompt holds a letter or a digit
    pending: str = ""  # the beginning of a marker, read so far
    drawn: bool = False  # a prompt has been closed


def _read(state: _State | None, character: str, draw: Draw) -> _State | None:
    """The state after one more character; None where the answer is ill formed."""
    if state is None:
        return None
    text = state.pending + character
    if state.inside:
        if text == PROMPT_END:
            return _State(drawn=True)
        if PROMPT_END.startswith(text):
            # Inside a prompt "<" can only begin "</h>", and an empty prompt may not end.
            return state._replace(pending=text) if state.has_words else None
        if state.pending:
            return None
        return state._replace(has_words=state.has_words or character.isalnum())
    if text == PROMPT_START:
        may_open = draw == "auto" or not state.drawn
        return _State(inside=True, drawn=state.drawn) if may_open else None
    if text == PROMPT_END:
        return None
    if PROMPT_START.startswith(text) or PROMPT_END.startswith(text):
        return state._replace(pending=text)
    return state._replace(pending="<" if character == "<" else "")


def _reduced(surface: str) -> str:
    """A token's text with all the grammar does not look at made equal: words are ``x``, anything else without words a dot."""
    runs: list[str] = re.findall(r"[<>/h]|[^<>/h]+", surface)
    return "".join(run if run in "<>/h" else "x" if any(c.isalnum() for c in run) else "." for run in runs)


@lru_cache(maxsize=4)
def _vocabulary(tokenizer: PreTrainedTokenizerBase, size: int) -> tuple[list[str], torch.Tensor]:
    """What every token does to the grammar: the kinds there are, and the kind of each token [V].

    Tokens whose reduced texts are equal are of one kind; kind 0 is never allowed (special tokens, and any that would stand for a picture).
    """
    texts = _texts(tokenizer, size)
    # Behind half a character, for those that spell rare characters in bytes: there also bytes such as "<" become unreadable
    # when their neighbours make no character, so they cannot be relied on for a marker or a word.
    half = next(([token] for token, text in enumerate(texts) if text == "\ufffd"), None)
    behind_half = _texts(tokenizer, size, half) if half else texts
    special = set(tokenizer.all_special_ids)
    kinds = {"": 0}
    kind_of_token = []
    for token, (text, other) in enumerate(zip(texts, behind_half, strict=True)):
        reliable = other.endswith(text)
        forbidden = token in special or IMAGE_MARKER in text or (not reliable and any(c in text for c in "<h/>"))
        kind = "" if forbidden else (reliable and _reduced(text)) or "."
        kind_of_token.append(kinds.setdefault(kind, len(kinds)))
    return list(kinds), torch.tensor(kind_of_token)


def _texts(tokenizer: PreTrainedTokenizerBase, size: int, before: list[int] | None = None) -> list[str]:
    """What each of the first ``size`` tokens adds to the text of the tokens ``before``, a letter if not given: some tokenizers drop the
    space in front of the first token."""
    before = before or tokenizer.encode("a", add_special_tokens=False)[-1:]
    length = len(tokenizer.decode(before, skip_special_tokens=True))
    tokens = [[*before, token] for token in range(size)]
    texts = tokenizer.batch_decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [text[length:] for text in texts]


class _Place(NamedTuple):
    """A state of the grammar, with tokens for letters. What is [kinds] is about a token of that kind which is written here."""

    inside: bool
    may_end: bool
    after: list[int]  # [kinds] the place it leads to; 0 is the ill-formed one
    needed: torch.Tensor  # [kinds] how many more then complete the answer at least
    writes: torch.Tensor  # [kinds] it belongs to a prompt
    wordless: torch.Tensor  # [kinds] and this prompt has no word yet


@lru_cache(maxsize=16)
def _grammar(tokenizer: PreTrainedTokenizerBase, size: int, draw: Draw) -> list[_Place]:
    """All places: the ill-formed one, the start, and those that can be reached from there."""
    kinds, _ = _vocabulary(tokenizer, size)
    states: list[_State | None] = [None, _State()]
    after = []
    for state in states:  # which become more meanwhile
        row = [reduce(partial(_read, draw=draw), kind, state) if kind else None for kind in kinds]
        states += [new for new in dict.fromkeys(row) if new not in states]
        after.append([states.index(new) for new in row])

    inside = torch.tensor([state is not None and state.inside for state in states])
    wordless = inside & torch.tensor([state is not None and not state.has_words for state in states])
    may_end = ~inside & torch.tensor([state is not None and (state.drawn or draw is not True) for state in states])
    steps = torch.tensor(after)  # [states, kinds]
    needed = torch.where(may_end, 0, UNREACHABLE)
    for _ in states:  # shortest paths: at most as many steps as states
        needed = torch.minimum(needed, needed[steps].amin(1) + 1)
    of_kinds = needed[steps], inside[:, None] | inside[steps], wordless[steps]
    return [_Place(*row) for row in zip(inside.tolist(), may_end.tolist(), after, *of_kinds, strict=True)]


@dataclass(eq=False)
class WellFormedPrompt(LogitsProcessor):
    """See :func:`well_formed_prompt`.

    Attributes:
        shortened: rows of the batch whose prompt was made to end, because the next word would not have fitted.
    """

    tokenizer: PreTrainedTokenizerBase
    prompt_length: int
    max_new_tokens: int
    draw: Draw
    end_token_ids: tuple[int, ...]
    max_prompt_tokens: int | None
    count_prompt_tokens: Callable[[str], int]
    shortened: set[int] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        size = len(self.tokenizer)
        _, self.kind_of_token = _vocabulary(self.tokenizer, size)
        self.places = _grammar(self.tokenizer, size, self.draw)
        self.least = 1 + int(self.places[1].needed.min()) if self.draw is True else 0
        if self.least >= UNREACHABLE:
            raise ValueError(f"this tokenizer has no tokens to write {PROMPT_START}..{PROMPT_END} with")
        if self.least > self.max_new_tokens:
            raise ValueError(
                f"max_new_tokens={self.max_new_tokens} has no room for a drawing prompt, which takes {self.least} at least"
            )

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.FloatTensor:
        """scores [B, V] with -inf at every token that must not follow ``input_ids[:, prompt_length:]``."""
        allowed = torch.ones_like(scores, dtype=torch.bool)
        for row, tokens in enumerate(input_ids[:, self.prompt_length :].tolist()):
            if not any(token in self.end_token_ids for token in tokens):  # else what comes is padding
                allowed[row] = self._allowed(row, tokens, scores[row])
        return scores.masked_fill(~allowed, -torch.inf)  # type: ignore[return-value]

    def _allowed(self, row: int, tokens: list[int], scores: torch.Tensor) -> torch.Tensor:
        """[V] bool, for one answer of which ``tokens`` are written. The scores stay on their device."""
        place = self.places[1]
        for kind in self.kind_of_token[tokens].tolist():
            assert place.after[kind], "the answer holds tokens that this processor had refused"
            place = self.places[place.after[kind]]

        room = self.max_new_tokens - len(tokens) - 1
        fits = place.needed <= room
        if not place.may_end and not place.inside:  # a prompt is still to come
            # Of the room at most a quarter may be talk before it begins.
            fits &= place.writes | (place.needed <= self.max_new_tokens // 4 + self.least - len(tokens) - 1)
        allowed = self._by_token(fits, scores)
        allowed[list(self.end_token_ids)] = place.may_end
        if self.max_prompt_tokens is not None:
            writing = allowed & self._by_token(place.writes, scores)
            if writing.any():
                allowed &= ~writing
                allowed[self._within_budget(tokens, scores, writing, place)] = True
        if place.inside:
            well_formed = self._by_token(place.needed < UNREACHABLE, scores)
            if not allowed[scores.masked_fill(~well_formed, -torch.inf).argmax()]:
                self.shortened.add(row)
        return allowed

    def _by_token(self, of_kinds: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """[V] bool, beside the scores, from [kinds]."""
        # A picture's token may have no score, and scores may be wider: embeddings are often padded.
        known = of_kinds[self.kind_of_token[: len(scores)]]
        return functional.pad(known, (0, len(scores) - len(known))).to(scores.device)

    def _within_budget(self, tokens: list[int], scores: torch.Tensor, among: torch.Tensor, place: _Place) -> list[int]:
        """Of the tokens that write a prompt (``among`` [V]) likely ones with which the generator can read it."""
        assert self.max_prompt_tokens is not None
        for chunk in _likeliest_first(scores, among):
            texts = self.tokenizer.batch_decode([[*tokens, token] for token in chunk], skip_special_tokens=True)
            fitting = []
            for token, text in zip(chunk, texts, strict=True):
                prompt = text.rpartition(PROMPT_START)[2].partition("<")[0].strip()
                # Dots and dashes may not use up what the first word will need.
                part = 2 if place.wordless[self.kind_of_token[token]] else 1
                if self.count_prompt_tokens(prompt) <= self.max_prompt_tokens // part:
                    fitting.append(token)
            if fitting:
                return fitting
        raise ValueError(f"no prompt fits in max_prompt_tokens={self.max_prompt_tokens}")


def _likeliest_first(scores: torch.Tensor, among: torch.Tensor) -> Iterator[list[int]]:
    """The tokens of ``among`` [V] in chunks; the whole vocabulary is sorted only for who asks for a second one."""
    scores = scores.float().masked_fill(~among, -torch.inf)
    count = int(among.sum())
    shares, tokens = scores.softmax(-1).topk(min(CANDIDATES, count))
    first = tokens[: 1 + int((shares.cumsum(-1) < ENOUGH).sum())].tolist()
    yield first
    rest = [token for token in scores.argsort(descending=True)[:count].tolist() if token not in first]
    yield from (rest[start : start + CANDIDATES] for start in range(0, len(rest), CANDIDATES))


@dataclass(eq=False)
class NoPrompt(LogitsProcessor):
    """``<h>`` is never written, whatever tokens it is cut into; with nothing drawn, nothing else needs to be kept in order."""

    tokenizer: PreTrainedTokenizerBase
    end_token_ids: tuple[int, ...]
    shortened: frozenset[int] = field(default=frozenset(), init=False)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.FloatTensor:
        """scores [B, V] with -inf at every token that would complete ``<h>``, and at special ones."""
        completing = _completing_tokens(self.tokenizer, scores.shape[-1], self.end_token_ids, str(scores.device))
        tails = self.tokenizer.batch_decode(input_ids[:, 1 - len(PROMPT_START) :], clean_up_tokenization_spaces=False)
        written = [next((n for n in (2, 1) if tail.endswith(PROMPT_START[:n])), 0) for tail in tails]
        return scores.masked_fill(completing[written], -torch.inf)  # type: ignore[return-value]


@lru_cache(maxsize=4)
def _completing_tokens(
    tokenizer: PreTrainedTokenizerBase, size: int, ends: tuple[int, ...], device: str
) -> torch.Tensor:
    """[3, size] bool: tokens that complete ``<h>`` where so many of its characters are written, and those that are never written."""
    texts = _texts(tokenizer, min(size, len(tokenizer)))
    completing = torch.zeros(len(PROMPT_START), size, dtype=torch.bool)
    for written, row in enumerate(completing):
        row[: len(texts)] = torch.tensor([PROMPT_START in PROMPT_START[:written] + text for text in texts])
    completing[:, [token for token in tokenizer.all_special_ids if token < size and token not in ends]] = True
    return completing.to(device)


Constraint = WellFormedPrompt | NoPrompt


def well_formed_prompt(
    tokenizer: PreTrainedTokenizerBase,
    prompt_length: int,
    max_new_tokens: int,
    *,
    draw: Draw = True,
    end_token_ids: int | Sequence[int] | None = None,
    max_prompt_tokens: int | None = None,
    count_prompt_tokens: Callable[[str], int] | None = None,
) -> Constraint:
    """A logits processor for one ``generate`` call that keeps the markers of drawing prompts in order, for each row alone.

    - ``draw=True``: the answer holds exactly one ``<h>prompt</h>`` with at least one letter or digit in it, whatever the weights.
    - ``draw=False``: ``<h>`` is never written.
    - ``draw="auto"``: the model chooses, also several times; each ``<h>`` it opens is closed.

    Special tokens other than those that end an answer are never written, nor is a token that stands for a picture.

    Args:
        tokenizer: the language model's.
        prompt_length: tokens of input in each row, padding included: ``input_ids.shape[1]``.
        max_new_tokens: as given to ``generate``; every prompt is closed before that.
        end_token_ids: the tokens that end an answer; the tokenizer's ``eos_token_id`` if not given.
        max_prompt_tokens: the longest prompt the image generator reads, measured by ``count_prompt_tokens``; None: any length.
        count_prompt_tokens: how long a prompt is for the image generator; in tokens of the language model if not given.

    Raises:
        ValueError: a prompt cannot be written with this tokenizer, or not within the given lengths.
    """
    ends = tokenizer.eos_token_id if end_token_ids is None else end_token_ids
    if ends is None:
        raise ValueError("the tokenizer has no eos_token_id; name the tokens that end an answer in end_token_ids")
    ends = (ends,) if isinstance(ends, int) else tuple(ends)
    if draw is False:
        return NoPrompt(tokenizer, ends)
    count = count_prompt_tokens or (lambda prompt: len(tokenizer.encode(prompt, add_special_tokens=False)))
    return WellFormedPrompt(tokenizer, prompt_length, max_new_tokens, draw, ends, max_prompt_tokens, count)
