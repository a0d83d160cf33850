"""The pictures of one drawing prompt, as events.

**When a drawing is an edit.** The model writes every prompt so that it stands alone, and one that changes a picture says most of what its
picture's prompt said. So a drawing is an edit of the picture of this conversation whose prompt is most like its own, the latest of
equals, where the two have at least :data:`ALIKE` of their words in common (Dice's coefficient of the words, each as often as it
occurs, without :data:`FUNCTION_WORDS`); else it is a new picture. Of the tabletop's edits all are found so, and six in a hundred of
its new drawings are taken for one; by re-prompting that means no more than the same noise. Who asks may say ``"generate"`` or
``"edit"`` instead. How the picture is edited is :func:`~minigemini.generation.edit.way_to_edit`'s, and in the record.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event as Flag
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from minigemini.conversation import PromptSpan
from minigemini.generation.generation_record import GenerationRecord
from minigemini.safety.refusal import Safety, refusal
from minigemini.serving.events import (
    Drawn,
    Event,
    ImageDrawn,
    ImageFailed,
    ImagePreview,
    ImageProgress,
    ImageStarted,
    Notice,
)

if TYPE_CHECKING:  # diffusers takes seconds to import
    from minigemini.generation.image_generator import ImageGenerator

Reports = SimpleQueue[ImageProgress | ImagePreview | None]
"""From the thread that draws to who reads the events; None: it has ended."""

ALIKE = 0.6
FUNCTION_WORDS = frozenset(["a", "an", "and", "at", "in", "of", "on", "the", "to", "with"])


@dataclass(frozen=True)
class DrawingOptions:
    """How pictures are drawn. None: as the generator, or the picture that is edited, has it.

    Attributes:
        action: "auto": by the rule above; "generate": each is a new picture; "edit": each changes one.
        count: pictures of each prompt.
        size: (width, height) in pixels; of new pictures. With another size than its picture's, nothing is an edit.
        seed: of the first picture; each after it in this answer has the next. None: ``new_seed``, and for an edit as
            :func:`~minigemini.generation.edit.edit` chooses.
        new_seed: of the first new picture where there is no ``seed``.
        steps, guidance, negative_prompt: as of :meth:`ImageGenerator.draw`.
        strength: of edits by image-to-image, above 0 (the picture as it is) to 1 (nothing of it).
        previews: of each picture while it is drawn, at most; fewer where few steps are taken, none of latents that we cannot show.
    """

    action: Literal["auto", "generate", "edit"] = "auto"
    count: int = 1
    size: tuple[int, int] | None = None
    seed: int | None = None
    new_seed: int = 0
    steps: int | None = None
    guidance: float | None = None
    negative_prompt: str | None = None
    strength: float | None = None
    previews: int = 0


@dataclass(frozen=True)
class Parent:
    """A picture that may be changed.

    Attributes:
        prompt: as the model wrote it; empty for what it did not draw.
        record: None: it was not drawn by us.
        mask: where it may be changed, white on black; None: everywhere.
    """

    image: Image.Image
    prompt: str = ""
    record: GenerationRecord | None = None
    mask: Image.Image | None = None


def parent_of(prompt: str, parents: Sequence[Parent], options: DrawingOptions) -> Parent | None:
    """The picture that a drawing changes; None: it is a new one.

    Args:
        parents: the earliest first.

    Raises:
        ValueError: an edit is asked for, and there is no picture, or another size is asked for too.
    """
    if options.action == "generate":
        return None
    sized = [one for one in parents if options.size in (None, one.image.size)]
    best = max(reversed(sized), key=lambda one: likeness(prompt, one.prompt), default=None)
    if options.action == "edit":
        if best is None:
            raise ValueError(
                f"no picture of {options.size[0]}x{options.size[1]} to edit; an edit has the size of its picture"
                if parents and options.size
                else "there is no picture to edit"
            )
        return best
    return best if best is not None and likeness(prompt, best.prompt) >= ALIKE else None


def likeness(prompt: str, other: str) -> float:
    """Dice's coefficient of the words: 0 none in common, 1 the same ones."""
    words, others = (
        Counter(word for word in re.findall(r"\w+", text.lower()) if word not in FUNCTION_WORDS)
        for text in (prompt, other)
    )
    return 2 * (words & others).total() / max(1, words.total() + others.total())


