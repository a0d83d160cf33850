"""Conversations with their pictures as one HTML page that needs nothing else: no scripts, no fonts, no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from PIL.Image import Image

from minigemini.conversation import Part, Text
from minigemini.engine.local import picture
from minigemini.generation.generation_record import GenerationRecord
from minigemini.html_page import make_page
from minigemini.serving.conversation import Conversation, Drawing, Turn

TINY = 128
"""Pictures with no side longer than this are enlarged, pixel by pixel."""

STYLE = """
:root { color-scheme: light dark; --page: #f4f5f7; --card: #ffffff; --line: #e2e5ea; --ink: #1d2430; --soft: #687385;
  --user: #2f6fed; --user-ink: #ffffff; --model: #eef1f5; --accent: #0d8a6a; --shade: 0 1px 2px #0001, 0 8px 24px #0000000d; }
@media (prefers-color-scheme: dark) { :root { --page: #11151b; --card: #1a2029; --line: #2b3340; --ink: #e6eaf0;
  --soft: #93a0b3; --user: #3b74e0; --user-ink: #ffffff; --model: #252d39; --accent: #4fd1a8; --shade: none; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2.5rem 1.25rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
header, main { max-width: 76rem; margin: 0 auto; }
h1 { margin: 0 0 .4rem; font-size: 1.75rem; letter-spacing: -.015em; }
header p { margin: 0 0 .4rem; max-width: 46rem; color: var(--soft); }
main { columns: 2 30rem; column-gap: 1.5rem; padding-top: 1.25rem; }
main:has(> section:only-child) { columns: 1; max-width: 46rem; }
section { break-inside: avoid; margin: 0 0 1.5rem; padding: 1.1rem 1.2rem 1.3rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 14px; box-shadow: var(--shade); }
h2 { margin: 0 0 .9rem; font-size: .95rem; font-weight: 650; color: var(--soft); }
ol { list-style: none; margin: 0; padding: 0; display: flex; flex-direction: column; gap: .7rem; }
li { display: flex; flex-direction: column; gap: .4rem; max-width: 88%; }
li.user { align-self: flex-end; align-items: flex-end; }
li.assistant { align-self: flex-start; align-items: flex-start; }
li p { margin: 0; padding: .5rem .85rem; border-radius: 16px; white-space: pre-wrap; overflow-wrap: anywhere; }
li.user p { background: var(--user); color: var(--user-ink); border-bottom-right-radius: 5px; }
li.assistant p { background: var(--model); border-bottom-left-radius: 5px; }
li small { color: var(--soft); font-size: .78rem; }
p.nothing { color: var(--soft); font-style: italic; }
.asks { display: inline-block; margin-left: .5rem; padding: 0 .5rem; border: 1px solid currentColor; border-radius: 99px;
  font-size: .72rem; line-height: 1.3rem; opacity: .85; vertical-align: .08rem; }
figure { margin: 0; max-width: 100%; }
figure img { display: block; max-width: 100%; height: auto; border-radius: 10px; border: 1px solid var(--line); }
img.tiny { image-rendering: pixelated; }
figcaption { max-width: 24rem; margin-top: .35rem; font-size: .82rem; line-height: 1.35; color: var(--soft);
  overflow-wrap: anywhere; }
figcaption b { color: var(--accent); font-weight: 600; }
li.user figcaption { text-align: right; }
"""


def write_page(conversations: Sequence[Conversation], path: str | Path, title: str, introduction: str = "") -> Path:
    """Write conversations as one self-contained page, in light or dark as the reader's system is.

    Args:
        conversations: each becomes a card, in this order.
        path: the HTML file, written anew.
        title: of the page.
        introduction: plain text under the title, its paragraphs parted by empty lines.

    Returns:
        ``path``.
    """
    paragraphs = "".join(f"<p>{escape(p.strip())}</p>\n" for p in introduction.split("\n\n") if p.strip())
    cards = "\n".join(_card(conversation) for conversation in conversations)
    path = Path(path)
    path.write_text(make_page(title, STYLE, paragraphs, cards), encoding="utf-8")
    return path


def _card(conversation: Conversation) -> str:
    messages = "\n".join(_turn(turn) for turn in conversation.turns)
    return f"<section>\n<h2>{escape(conversation.title)}</h2>\n<ol>\n{messages}\n</ol>\n</section>"


def _turn(turn: Turn) -> str:
    badge = '<span class="asks">draw</span>' if turn.asks_for_drawing else ""
    parts = [part for part in (_part(part, badge) for part in turn.message.parts) if part]
    parts = parts or ['<p class="nothing">no words</p>']
    shown = "\n".join([*parts, *(f"<small>{escape(notice)}</small>" for notice in turn.notices)])
    return f'<li class="{turn.message.role}">\n{shown}\n</li>'


def _part(part: Part, badge: str) -> str:
    if isinstance(part, Text):
        return f"<p>{escape(part.text.strip())}{badge}</p>" if part.text.strip() else ""
    if not isinstance(part.source, Drawing):
        return _figure(picture(part.source), "a picture the user shows", "")
    image, record = part.source.image, part.source.record
    return "" if image is None or record is None else _figure(picture(image), record.prompt, _caption(record))


def _figure(image: Image, alternative: str, caption: str) -> str:
    scale = max(1, 192 // max(image.size)) if max(image.size) <= TINY else 1
    style = ' class="tiny"' if scale > 1 else ""
    data = io.BytesIO()
    image.save(data, format="PNG")
    source = base64.b64encode(data.getvalue()).decode()
    return (
        f'<figure><img{style} width="{image.width * scale}" height="{image.height * scale}" '
        f'alt="{escape(alternative)}" src="data:image/png;base64,{source}">{caption}</figure>'
    )


def _caption(record: GenerationRecord) -> str:
    settings = [f"seed {record.seed}"]
    if record.steps is not None:
        settings.append(f"{record.steps} steps")
    settings += [f"{record.width}×{record.height}", record.generator]
    cut = " (its end was cut)" if record.truncated else ""
    return f"<figcaption><b>drew</b> {escape(record.prompt)}{cut}<br>{escape(' · '.join(settings))}</figcaption>"
