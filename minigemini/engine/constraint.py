"""Decoding in which a drawing prompt is always well formed: a logits processor over the grammar of ``<h>prompt</h>``.

Whether text is well formed is decided character by character, so nothing is assumed about how a tokenizer cuts the markers:
``<``, ``h>a`` and ``</h>.`` are all just tokens that move the grammar from one state to the next. A token is allowed when it
leads to a state from which the answer can still be finished in the room that is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from minigemini.conversation import IMAGE_MARKER, PROMPT_END, PROMPT_START
from minigemini.engine.request import Draw

UNREACHABLE = 1 << 30
CANDIDATES, ENOUGH = 32, 0.999
"""At each step inside a prompt the length is measured with the likeliest tokens, until they have this share of the probability
or are this many; less likely ones are not considered."""


class _State(NamedTuple):
    """Where in an answer we are."""

    inside: bool = False  # between <h> and </h>
    has_words: bool = False  # the open prompt holds a letter or a digit
    pending: str = ""  # the beginning of a marker, read so far
    drawn: bool = False  # a prompt has been closed


def _read(state: _State, character: str, draw: Draw) -> _State | None:
    """The state after one more character; None where it makes the answer ill formed."""
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


@dataclass(frozen=True)
class _Vocabulary:
    """What every token does to the grammar.

    Tokens whose reduced texts are equal are of one kind; ``kind_of_token`` [V] indexes ``kinds``, and kind 0 is never allowed
    (special tokens, and any that would stand for a picture).
    """

    kinds: list[str]
    kind_of_token: torch.Tensor


@lru_cache(maxsize=4)
def _vocabulary(tokenizer: PreTrainedTokenizerBase, size: int) -> _Vocabulary:
    # Behind another token, for tokenizers that drop the space in front of the first one.
    texts = _texts_behind(tokenizer, tokenizer.encode("a", add_special_tokens=False)[-1:], size)
    # Behind half a character, for those that spell rare characters in bytes: there also bytes such as "<" become unreadable
    # when their neighbours make no character, so they cannot be relied on for a marker or a word.
    half = next(([token] for token, text in enumerate(texts) if text == "\ufffd"), [])
    behind_half = _texts_behind(tokenizer, half, size) if half else texts
    special = set(tokenizer.all_special_ids)
    kinds = {"": 0}
    kind_of_token = []
    for token, (text, other) in enumerate(zip(texts, behind_half, strict=True)):
        reliable = other.endswith(text)
        forbidden = token in special or IMAGE_MARKER in text or (not reliable and any(c in text for c in "<h/>"))
        kind = "" if forbidden else (reliable and _reduced(text)) or "."
        kind_of_token.append(kinds.setdefault(kind, len(kinds)))
    return _Vocabulary(list(kinds), torch.tensor(kind_of_token))


def _texts_behind(tokenizer: PreTrainedTokenizerBase, before: list[int], size: int) -> list[str]:
    """What each of the first ``size`` tokens adds to the text of the tokens ``before``."""
    length = len(tokenizer.decode(before, skip_special_tokens=True))
    tokens = [[*before, token] for token in range(size)]
    texts = tokenizer.batch_decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return [text[length:] for text in texts]


@dataclass(frozen=True)
class _Grammar:
    """The grammar with tokens for letters.

    ``after`` [states, kinds] is the state after a token (-1: ill formed); ``inside``, ``wordless`` and ``may_end`` [states] say where
    an answer is within a prompt, where this has no word yet, and where the answer is complete; ``needed`` [states] how many tokens at
    least complete it. State 0 is the start.
    """

    after: torch.Tensor
    inside: torch.Tensor
    wordless: torch.Tensor
    may_end: torch.Tensor
    needed: torch.Tensor


@lru_cache(maxsize=16)
def _grammar(tokenizer: PreTrainedTokenizerBase, size: int, draw: Draw) -> _Grammar:
    kinds = _vocabulary(tokenizer, size).kinds
    states = [_State()]
    after: list[list[int]] = []
    while len(after) < len(states):
        row = [-1]  # kind 0
        for kind in kinds[1:]:
            state: _State | None = states[len(after)]
            for character in kind:
                state = _read(state, character, draw) if state is not None else None
            if state is not None and state not in states:
                states.append(state)
            row.append(states.index(state) if state is not None else -1)
        after.append(row)

    may_end = [not state.inside and (state.drawn or draw is not True) for state in states]
    needed = [0 if end else UNREACHABLE for end in may_end]
    for _ in states:  # shortest paths: at most as many steps as states
        needed = [
            min([least, *(needed[n] + 1 for n in row if n >= 0)]) for least, row in zip(needed, after, strict=True)
        ]
    return _Grammar(
        after=torch.tensor(after),
        inside=torch.tensor([state.inside for state in states]),
        wordless=torch.tensor([state.inside and not state.has_words for state in states]),
        may_end=torch.tensor(may_end),
        needed=torch.tensor(needed),
    )


class WellFormedPrompt(LogitsProcessor):
    """See :func:`well_formed_prompt`.

    Attributes:
        shortened: rows of the batch whose prompt was made to end, because the next word would not have fitted.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        prompt_length: int,
        max_new_tokens: int,
        draw: Draw,
        end_token_ids: Sequence[int],
        max_prompt_tokens: int | None,
        count_prompt_tokens: Callable[[str], int],
    ) -> None:
        size = len(tokenizer)
        self.tokenizer = tokenizer
        self.prompt_length = prompt_length
        self.max_new_tokens = max_new_tokens
        self.draw = draw
        self.end_token_ids = list(end_token_ids)
        self.max_prompt_tokens = max_prompt_tokens
        self.count_prompt_tokens = count_prompt_tokens
        self.kind_of_token = _vocabulary(tokenizer, size).kind_of_token
        self.grammar = _grammar(tokenizer, size, draw)
        self.after = self.grammar.after.tolist()
        self.shortened: set[int] = set()

        least = int(self.grammar.needed[0])
        if least >= UNREACHABLE:
            raise ValueError(f"this tokenizer has no tokens to write {PROMPT_START}..{PROMPT_END} with")
        if least > max_new_tokens:
            raise ValueError(
                f"max_new_tokens={max_new_tokens} has no room for a drawing prompt, which takes {least} at least"
            )

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.FloatTensor:
        """scores [B, V] with -inf at every token that must not follow ``input_ids[:, prompt_length:]``."""
        allowed = torch.zeros(scores.shape, dtype=torch.bool)
        for row, tokens in enumerate(input_ids[:, self.prompt_length :].tolist()):
            if any(token in self.end_token_ids for token in tokens):
                allowed[row] = True  # this answer is finished; what comes is padding
            else:
                self._allow(row, tokens, scores[row].detach().float().cpu(), allowed[row])
        return scores.masked_fill(~allowed.to(scores.device), -torch.inf)  # type: ignore[return-value]

    def _allow(self, row: int, tokens: list[int], scores: torch.Tensor, allowed: torch.Tensor) -> None:
        """Set ``allowed`` [V] for one answer of which ``tokens`` are written."""
        grammar = self.grammar
        kinds = self.kind_of_token[: scores.shape[-1]]  # a picture's token may have no score
        state = 0
        for kind in kinds[tokens].tolist():
            state = self.after[state][kind]
            assert state >= 0, "the answer holds tokens that this processor had refused"

        after = grammar.after[state]  # [kinds]
        needed = torch.where(after >= 0, grammar.needed[after], UNREACHABLE)
        well_formed = needed < UNREACHABLE
        fits = needed <= self.max_new_tokens - len(tokens) - 1
        if self.draw is True and not grammar.may_end[state] and not grammar.inside[state]:
            # Of the room at most a quarter may be talk before the prompt begins.
            room = self.max_new_tokens // 4 + int(grammar.needed[0]) - len(tokens) - 1
            fits &= grammar.inside[after] | (needed <= room)
        size = len(kinds)  # scores may be wider: embeddings are often padded
        allowed[:size] = (well_formed & fits)[kinds]
        allowed[self.end_token_ids] = bool(grammar.may_end[state])
        if self.max_prompt_tokens is not None:
            writes = (grammar.inside[state] | grammar.inside[after])[kinds]
            self._keep_within_budget(tokens, scores, allowed, writes, grammar.wordless[after][kinds])
        if grammar.inside[state]:
            wanted = int(scores[:size].masked_fill(~well_formed[kinds], -torch.inf).argmax())
            if not allowed[wanted]:
                self.shortened.add(row)

    def _keep_within_budget(
        self,
        tokens: list[int],
        scores: torch.Tensor,
        allowed: torch.Tensor,
        writes: torch.Tensor,
        wordless: torch.Tensor,
    ) -> None:
        """Of the tokens that write a prompt (``writes`` [V]) allow only likely ones with which the generator can read it.

        ``wordless`` [V]: there is still no word in the prompt after the token.
        """
        assert self.max_prompt_tokens is not None
        writing = torch.zeros_like(allowed)
        writing[: len(writes)] = writes & allowed[: len(writes)]
        allowed &= ~writing
        if not writing.any():
            return
        likely = scores.masked_fill(~writing, -torch.inf).softmax(-1).sort(descending=True)
        candidates = likely.indices[: int(writing.sum())].tolist()
        first = min(CANDIDATES, 1 + int((likely.values.cumsum(-1) < ENOUGH).sum()))
        for start, end in pairwise([0, *range(first, len(candidates), CANDIDATES), len(candidates)]):
            chunk = candidates[start:end]
            texts = self.tokenizer.batch_decode([[*tokens, token] for token in chunk], skip_special_tokens=True)
            for token, text in zip(chunk, texts, strict=True):
                prompt = text.rpartition(PROMPT_START)[2].partition("<")[0].strip()
                # Dots and dashes may not use up what the first word will need.
                room = self.max_prompt_tokens // 2 if wordless[token] else self.max_prompt_tokens
                allowed[token] = self.count_prompt_tokens(prompt) <= room
            if allowed.any():
                return
        raise ValueError(f"no prompt fits in max_prompt_tokens={self.max_prompt_tokens}")


