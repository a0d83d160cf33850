"""``minigemini chat --prompt``: one message, one answer, for scripts."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import Any

from minigemini.media import open_image
from minigemini.serving.drawing_files import check_attention_file, write_attention, write_drawing
from minigemini.serving.events import Done, ImageDrawn, ImageFailed, Notice, TextDelta
from minigemini.serving.load_session import load_session
from minigemini.serving.options import ChatOptions


def answer_once(options: ChatOptions) -> int:
    """Answer one message; stdout has the answer and nothing else, notices go to stderr.

    As JSON: ``model``, ``text`` (without drawing prompts), ``answer`` (with them), ``images`` (each ``file`` and ``record``),
    ``notices``, ``finish_reason``, ``prompt_tokens``, ``new_tokens``, ``seconds``, and if it was asked for ``attention``, the file.

    Returns:
        0, or 1 if a picture was asked for and none was drawn.

    Raises:
        ValueError: as :func:`load_session`, :func:`open_image` and :meth:`ChatSession.reply`, or attention shall be shown and
            no picture is; nothing was printed. As :meth:`ChatSession.attention_picture`; the answer was printed, but
            not as JSON.
    """
    prompt, as_json, show_attention = options.prompt, options.as_json, options.show_attention
    assert prompt is not None
    try:
        prompt.encode()
    except UnicodeEncodeError:  # what Python makes of bytes on the command line that are no UTF-8
        prompt = prompt.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        print("minigemini: bytes of the prompt that are no UTF-8 were replaced", file=sys.stderr)
    if show_attention is not None:
        check_attention_file(show_attention)
        if not options.images:
            raise ValueError("attention is shown on a picture: give an image to look at with it")
    pictures = [open_image(path) for path in options.images]
    found: dict[str, Any] = {"model": options.model, "text": "", "answer": "", "images": [], "notices": []}
    with redirect_stdout(sys.stderr):  # libraries may have something to say while they load
        session = load_session(options)
        events = session.reply(prompt, pictures, options.draw)
    for event in events:
        if isinstance(event, TextDelta):
            if not as_json:  # models write a blank before their first word
                print(event.text if found["text"].strip() else event.text.lstrip(), end="", flush=True)
            found["text"] += event.text
        elif isinstance(event, ImageDrawn):
            file = write_drawing(event.image, event.record, options.out)
            found["images"].append({"file": str(file), "record": asdict(event.record)})
            if not as_json:
                print(f"[{file}: {event.record.prompt}]", flush=True)
        elif isinstance(event, Notice | ImageFailed):
            notice = event.text if isinstance(event, Notice) else f"not drawn: {event.reason}"
            found["notices"].append(notice)
            print(f"minigemini: {notice}", file=sys.stderr)
        elif isinstance(event, Done):
            names = ("answer", "finish_reason", "prompt_tokens", "new_tokens", "seconds")
            found |= {"text": found["text"].strip(), **{name: getattr(event, name) for name in names}}
    if found["text"] and not as_json:
        print()
    if show_attention is not None:
        write_attention(session.attention_picture(), show_attention)
        found["attention"] = str(show_attention)
        print(f"minigemini: where the answer looked: {show_attention}", file=sys.stderr)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
    return 1 if options.draw is True and not found["images"] else 0
