"""Batched answers, and resuming, with a tiny random model."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from rich.progress import Progress, TaskID

from minigemini.evaluation.benchmark import Example
from minigemini.evaluation.digest import examples_digest, images_of, tokens_of, weights_digest
from minigemini.evaluation.predict import answer, batches_of, predict, settings_of, without_images
from minigemini.evaluation.predictions import PredictionFile
from minigemini.evaluation.tabletop import Tabletop
from minigemini.generation.prompt_markers import find_prompts

KINDS = ["colour", "tag", "relation", "draw_prompt", "edit_1", "edit_2", "draw_or_answer"]


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    return [replace(e, max_new_tokens=12) for e in Tabletop(KINDS, 4, seed=5).examples()]


class Quiet(Progress):
    """Writes nowhere; after ``patience`` batches the user loses his."""

    def __init__(self, patience: int = 1000) -> None:
        super().__init__(console=Console(file=io.StringIO()))
        self.patience = patience

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        super().advance(task_id, advance)
        self.patience -= 1
        if self.patience == 0:
            raise KeyboardInterrupt


def run(loaded: tuple[Any, Any], examples: list[Example], folder: Path, patience: int = 1000) -> list[dict[str, Any]]:
    file = PredictionFile(folder, [e.id for e in examples], settings_of(*loaded, examples, 3))
    return predict(*loaded, examples, file, 3, Quiet(patience), "tiny")


def test_a_batch_answers_as_each_alone(loaded: tuple[Any, Any], examples: list[Example]) -> None:
    batches = batches_of(examples, loaded[1], 8)
    assert sorted(e.id for batch in batches for e in batch) == sorted(e.id for e in examples)
    padded = 0
    for batch in batches:
        assert len(batch) <= 8
        assert len({(e.constrained, len(images_of(e))) for e in batch}) == 1
        together = answer(*loaded, batch)
        padded += len({len(e.messages[-1]["content"][-1]["text"]) for e in batch}) > 1
        assert together == [answer(*loaded, [example])[0] for example in batch]
    assert padded > 3  # batches of unequal lengths did occur


def test_lines_hold_what_scoring_and_a_reader_need(
    loaded: tuple[Any, Any], examples: list[Example], tmp_path: Path
) -> None:
    lines = run(loaded, examples, tmp_path)
    assert [line["id"] for line in lines] == [e.id for e in examples]
    rows = Tabletop(KINDS, 4, seed=5).score({"model": lines})
    assert [(row.kind, row.score.n) for row in rows] == [(kind, 4) for kind in KINDS]
    for line in lines:
        assert line["prompt"].count("<image>") == {"draw_prompt": 0, "edit_1": 1, "edit_2": 2}.get(
            line["kind"], line["prompt"].count("<image>")
        )
        assert line["prompt"].endswith("ASSISTANT:")
        assert not line["finished"] or len(line["prediction"]) < 100


def test_asked_to_draw_every_answer_is_one_prompt(
    loaded: tuple[Any, Any], examples: list[Example], tmp_path: Path
) -> None:
    wide = [replace(e, max_new_tokens=24) for e in examples if e.constrained]
    lines = run(loaded, wide, tmp_path)
    assert len(lines) == 12
    assert all(len(find_prompts(line["prediction"])) == 1 for line in lines)


@pytest.mark.parametrize(("batches", "torn"), [(1, 0), (3, 1), (4, 400)])
def test_an_interrupted_run_ends_with_the_same_bytes(
    loaded: tuple[Any, Any], examples: list[Example], tmp_path: Path, batches: int, torn: int
) -> None:
    run(loaded, examples, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(loaded, examples, tmp_path / "killed", patience=batches)
    killed = tmp_path / "killed" / "predictions.jsonl"
    content = killed.read_bytes()
    assert 0 < content.count(b"\n") < len(examples)
    killed.write_bytes(content[: len(content) - torn])
    run(loaded, examples, tmp_path / "killed")
    assert killed.read_bytes() == (tmp_path / "whole" / "predictions.jsonl").read_bytes()
    before = killed.stat().st_mtime_ns, killed.read_bytes()
    run(loaded, examples, tmp_path / "killed", patience=1)  # nothing is left to do, so nobody is interrupted
    assert killed.read_bytes() == before[1]


def test_other_weights_or_other_pictures_are_another_run(
    loaded: tuple[Any, Any], examples: list[Example], tmp_path: Path
) -> None:
    model, processor = loaded
    few = examples[:2]
    run(loaded, few, tmp_path)
    parameter = next(model.model.multi_modal_projector.parameters())
    before = weights_digest(model)
    with torch.no_grad():
        parameter.view(-1)[0] += 1e-3
    try:
        assert weights_digest(model) != before
        with pytest.raises(ValueError, match=r"other settings \(weights: "):
            run(loaded, few, tmp_path)
    finally:
        with torch.no_grad():
            parameter.view(-1)[0] -= 1e-3

    picture = images_of(few[0])[0].copy()
    picture.putpixel((0, 0), (1, 2, 3))
    content = [{"type": "image", "image": picture}, *few[0].messages[0]["content"][1:]]
    changed = [replace(few[0], messages=[{"role": "user", "content": content}]), few[1]]
    assert examples_digest(changed, processor) != examples_digest(few, processor)
    with pytest.raises(ValueError, match=r"other settings \(.*examples: "):
        run(loaded, changed, tmp_path)


def test_the_blind_control_sees_the_words_and_nothing_else(loaded: tuple[Any, Any], examples: list[Example]) -> None:
    sighted = examples[0]
    blind = without_images(sighted)
    assert (len(images_of(sighted)), len(images_of(blind))) == (1, 0)
    assert blind.messages[0]["content"] == sighted.messages[0]["content"][1:]
    assert blind.reference == sighted.reference
    text = loaded[1].apply_chat_template(blind.messages, add_generation_prompt=True, tokenize=False)
    assert "<image>" not in text
    assert tokens_of([text], loaded[1])
