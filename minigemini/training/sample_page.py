"""Answers during training as HTML pages that need nothing else: no scripts, no network, the pictures inside."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from transformers import TrainerState

from minigemini.conversation import Message
from minigemini.html_page import make_page


@dataclass(frozen=True)
class Sample:
    """A held-out record: what is asked, earlier turns before it, the answer that stands there, and its pictures as data URIs."""

    name: str
    asked: tuple[Message, ...]
    truth: str
    pictures: tuple[str, ...]


@dataclass(frozen=True)
class Drawn:
    """A drawing as a data URI; ``cut``: the generator has not read its prompt to the end."""

    picture: str
    prompt: str
    cut: bool


@dataclass(frozen=True)
class Answered:
    """What the model says to a sample; ``cut``: it had not ended at the limit."""

    text: str
    cut: bool
    drawings: tuple[Drawn, ...]


NO_PICTURE = '<p class="none">no picture</p>'
STYLE = """
:root { color-scheme: light dark; --page: #f4f5f7; --card: #ffffff; --line: #e2e5ea; --ink: #1d2430; --soft: #687385;
  --field: #eef1f5; --accent: #2f6fed; --same: #0d8a5f; }
@media (prefers-color-scheme: dark) { :root { --page: #11151b; --card: #1a2029; --line: #2b3340; --ink: #e6eaf0;
  --soft: #93a0b3; --field: #252d39; --accent: #6f9df5; --same: #4fd1a8; } }
* { box-sizing: border-box; }
body { max-width: 76rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { margin: 0 0 .2rem; font-size: 1.6rem; }
header p { margin: 0 0 .2rem; color: var(--soft); }
a { color: var(--accent); }
article { display: grid; grid-template-columns: 14rem 1fr 1fr 1fr; gap: .5rem 1.2rem; margin: 1rem 0; padding: 1rem 1.15rem;
  background: var(--card); border: 1px solid var(--line); border-radius: 14px; }
article > small { grid-column: 1 / -1; color: var(--soft); overflow-wrap: anywhere; }
@media (max-width: 52rem) { article { grid-template-columns: 1fr; } }
h2 { margin: 0 0 .25rem; font-size: .8rem; font-weight: 600; color: var(--soft); }
img { display: block; width: 100%; max-width: 14rem; margin-bottom: .5rem;
  border: 1px solid var(--line); border-radius: 8px; image-rendering: pixelated; }
img.photo { image-rendering: auto; }
p.said { margin: 0 0 .4rem; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; max-height: 20rem; overflow-y: auto; }
.answer p.said, .truth p.said, p.assistant { padding: .25rem .6rem; background: var(--field); border-radius: 8px; }
.same p.said { box-shadow: inset 3px 0 var(--same); }
.none { color: var(--soft); font-style: italic; }
table { margin-top: 1rem; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; }
th { font-size: .85rem; font-weight: 600; color: var(--soft); }
"""


def write_page(
    folder: Path, stage: str, state: TrainerState, samples: Sequence[Sample], answers: Sequence[Answered]
) -> None:
    """Write the page of a step, and the index of all pages.

    Args:
        stage: the recipe's label.
        state: of the trainer; the validation losses of its step are on the page if they are known.
        answers: of the model to each sample.
    """
    folder.mkdir(parents=True, exist_ok=True)
    step, losses = state.global_step, losses_at(state, state.global_step)
    told = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items()) or "not computed at this step"
    same = sum(answer.text.strip() == sample.truth.strip() for sample, answer in zip(samples, answers, strict=True))
    header = (
        f"<p>validation loss: {escape(told)}</p>\n<p>{same} of {len(samples)} answers are the record's, word for word</p>\n"
        '<p><a href="index.html">all steps</a></p>'
    )
    cards = "\n".join(card(sample, answer) for sample, answer in zip(samples, answers, strict=True))
    write(folder / f"step-{step}.html", f"{stage}, step {step:,} of {state.max_steps:,}", header, cards)

    steps = sorted(pages(folder), reverse=True)
    names = list(dict.fromkeys(name for step in steps for name in losses_at(state, step)))
    rows = ["".join(f"<th>{escape(head)}</th>" for head in ("step", *names))]
    for step in steps:
        found = losses_at(state, step)
        cells = "".join(f"<td>{found[name]:.4f}</td>" if name in found else "<td></td>" for name in names)
        rows.append(f'<td><a href="step-{step}.html">{step:,}</a></td>{cells}')
    table = "<table>\n" + "\n".join(f"<tr>{row}</tr>" for row in rows) + "\n</table>"
    write(folder / "index.html", f"{stage}: samples", "<p>validation losses where they were computed</p>", table)


def remove_pages_after(step: int, folder: Path) -> None:
    """Those that a run has left which came further, and is begun anew or gone on with from an earlier step."""
    for later, page in pages(folder).items():
        if later > step:
            page.unlink()


def pages(folder: Path) -> dict[int, Path]:
    """By their steps."""
    return {
        int(match[1]): page
        for page in folder.glob("step-*.html")
        if (match := re.fullmatch(r"step-(\d+)\.html", page.name))
    }


def losses_at(state: TrainerState, step: int) -> dict[str, float]:
    """Validation losses by source, as far as they have been logged."""
    return {
        key.removeprefix("eval_").removesuffix("_loss"): value
        for entry in state.log_history
        if entry["step"] == step
        for key, value in entry.items()
        if key.startswith("eval_") and key.endswith("_loss")
    }


def card(sample: Sample, answer: Answered) -> str:
    shown = "".join(picture(uri, f"picture {number}") for number, uri in enumerate(sample.pictures, 1))
    asked = "".join(said(one.text, one.role) for one in sample.asked)
    cut = "<small>cut: the model had not ended</small>" if answer.cut else ""
    drawings = "".join(
        picture(drawn.picture, drawn.prompt) + ("<small>drawn without the prompt's end</small>" if drawn.cut else "")
        for drawn in answer.drawings
    )
    kind = "answer same" if answer.text.strip() == sample.truth.strip() else "answer"
    return (
        f"<article>\n<div>{shown or NO_PICTURE}</div>\n"
        f"<div><h2>asked</h2>{asked}</div>\n"
        f'<div class="{kind}"><h2>answered</h2>{said(answer.text, "assistant")}{cut}{drawings}</div>\n'
        f'<div class="truth"><h2>in the record</h2>{said(sample.truth, "assistant")}</div>\n'
        f"<small>{escape(sample.name)}</small>\n</article>"
    )


def picture(uri: str, alternative: str) -> str:
    kind = "" if uri.startswith("data:image/png") else ' class="photo"'
    return f'<img{kind} alt="{escape(alternative)}" src="{uri}">'


def said(text: str, role: str) -> str:
    return f'<p class="said {role}">{escape(text.strip())}</p>' if text.strip() else '<p class="none">no words</p>'


def write(file: Path, title: str, header: str, body: str) -> None:
    """By a rename, so that a run that is killed leaves no half of a page."""
    beside = file.with_suffix(".unfinished")
    beside.write_text(make_page(title, STYLE, header, body), encoding="utf-8")
    beside.replace(file)
