"""A preview as a table for the terminal, and as a page of examples."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table

from minigemini.conversation import Image, Text
from minigemini.data.records import Record
from minigemini.filtering.measure import MeasuredPart
from minigemini.filtering.preview import Example, Place, Preview, RulePreview, SidePreview, records_at
from minigemini.filtering.sample import name_of
from minigemini.html_page import make_page
from minigemini.media import data_uri, open_image

LONGEST = 400  # characters of a text on the page; what is left out is counted there
STYLE = """
:root { color-scheme: light dark; --page: #f4f5f7; --card: #fff; --line: #dfe3e8; --ink: #1d2430; --soft: #647084;
  --gone: #b3261e; --kept: #0d7a5f; }
@media (prefers-color-scheme: dark) { :root { --page: #11151b; --card: #1a2029; --line: #2b3340; --ink: #e6eaf0; --soft: #93a0b3;
  --gone: #ff8a80; --kept: #4fd1a8; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2.5rem 1.25rem 4rem; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header, main { max-width: 76rem; margin: 0 auto; }
h1 { margin: 0 0 .4rem; font-size: 1.7rem; }
h2 { margin: 2.4rem 0 .3rem; font-size: 1.15rem; }
h3 { margin: 1.1rem 0 .5rem; font-size: .9rem; color: var(--soft); font-weight: 600; }
p { margin: 0 0 .5rem; color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .4rem 0; }
th, td { padding: .2rem .9rem .2rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 500; }
tr.set td { font-weight: 700; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(11.5rem, 1fr)); gap: .8rem; }
article { background: var(--card); border: 1px solid var(--line); border-top: 3px solid var(--gone); border-radius: 8px; padding: .7rem;
  overflow-wrap: anywhere; font-size: .82rem; }
article.kept { border-top-color: var(--kept); }
article img { display: block; max-width: 100%; max-height: 10rem; margin: 0 auto .5rem; }
article b { font-size: .95rem; }
article small { display: block; color: var(--soft); }
article .note { color: var(--gone); }
article.kept .note { color: var(--soft); }
article .text { margin: .35rem 0; white-space: pre-wrap; color: inherit; }
"""


def print_preview(found: Preview) -> None:
    table = Table("rule", "threshold", "drops alone", "in order", "other thresholds: records dropped", box=HORIZONTALS)
    for rule in found.rules:
        sides: list[SidePreview | None] = [*rule.sides] or [None]
        for place, side in enumerate(sides):
            set_to = f"{side.side} {side.bound:g}" if side else ""
            others = "  ".join(f"{at:g}: {n:,}" for at, n in side.thresholds if at != side.bound) if side else ""
            counts = (f"{rule.alone:,}", f"{rule.in_order:,}") if place == 0 else ("", "")
            table.add_row(rule.named.name if place == 0 else "", set_to, *counts, others)
    console = Console(highlight=False)
    console.print(table)
    bad = f"{found.bad:,} of them no records, " if found.bad else ""
    console.print(f"{found.read:,} records, {bad}{found.kept:,} would be kept")


def write_preview(found: Preview, parts: Sequence[MeasuredPart], file: Path) -> None:
    """Beside its place and renamed."""
    examples = [example for rule in found.rules for example in examples_of(rule)]
    records = records_at(parts, {example.place for example in examples})
    rows = "".join(
        f"<tr><td>{escape(rule.named.name)}</td><td>{rule.alone:,}</td>"
        f"<td>{rule.alone / found.read:.2%}</td><td>{rule.in_order:,}</td></tr>"
        for rule in found.rules
    )
    header = (
        f"<p>{found.read:,} records, {found.bad:,} of them could not be read as records; {found.kept:,} would be kept. "
        "Nothing has been dropped.</p>"
        '<div class="wide"><table><tr><th>rule</th><th>drops alone</th><th></th><th>in order</th></tr>'
        f"{rows}</table></div>"
    )
    body = "\n".join(rule_section(rule, found.read, records) for rule in found.rules)
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}")
    beside.write_text(make_page("What the rules would drop", STYLE, header, body), encoding="utf-8")
    beside.replace(file)


def examples_of(rule: RulePreview) -> list[Example]:
    nearest = [rule.others, *(one for side in rule.sides for one in (side.farthest, side.dropped, side.kept))]
    return [example for one in nearest for example in one.examples()]


def rule_section(rule: RulePreview, read: int, records: dict[Place, Record]) -> str:
    unit = f" ({escape(rule.named.rule.UNIT)})" if rule.named.rule.UNIT else ""
    pieces = [f"<section><h2>{escape(rule.named.name)}{unit}</h2>"]
    for side in rule.sides:
        pieces.append(side_section(side, read, records))
    if rule.number_of_others:
        title = "Dropped" if not rule.sides else "Could not be measured, and would be dropped"
        pieces.append(cards(f"{title}: {rule.number_of_others:,}", rule.others.examples(), records, kept=False))
    if not rule.alone:
        pieces.append("<p>It would drop nothing.</p>")
    return "\n".join([*pieces, "</section>"])


def side_section(side: SidePreview, read: int, records: dict[Place, Record]) -> str:
    rows = "".join(
        f"<tr{' class=set' if at == side.bound else ''}><td>{side.side} {at:g}{' (set)' if at == side.bound else ''}</td>"
        f"<td>{number:,}</td><td>{number / read:.2%}</td></tr>"
        for at, number in side.thresholds
    )
    table = f'<div class="wide"><table><tr><th>threshold</th><th>drops</th><th></th></tr>{rows}</table></div>'
    nearest, farthest = side.dropped.examples(), side.farthest.examples()
    far = [example for example in farthest if example not in nearest]
    return "\n".join(
        [
            table,
            cards("Dropped, farthest from the threshold", far, records, kept=False),
            cards("Dropped, nearest to it", nearest, records, kept=False),
            cards("Kept, nearest to it", side.kept.examples(), records, kept=True),
        ]
    )


def cards(title: str, examples: Sequence[Example], records: dict[Place, Record], kept: bool) -> str:
    if not examples:
        return ""
    inside = "\n".join(card(example, records[example.place], kept) for example in examples)
    return f'<h3>{escape(title)}</h3>\n<div class="cards">\n{inside}\n</div>'


def card(example: Example, record: Record, kept: bool) -> str:
    value = "" if example.measured.value is None else f"<b>{example.measured.value:.4g}</b>"
    note = f'<small class="note">{escape(shortened(example.measured.note))}</small>' if example.measured.note else ""
    parts = [part for message in record.messages for part in message.parts]
    pictures = "".join(shown(part, example.measured.note) for part in parts if isinstance(part, Image))
    said = "\n".join(part.text for part in parts if isinstance(part, Text))
    text = f'<div class="text">{escape(shortened(said))}</div>'
    return f"<article{' class=kept' if kept else ''}>{pictures}{value}{note}{text}<small>{escape(record.name)}</small></article>"


def shown(picture: Image, note: str) -> str:
    """The picture, or why there is none, if the note does not say so already."""
    try:
        return f'<img alt="" src="{data_uri(open_image(picture.source, name_of(picture.source)))}">'
    except ValueError as error:
        return "" if str(error) in note else f'<small class="note">{escape(shortened(str(error)))}</small>'


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … and {len(text) - LONGEST:,} more characters"
