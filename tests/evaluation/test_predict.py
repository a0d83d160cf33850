"""Batched answers, and resuming, with a tiny random model."""

import io
import shutil
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from minigemini.benchmarks.benchmark import Sampling
from minigemini.benchmarks.names.tabletop import make_examples
from minigemini.benchmarks.score import score
from minigemini.benchmarks.stored_image import StoredImage
from minigemini.checkpoints.load import load
from minigemini.conversation import find_prompts, for_template, message, with_images
from minigemini.engine.local import LocalEngine
from minigemini.evaluation.running import digest
from minigemini.evaluation.running.digest import prompts_of, settings_of, tokens_of, weights_digest
from minigemini.evaluation.running.evaluated_model import EvaluatedModel
from minigemini.evaluation.running.predict import batches_of, predict, prepare, request_of
from minigemini.evaluation.running.view import View, without_images

KINDS = ["colour", "tag", "relation", "draw_prompt", "edit_1", "edit_2", "draw_or_answer"]


@pytest.fixture(scope="module")
def examples():
    return [replace(e, max_new_tokens=12) for e in make_examples(KINDS, 4, seed=5)]


class Quiet(Progress):
    """Writes nowhere; after ``patience`` batches the user loses his."""

    def __init__(self, patience=1000):
        super().__init__(console=Console(file=io.StringIO()))
        self.patience = patience

    def advance(self, task_id, advance=1):
        super().advance(task_id, advance)
        self.patience -= 1
        if self.patience == 0:
            raise KeyboardInterrupt


def run(loaded, examples, folder, patience=1000):
    return predict(evaluated(loaded), "tabletop", examples, folder, Quiet(patience))


def evaluated(loaded, batch_size=3):
    model = EvaluatedModel("tiny", None, batch_size)
    model.loaded = loaded
    return model


def batches(loaded, examples, batch_size):
    lengths = list(map(len, tokens_of(prompts_of(examples, loaded[1]), loaded[1])))
    return batches_of(examples, lengths, batch_size)


def answered(loaded, batch):
    requests = [request_of(example) for example in batch]
    answers = LocalEngine(*loaded).answer(requests, prepare(loaded[1], batch))
    return [(answer.text, answer.finish_reason == "stop") for answer in answers]


def test_a_batch_answers_as_each_alone(loaded, examples):
    found = batches(loaded, examples, 8)
    assert sorted(e.id for batch in found for e in batch) == sorted(e.id for e in examples)
    padded = 0
    for batch in found:
        assert len(batch) <= 8
        assert len({(e.constrained, len(e.images)) for e in batch}) == 1
        together = answered(loaded, batch)
        padded += len({len(e.messages[-1].text) for e in batch}) > 1
        assert together == [answered(loaded, [example])[0] for example in batch]
    assert padded > 3  # batches of unequal lengths did occur


def test_lines_hold_what_scoring_and_a_reader_need(loaded, examples, tmp_path):
    lines = run(loaded, examples, tmp_path)
    assert [line["id"] for line in lines] == [e.id for e in examples]
    _, *of_kinds = score("tabletop", lines).metrics
    assert [(metric.name, metric.n) for metric in of_kinds] == [(kind, 4) for kind in KINDS]
    for line in lines:
        assert line["prompt"].count("<image>") == {"draw_prompt": 0, "edit_1": 1, "edit_2": 2}.get(
            line["kind"], line["prompt"].count("<image>")
        )
        assert line["prompt"].endswith("ASSISTANT:")
        assert not line["finished"] or len(line["prediction"]) < 100


def test_asked_to_draw_every_answer_is_one_prompt(loaded, examples, tmp_path):
    wide = [replace(e, max_new_tokens=24) for e in examples if e.constrained]
    lines = run(loaded, wide, tmp_path)
    assert len(lines) == 12
    assert all(len(find_prompts(line["prediction"])) == 1 for line in lines)


@pytest.mark.parametrize(("batches", "torn"), [(1, 0), (3, 1), (4, 400)])
def test_an_interrupted_run_ends_with_the_same_bytes(loaded, examples, tmp_path, batches, torn):
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


def test_other_weights_or_other_pictures_are_another_run(loaded, examples, tmp_path):
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

    picture = few[0].images[0].copy()
    picture.putpixel((0, 0), (1, 2, 3))
    changed = replace(few[0], messages=[message("user", few[0].messages[0].text, [picture])])
    for other, name in (
        (changed, "pictures"),
        (replace(few[0], messages=[message("user", "what else?", [picture])]), "pictures, prompt"),
        (replace(few[0], max_new_tokens=13), "decoding"),
        (replace(few[0], sampling=Sampling()), "decoding"),
        (replace(few[0], reference={**few[0].reference, "answer": "violet"}), "reference"),
    ):
        with pytest.raises(ValueError, match=f"line 1: of the example '{few[0].id}' {name} "):
            run(loaded, [other, few[1]], tmp_path)


