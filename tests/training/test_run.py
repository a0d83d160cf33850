"""Two stages by the real run: what is written, what moves and what stays, resuming, and errors before the first step."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_run import losses

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.training.run import train


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """The modules of which a tensor differs in a bit."""
    assert before.keys() == after.keys()
    names = [name for name in before if not torch.equal(before[name], after[name])]
    return {name.split(".")[1] if name.startswith("model.") else name.split(".")[0] for name in names}


def test_two_stages(align, finetune, tmp_path):
    first = train(align)
    start = train(align, ["trainer.learning_rate=0", f"trainer.output_dir={tmp_path / 'start'}"])
    assert changed(weights(start), weights(first)) == {"patch_info_mining", "multi_modal_projector"}

    second = train(finetune)
    moved = {"patch_info_mining", "multi_modal_projector", "language_model", "lm_head"}
    assert changed(weights(first), weights(second)) == moved

    for folder, stage in ((first, "align"), (second, "finetune")):
        MiniGeminiForConditionalGeneration.from_pretrained(folder)
        assert MiniGeminiProcessor.from_pretrained(folder).chat_template
        assert (folder / "recipe.yaml").read_text().startswith(f"stage: {stage}\n")
        run = json.loads((folder / "run.json").read_text())
        assert torch.__version__.startswith(run["packages"]["torch"])
        assert len(losses(folder)) == 4
        assert all(math.isfinite(loss) for loss in losses(folder))


def test_training_learns(align):
    folder = train(
        align,
        ["modules.language_model.train=full", "modules.lm_head.train=full", "trainer.num_train_epochs=20"],
    )
    curve = losses(folder)
    assert sum(curve[-4:]) < 0.5 * sum(curve[:4])


def test_a_resumed_run_is_the_uninterrupted_one(align, tmp_path):
    options = [
        "trainer.num_train_epochs=3",
        "trainer.save_strategy=steps",
        "trainer.save_steps=6",
        "trainer.train_sampling_strategy=group_by_length",
        "data.sources.0.weight=0.8",  # 13 of 16 records, others in each epoch
    ]
    whole = train(align, [*options, f"trainer.output_dir={tmp_path / 'whole'}"])
    cut = [*options, f"trainer.output_dir={tmp_path / 'cut'}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minigemini.training.trainer.Progress.on_step_end", interrupt_at_step_8)
        with pytest.raises(KeyboardInterrupt):
            train(align, cut)
    with pytest.raises(ValueError, match="holds checkpoints of an earlier run: go on from them with --resume"):
        train(align, cut)
    resumed = train(align, cut, resume=True)
    assert (resumed / "checkpoint-6").is_dir()
    assert changed(weights(whole), weights(resumed)) == set()
    assert losses(whole) == losses(resumed)
    assert len(losses(whole)) == 12


def interrupt_at_step_8(self, args, state, control, **kwargs):
    if state.global_step == 8:
        raise KeyboardInterrupt


def test_the_run_is_written_down_before_the_first_step(align, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minigemini.training.trainer.MiniGeminiTrainer.train", stop)
        with pytest.raises(KeyboardInterrupt):
            train(align, ["trainer.seed=5"])
    assert "seed: 5" in (tmp_path / "align" / "recipe.yaml").read_text()
    assert "commit" in json.loads((tmp_path / "align" / "run.json").read_text())


def stop(self, **kwargs):
    raise KeyboardInterrupt


def test_a_loss_that_is_no_number_stops_the_run(align):
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) at step"):
        train(align, ["trainer.learning_rate=1e30", "trainer.max_grad_norm=0"])


def test_bad_records_stop_the_run_before_it_starts_or_are_skipped(align, tmp_path):
    file = tmp_path / "data" / "data.json"
    records = json.loads(file.read_text())
    records[0]["conversations"].reverse()
    records[1]["image"] = "gone.png"
    records[3]["conversations"][1]["value"] = "long " * 200
    file.write_text(json.dumps(records))
    with pytest.raises(
        ValueError, match=r"3 bad records(.|\n)*record 0 \(id 0\)(.|\n)*gone\.png(.|\n)*more than max_length"
    ):
        train(align)
    assert not (tmp_path / "align" / "recipe.yaml").exists()
    folder = train(align, ["data.on_bad_record=skip"])
    assert len((folder / "bad_records.txt").read_text().splitlines()) == 3
    assert len(losses(folder)) == 4  # 13 records in fours


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("modules.projector.train=full", r"modules: unknown name 'projector'.*did you mean 'multi_modal_projector'"),
        ("init_from.vision_tower=nano-base/vision", r"'nano-base/vision' is not among the shipped weights"),
        ("model.high_res_image_size=60", r"60 does not fit the low-resolution tower"),
    ],
)
def test_what_cannot_be_is_named(align, override, message):
    with pytest.raises(ValueError, match=message):
        train(align, [override])


def test_mining_cannot_be_trained_without_high_resolution_pictures(align, finetune, tmp_path):
    folder = train(align)
    processor = MiniGeminiProcessor.from_pretrained(folder)
    processor.image_processor.do_high_res = False
    processor.save_pretrained(folder)
    with pytest.raises(
        ValueError, match="patch_info_mining is trained, but the processor makes no high-resolution pictures"
    ):
        train(finetune)
    assert not (tmp_path / "finetune" / "run.json").exists()