class Drawer:
    """Draws the pictures of one reply.

    Args:
        instruction: the user's words, for a generator that edits by instruction.
        parents: the pictures so far, the earliest first.
        cancelled: stops a drawing after the step it is at.
        thread: draws; None: one of its own for each picture.
    """

    def __init__(
        self,
        generator: ImageGenerator,
        instruction: str,
        options: DrawingOptions,
        parents: Sequence[Parent],
        safety: Safety | None,
        cancelled: Flag,
        thread: Executor | None,
    ) -> None:
        self.generator = generator
        self.instruction = instruction
        self.options = options
        self.parents = parents
        self.safety = safety
        self.cancelled = cancelled
        self.thread = thread
        self._begun = 0

    def draw(self, span: PromptSpan, notices: list[str]) -> Generator[Event, None, list[Drawn]]:
        """The pictures of one prompt, each as events; all of them, also those that failed. What is told is added to ``notices``."""
        pictures: list[Drawn] = []
        for number in range(self.options.count):
            yield ImageStarted(span.prompt)
            before = pictures[-1].record if pictures else None
            drawn = yield from self._draw_one(span.prompt, None if before is None else before.seed + 1, notices)
            pictures.append(Drawn("" if number else span.written, *(drawn or ())))
            if drawn is None:  # the next would fail the same way
                break
        return pictures

    def _draw_one(
        self, prompt: str, seed: int | None, notices: list[str]
    ) -> Generator[Event, None, tuple[Image.Image, GenerationRecord] | None]:
        options = self.options
        if options.seed is not None:
            seed = options.seed + self._begun
        index, self._begun = self._begun, self._begun + 1
        reports: Reports = SimpleQueue()
        try:
            if reason := refusal(self.safety, prompt):
                raise ValueError(reason)
            job_of = self._job(prompt, seed, options.new_seed + index)
            with nullcontext(self.thread) if self.thread else ThreadPoolExecutor(1) as thread:
                job = thread.submit(job_of, reports)
                job.add_done_callback(lambda _: reports.put(None))
                try:
                    while (report := reports.get()) is not None:
                        yield report
                except GeneratorExit:  # nobody listens any more: do not wait for the rest of the drawing
                    self.cancelled.set()
                    raise
            image, record = job.result()
            if reason := refusal(self.safety, image):
                raise ValueError(reason)
        except (_Stopped, ValueError, RuntimeError) as error:  # a full GPU is no reason to lose the words of the answer
            reason = str(error)
            notices.append(f"not drawn: {reason}")
            yield ImageFailed(reason)
            return None
        for setting, asked, used in (
            ("steps", options.steps, record.steps),
            ("guidance", options.guidance, record.guidance),
            ("negative prompt", options.negative_prompt, record.negative_prompt),
            ("size", options.size, image.size),
            ("strength", options.strength, record.strength),
        ):
            if asked not in (None, used):
                notices.append(f"the image generator drew with {setting} {used}, not {asked}")
                yield Notice(notices[-1])
        yield ImageDrawn(image, record)
        return image, record

    def _job(self, prompt: str, seed: int | None, new_seed: int) -> Callable[[Reports], Any]:
        """What draws one picture when it is told whom to report to."""
        from minigemini.generation.edit import edit, way_to_edit
        from minigemini.generation.inpaint import inpaint

        options = self.options
        settings: dict[str, Any] = {
            "steps": options.steps,
            "guidance": options.guidance,
            "negative_prompt": options.negative_prompt,
        }
        parent = parent_of(prompt, self.parents, options)
        if parent is None:
            new = (new_seed if seed is None else seed) % 2**63
            return lambda reports: self.generator.draw(
                prompt, seed=new, size=options.size, **settings, **self._watched(reports, options.steps)
            )
        settings |= {
            "made_by": parent.record,
            "seed": None if seed is None else seed % 2**63,
            "strength": options.strength,
        }
        if parent.mask is not None:
            mask = parent.mask
            return lambda reports: inpaint(
                self.generator, parent.image, mask, prompt, **settings, **self._watched(reports, options.steps)
            )
        wanted = self.instruction if way_to_edit(self.generator) == "instruction" else prompt
        steps = options.steps or (parent.record.steps if parent.record else None)
        return lambda reports: edit(self.generator, parent.image, wanted, **settings, **self._watched(reports, steps))

    def _watched(self, reports: Reports, steps: int | None) -> dict[str, Any]:
        """The callbacks of a drawing that takes ``steps``, those that the generator has if None."""
        from minigemini.generation.previews import can_preview

        def on_step(done: int, total: int) -> None:
            reports.put(ImageProgress(done, total))
            if self.cancelled.is_set() and done < total:
                raise _Stopped("the drawing was stopped")

        def on_preview(image: Image.Image) -> None:
            if not refusal(self.safety, image):  # the picture itself is judged at the end
                reports.put(ImagePreview(image))

        if not self.options.previews or not can_preview(self.generator.pipeline):
            return {"on_step": on_step}
        steps = steps or self.generator.steps
        # none after the last step: so there are as many as asked for, or fewer
        every = math.ceil(steps / (self.options.previews + 1))
        return {"on_step": on_step, "on_preview": on_preview, "preview_every": every}


class _Stopped(Exception):
    """Raised inside a drawing that the user cancelled."""