def test_a_setting_or_the_code_that_differs_is_named(loaded, examples, tmp_path, monkeypatch):
    few = examples[:2]
    run(loaded, few, tmp_path)
    with pytest.raises(ValueError, match=r"\(view.mining: True there, False now\)"):
        predict(evaluated(loaded), "tabletop", few, tmp_path, Quiet(), View("mining off", mining=False))
    with pytest.raises(ValueError, match=r"batch_size: 3 there, 4 now"):
        predict(evaluated(loaded, 4), "tabletop", few, tmp_path, Quiet())
    monkeypatch.setattr(loaded[0].config.text_config, "rms_norm_eps", 0.5)
    with pytest.raises(ValueError, match=r"\(config.text_config.rms_norm_eps: 1e-06 there, 0.5 now\)"):
        run(loaded, few, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(loaded[1].image_processor, "image_mean", [0.5, 0.5, 0.4])
    with pytest.raises(ValueError, match=r"\(processor.image_mean: \["):
        run(loaded, few, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(loaded[0].generation_config, "no_repeat_ngram_size", 2)
    with pytest.raises(ValueError, match=r"\(generation.no_repeat_ngram_size: None there, 2 now\)"):
        run(loaded, few, tmp_path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"\(batches: .*; number_of_rows: 2 there, 5 now\)"):
        run(loaded, examples[:5], tmp_path)  # other rows, other neighbours in a batch
    package = tmp_path / "package"
    shutil.copytree(digest.PACKAGE, package, ignore=shutil.ignore_patterns("weights", "__pycache__"))
    monkeypatch.setattr(digest, "PACKAGE", package)
    run(loaded, few, tmp_path)  # a copy is the same code
    mining = package / "model" / "patch_info_mining.py"
    mining.write_text(mining.read_text() + "# mended\n")
    with pytest.raises(ValueError, match=r"\(code: "):
        run(loaded, few, tmp_path)


def test_a_checkpoint_may_be_moved(checkpoints, examples, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(checkpoints / "model", moved)
    settings = [settings_of(*load(str(folder)), 3) for folder in (checkpoints / "model", moved)]
    assert settings[0] == settings[1]
    assert str(checkpoints) not in repr(settings)


def test_stored_pictures_answer_as_opened_ones(loaded, examples, tmp_path):
    """They are opened when they are needed, and their bytes are in the key."""
    opened: list[str] = []

    def stored(example):
        def encoded(image):
            data = io.BytesIO()
            image.save(data, format="PNG")
            return StoredImage(example.id, lambda: (opened.append(example.id), data.getvalue())[1])

        return replace(example, messages=with_images(example.messages, encoded))

    asked = [stored(example) for example in examples]
    batches(loaded, asked, 3)
    assert not opened
    lines = run(loaded, asked, tmp_path / "stored")
    assert opened
    plain = run(loaded, examples, tmp_path / "plain")
    assert [line["prediction"] for line in lines] == [line["prediction"] for line in plain]
    assert lines[0]["key"] != plain[0]["key"]  # the bytes of a PNG are not its pixels
    broken = replace(asked[0], messages=[message("user", "what?", [StoredImage("x.png", lambda: b"?")])])
    with pytest.raises(ValueError, match=r"x\.png: not a picture "):
        run(loaded, [broken], tmp_path / "broken")


def test_answers_by_chance_come_from_their_rows(loaded, examples, tmp_path):
    """Whatever is answered before, and by how many; and another row is other luck."""
    content = examples[0].messages
    drawn = [
        replace(examples[0], id=str(n), messages=content, sampling=Sampling(1.5, beams))
        for n, beams in enumerate((1, 1, 1, 1, 2))
    ]
    whole = [line["prediction"] for line in run(loaded, drawn, tmp_path / "whole")]
    assert [line["prediction"] for line in run(loaded, drawn[::-1], tmp_path / "back")] == whole[::-1]
    assert [line["prediction"] for line in run(loaded, drawn[2:3], tmp_path / "one")] == whole[2:3]
    assert len(set(whole[:4])) > 1


@pytest.mark.parametrize(
    ("view", "differs"), [(View("m", mining=False), True), (View("b", blank=True), True), (View("f"), False)]
)
def test_a_view_takes_something_away(loaded, examples, view, differs):
    batch = [example for example in examples if example.images][:2]
    batch = [example for example in batch if len(example.images) == len(batch[0].images)]
    full, less = prepare(loaded[1], batch), prepare(loaded[1], batch, view)
    assert torch.equal(full["pixel_values"], less["pixel_values"])
    assert torch.equal(full["input_ids"], less["input_ids"])
    logits = [loaded[0](**inputs).logits for inputs in (full, less)]
    assert torch.equal(*logits) is not differs
    assert ("high_res_pixel_values" in less) is view.mining
    larger = prepare(loaded[1], batch, View("2x", high_res_size=2 * full["high_res_pixel_values"].shape[-1]))
    assert larger["high_res_pixel_values"].shape[-1] == 2 * full["high_res_pixel_values"].shape[-1]
    assert loaded[0](**larger).logits.shape == logits[0].shape


def test_the_blind_control_sees_the_words_and_nothing_else(loaded, examples):
    sighted = examples[0]
    blind = without_images(sighted)
    assert (len(sighted.images), len(blind.images)) == (1, 0)
    assert blind.messages[0].parts == sighted.messages[0].parts[1:]
    assert blind.reference == sighted.reference
    text = loaded[1].apply_chat_template(for_template(blind.messages), add_generation_prompt=True, tokenize=False)
    assert "<image>" not in text
    assert tokens_of([text], loaded[1])


def test_what_a_resumed_run_reuses_depends_on_every_file_that_decides_an_answer():
    files = {pattern: set(digest.PACKAGE.glob(pattern)) for pattern in (*digest.ANSWERING, *digest.DRAWING)}
    assert not [pattern for pattern, found in files.items() if not found]
    answering = set().union(*(files[pattern] for pattern in digest.ANSWERING))
    assert set((digest.PACKAGE / "model").rglob("*.py")) <= answering
    assert digest.PACKAGE / "checkpoints" / "load.py" in answering
    assert not [file for file in answering if "convert_mgm" in file.parts or "attention" in file.parts]