class NoPrompt(LogitsProcessor):
    """``<h>`` is never written, whatever tokens it is cut into. Only the last tokens are looked at, and no logits leave their device:
    nothing is drawn, so nothing else needs to be kept in order."""

    shortened: frozenset[int] = frozenset()

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_token_ids: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.end_token_ids = tuple(end_token_ids)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.FloatTensor:
        """scores [B, V] with -inf at every token that would complete ``<h>``, and at special ones."""
        completing = _completing_tokens(self.tokenizer, scores.shape[-1], self.end_token_ids, str(scores.device))
        tails = self.tokenizer.batch_decode(input_ids[:, 1 - len(PROMPT_START) :], clean_up_tokenization_spaces=False)
        written = [next((n for n in (2, 1) if tail.endswith(PROMPT_START[:n])), 0) for tail in tails]
        return scores.masked_fill(completing[written], -torch.inf)  # type: ignore[return-value]


@lru_cache(maxsize=4)
def _completing_tokens(
    tokenizer: PreTrainedTokenizerBase, size: int, end_token_ids: tuple[int, ...], device: str
) -> torch.Tensor:
    """[3, size] bool: tokens that complete ``<h>`` where so many of its characters are written, and those that are never written."""
    texts = _texts_behind(tokenizer, tokenizer.encode("a", add_special_tokens=False)[-1:], min(size, len(tokenizer)))
    completing = torch.zeros(len(PROMPT_START), size, dtype=torch.bool)
    for token, text in enumerate(texts):
        for written in range(len(PROMPT_START)):
            completing[written, token] = PROMPT_START in text or (
                written > 0 and text.startswith(PROMPT_START[written:])
            )
    never = [token for token in tokenizer.all_special_ids if token < size and token not in end_token_ids]
    completing[:, never] = True
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
        draw: see above.
        end_token_ids: the tokens that end an answer; the tokenizer's ``eos_token_id`` if not given.
        max_prompt_tokens: the longest prompt the image generator reads, measured by ``count_prompt_tokens``; None: any length.
        count_prompt_tokens: how long a prompt is for the image generator; in tokens of the language model if not given.

    Raises:
        ValueError: a prompt cannot be written with this tokenizer, or not within the given lengths.
    """
    if end_token_ids is None:
        end_token_ids = tokenizer.eos_token_id
    if end_token_ids is None:
        raise ValueError("the tokenizer has no eos_token_id; name the tokens that end an answer in end_token_ids")
    ends = [end_token_ids] if isinstance(end_token_ids, int) else end_token_ids
    if draw is False:
        return NoPrompt(tokenizer, ends)
    return WellFormedPrompt(
        tokenizer,
        prompt_length,
        max_new_tokens,
        draw,
        ends,
        max_prompt_tokens,
        count_prompt_tokens or (lambda prompt: len(tokenizer.encode(prompt, add_special_tokens=False))),
    )
