"""``minigemini verify-serving``: does a running server answer as the checkpoint does?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from textwrap import shorten

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from transformers.utils import logging

from minigemini import nano
from minigemini.checkpoints.load import load
from minigemini.conversation import Message, images_of
from minigemini.engine.local import Answer, LocalEngine
from minigemini.engine.request import Decoding, Request
from minigemini.progress import with_progress
from minigemini.serving.asked_server import AskedServer, Refused, Reply, same_name

AT_ONCE = 8  # requests


@dataclass(frozen=True)
class Compared:
    """
    Attributes:
        kind: of question.
        messages: what was asked.
        own: the checkpoint's answer.
        served: the server's.
    """

    kind: str
    messages: Sequence[Message]
    own: Answer
    served: Reply | Refused

    @property
    def same_text(self) -> bool:
        """But for blanks around it, as some servers take off the one that a model writes before its first word, and for what the limit of
        tokens left of a last character: others keep it back."""
        return isinstance(self.served, Reply) and whole_characters(self.served.text) == whole_characters(self.own.text)

    @property
    def same_length(self) -> bool:
        """Both read as many tokens; True where the server does not say."""
        return isinstance(self.served, Reply) and self.served.prompt_tokens in (None, self.own.prompt_tokens)


def verify_serving(
    url: str,
    model: str,
    questions: Mapping[str, Sequence[Sequence[Message]]],
    served_as: str | None = None,
    max_new_tokens: int = 32,
) -> int:
    """Ask the server and the checkpoint, print each difference and a table; the exit code: 1 if there is a difference.

    The checkpoint answers alone, one conversation at a time, as :func:`minigemini.checkpoints.load.load` loads it.

    Args:
        url: of the server, with or without ``/v1``.
        model: checkpoint folder, hub id, or a shipped name.
        questions: kind -> conversations, the user's message last.
        served_as: the server's name for the model; None: the one that ends as ``model`` does.

    Raises:
        ValueError: there is no such model here or at the server, or no server.
    """
    if max_new_tokens < 1:
        raise ValueError(f"max-new-tokens: expected 1 or more, got {max_new_tokens}")
    nano.resolve(model)  # what cannot be is said before anything is asked
    asked = [(kind, messages) for kind, conversations in questions.items() for messages in conversations]
    with AskedServer(url, served_as or model) as server:
        if served_as is None:
            server.name = name_at(server, model)
        begun = time.monotonic()
        threads = ThreadPoolExecutor(AT_ONCE)
        try:
            answers = threads.map(lambda one: server.ask(one[1], max_new_tokens), asked)
            served = list(with_progress(answers, f"asking {server.name}", len(asked)))
        finally:  # after an error or Ctrl-C nothing more is asked
            threads.shutdown(cancel_futures=True)
        served_seconds = time.monotonic() - begun
    logging.disable_progress_bar()
    engine = LocalEngine(*load(model))
    decoding = Decoding(max_new_tokens)
    begun = time.monotonic()
    own = [
        engine.answer([Request(messages, decoding)])[0]
        for _, messages in with_progress(asked, f"asking {model}", len(asked))
    ]
    own_seconds = time.monotonic() - begun
    rows = zip(asked, own, served, strict=True)
    compared = [Compared(kind, messages, mine, theirs) for (kind, messages), mine, theirs in rows]
    show(compared)
    print(f"{server.name} at {server.url}: {len(asked)} answers in {served_seconds:.1f} s, {AT_ONCE} at a time")
    print(f"{model} here, {str(engine.model.dtype).removeprefix('torch.')}: in {own_seconds:.1f} s, one at a time")
    different = sum(not (one.same_text and one.same_length) for one in compared)
    print(f"{different} of {len(asked)} differ" if different else f"all {len(asked)} are the same")
    return 1 if different else 0


def name_at(server: AskedServer, model: str) -> str:
    """The server's name for a model.

    Raises:
        ValueError: it has another.
    """
    names = server.models()
    for name in names:
        if same_name(name, model):
            return name
    raise ValueError(
        f"{server.url}: has {', '.join(map(repr, names)) or 'no model'}, not {model!r}; if one of them is that checkpoint "
        "under another name, say --served-as NAME"
    )


def whole_characters(text: str) -> str:
    return text.strip().rstrip("\N{REPLACEMENT CHARACTER}").rstrip()


def show(compared: Sequence[Compared]) -> None:
    """Each difference, then a table of the kinds of question."""
    console = Console(highlight=False, soft_wrap=True)
    for number, one in enumerate(compared):
        if one.same_text and one.same_length:
            continue
        pictures = len(images_of(one.messages))
        asked = shorten(one.messages[-1].text, 100, placeholder=" ...")
        console.print(f"[bold]{number}[/] {one.kind}, {pictures} pictures: {escape(repr(asked))}")
        console.print(f"    checkpoint: {escape(repr(one.own.text.strip()))}, {one.own.prompt_tokens} tokens read")
        if isinstance(one.served, Refused):
            console.print(f"    server:     refused: {escape(one.served.reason)}")
        else:
            read = "not told" if one.served.prompt_tokens is None else one.served.prompt_tokens
            console.print(f"    server:     {escape(repr(one.served.text.strip()))}, {read} tokens read")
    table = Table(box=None, pad_edge=False)
    for heading in ("question", "asked", "same answer", "same number of tokens read"):
        table.add_column(heading, justify="left" if heading == "question" else "right")
    for kind in dict.fromkeys(one.kind for one in compared):
        of_kind = [one for one in compared if one.kind == kind]
        texts, lengths = (sum(one.same_text for one in of_kind), sum(one.same_length for one in of_kind))
        told = any(isinstance(one.served, Reply) and one.served.prompt_tokens is not None for one in of_kind)
        table.add_row(kind, str(len(of_kind)), str(texts), str(lengths) if told else "not told")
    console.print(table)
