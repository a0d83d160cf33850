"""The ``samples:`` section of a recipe: every so many steps a page of what the model, as it is then, answers to held-out records."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from minigemini.conversation import find_prompts
from minigemini.data.check import CheckedSource
from minigemini.data.records import Record
from minigemini.engine.local import LocalEngine, prepare
from minigemini.engine.request import Decoding, Request
from minigemini.media import data_uri, open_image
from minigemini.training.sample_page import Answered, Drawn, Sample, remove_pages_after, write_page

if TYPE_CHECKING:  # a recipe needs neither the trainer nor diffusers
    from minigemini.generation.image_generator import ImageGenerator
    from minigemini.training.trainer import MiniGeminiTrainer

LONGEST_ANSWER = 256  # tokens; the page says where one was cut


@dataclass
class Samples:
    """The ``samples:`` section of a recipe."""

    every: int  # optimizer steps; the last step has a page too
    records: int = 8  # of data.validation, at most; each source has its share
    generator: str | None = None  # draws the prompts in the answers: "nano", a folder or a hub id; None: they are text

    def __post_init__(self) -> None:
        for name in ("every", "records"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def check_samples(samples: Samples | None, arguments: TrainingArguments) -> None:
    """
    Raises:
        ValueError: samples are wanted under an engine that leaves no process a whole model.
    """
    if samples is not None and (arguments.fsdp or is_deepspeed_zero3_enabled()):
        raise ValueError(
            "samples: one process writes the answers, and under ZeRO-3 and FSDP2 none has the whole model; "
            "leave samples out, or use DDP or ZeRO-2"
        )


def load_generator(samples: Samples | None, arguments: TrainingArguments) -> ImageGenerator | None:
    """In the first process, on its device.

    Raises:
        ValueError: there is no such generator.
    """
    if samples is None or samples.generator is None or arguments.process_index > 0:
        return None
    from minigemini.generation.image_generator import ImageGenerator

    try:
        return ImageGenerator.from_pretrained(samples.generator, arguments.device)
    except ValueError as error:
        raise ValueError(f"samples.generator: {error}") from error


def chosen_records(samples: Samples | None, held_out: Sequence[CheckedSource]) -> list[Record]:
    """The same ones for all pages: an equal share of each source (the first ones have what is left over), spread evenly over it."""
    if samples is None:
        return []
    share, left_over = divmod(samples.records, len(held_out))
    chosen = []
    for number, source in enumerate(held_out):
        count = min(share + (number < left_over), len(source))
        chosen += [source.record(place * len(source) // count) for place in range(count)]
    return chosen


class SamplePages(TrainerCallback):
    """Has the first process write ``OUTPUT/samples/step-N.html`` and ``index.html``, while the others wait.

    The training goes on as if nothing had been answered: the model's modes and the random state are as they were, and the time is left out
    of the speeds. A page is written before the checkpoint of its step, and once more when the step's validation loss is known.
    """

    def __init__(
        self, trainer: MiniGeminiTrainer, every: int, records: Sequence[Record], generator: ImageGenerator | None
    ):
        self.trainer, self.every, self.generator = trainer, every, generator
        self.folder = Path(str(trainer.args.output_dir)) / "samples"
        self.samples = [sample_of(record) for record in records] if trainer.args.process_index == 0 else []
        self.answers: list[Answered] = []
        self.answered_at = -1

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            remove_pages_after(state.global_step, self.folder)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step % self.every and state.global_step < state.max_steps:
            return
        started = time.perf_counter()
        if state.is_world_process_zero:
            with torch.random.fork_rng([args.device] if args.device.type == "cuda" else []):
                self.answers = self.answer()
            self.answered_at = state.global_step
            self.write(state)
        self.trainer.accelerator.wait_for_everyone()
        self.trainer.meter.leave_out(time.perf_counter() - started)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step == self.answered_at:
            self.write(state)

    def answer(self) -> list[Answered]:
        """Greedy, all in one batch; then the drawings one by one."""
        model: Any = self.trainer.model
        processor: Any = self.trainer.processing_class
        inputs = prepare(processor, [sample.asked for sample in self.samples])
        room = model.config.get_text_config().max_position_embeddings - inputs["input_ids"].shape[1]
        decoding = Decoding(max_new_tokens=max(1, min(LONGEST_ANSWER, room)))
        requests = [Request(sample.asked, decoding) for sample in self.samples]
        with in_eval_mode(model), self.trainer.compute_loss_context_manager(), self.trainer.weights_to_keep():
            answers = LocalEngine(model, processor).answer(requests, inputs)
        return [
            Answered(answer.text, answer.finish_reason == "length", drawn(answer.text, self.generator))
            for answer in answers
        ]

    def write(self, state: TrainerState) -> None:
        write_page(self.folder, self.trainer.progress.stage, state, self.samples, self.answers)


def sample_of(record: Record) -> Sample:
    """The last answer of a record, and all that stands before it."""
    *asked, truth = record.messages
    pictures = [data_uri(open_image(path)) for path in record.images]
    return Sample(record.name, tuple(asked), truth.text, tuple(pictures))


def drawn(answer: str, generator: ImageGenerator | None) -> tuple[Drawn, ...]:
    """A picture of each prompt in it, from seed 0 on all pages. A prompt may be longer than is read: the page says so."""
    if generator is None:
        return ()
    pictures = []
    for span in find_prompts(answer):
        picture, record = generator.draw(span.prompt, seed=0, truncate=True)
        pictures.append(Drawn(data_uri(picture), span.prompt, record.truncated))
    return tuple(pictures)


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Afterwards each module is in the mode that it was in; the frozen ones are in eval mode while the others train."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
