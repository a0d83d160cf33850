"""A conversation without a session -> the events of its answer."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from threading import Event as Flag

from jinja2 import TemplateError
from PIL.Image import Image

from minigemini.conversation import images_of
from minigemini.engine.local import picture
from minigemini.safety.refusal import refusal
from minigemini.serving.conversation import Turn, as_read, as_typed, parents_in
from minigemini.serving.events import Event, Notice
from minigemini.serving.http.served import Served
from minigemini.serving.picture_events import DrawingOptions
from minigemini.serving.reply_events import ReplyOptions, reply_events


def answer_events(served: Served, turns: Sequence[Turn], options: ReplyOptions, cancelled: Flag) -> Iterator[Event]:
    """The answer to the last of ``turns``. Markers in what was typed are broken up, and a :class:`Notice` says so.

    Pictures are drawn one at a time in a thread of their own: nobody's text waits for somebody else's picture.

    Args:
        options: a new picture has a seed of its own where none is given.

    Raises:
        ValueError: as of :func:`reply_events`, the safety filter refuses a message before the last, or the model's template does not take
            such a conversation.
        Busy, Closed, TimeoutError: as of :class:`EngineForMany`.
    """
    turns = [as_typed(turn, served.engine.engine.processor.tokenizer.all_special_tokens) for turn in turns]
    if options.draw is True:
        turns[-1] = replace(turns[-1], asks_for_drawing=True)
    messages = as_read(turns)
    for message in messages[:-1] if served.safety else []:  # a client may have made them up
        contents: list[str | Image] = [message.text, *map(picture, images_of([message]))]
        for content in contents:
            if reason := refusal(served.safety, content):
                raise ValueError(reason)
    try:
        events = reply_events(
            partial(served.engine.stream, seconds=served.seconds),
            served.generator,
            messages,
            replace(options, drawing=own_seed(options.drawing)),
            parents=parents_in(turns),
            safety=served.safety,
            cancelled=cancelled,
            thread=served.drawing,
        )
    except TemplateError as error:
        raise ValueError(f"the model's chat template does not take this conversation: {error}") from error
    for notice in dict.fromkeys(notice for turn in turns for notice in turn.notices):
        yield Notice(notice)
    yield from events


def own_seed(options: DrawingOptions) -> DrawingOptions:
    """A new picture without a seed gets one that nobody knows beforehand."""
    return replace(options, new_seed=secrets.randbelow(2**31))
