"""The average of the trained weights: what comes out is it, by its formula, and a run that goes on has both."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_run import write_data

from minigemini.checkpoints import adapter
from minigemini.training.ema import EMA, FILE, check_ema
from minigemini.training.modules import ModulePlan
from minigemini.training.run import train

AVERAGED = "ema={decay: 0.3}"  # the ramp is below it in the first three steps
SAVING = ["trainer.save_strategy=steps", "trainer.save_steps=1"]
LORA = "modules={patch_info_mining: {train: full}, language_model: {train: lora, rank: 4, learning_rate: 5e-2}}"


def trained(folder: Path) -> dict[str, torch.Tensor]:
    parts = ("model.patch_info_mining.", "model.multi_modal_projector.")
    return {name: tensor for name, tensor in load_file(folder / "model.safetensors").items() if name.startswith(parts)}


def validation_losses(folder: Path) -> list[float]:
    state = json.loads((folder / "trainer_state.json").read_text())
    return [entry["eval_held_out_loss"] for entry in state["log_history"] if "eval_held_out_loss" in entry]


@pytest.fixture
def held_out(tmp_path) -> str:
    file = write_data(tmp_path / "held_out", 4, seed=1)
    return f"data.validation=[{{path: {file.rename(file.with_name('held_out.json'))}}}]"


def test_what_comes_out_is_the_average_of_what_was_trained(align, finetune, held_out, tmp_path):
    averaged = train(align, [AVERAGED, held_out, *SAVING])
    plain = train(align, [held_out, *SAVING, f"trainer.output_dir={tmp_path / 'plain'}"])
    start = train(align, ["trainer.learning_rate=0", "trainer.max_steps=1", f"trainer.output_dir={tmp_path / 'start'}"])

    expected = trained(start)
    for step in range(4):
        decay = min(0.3, (1 + step) / (10 + step))
        weights = trained(plain / f"checkpoint-{step + 1}")
        expected = {name: decay * average + (1 - decay) * weights[name] for name, average in expected.items()}
        shown = trained(averaged / f"checkpoint-{step + 1}")
        kept = torch.load(averaged / f"checkpoint-{step + 1}" / FILE)
        for name in weights:
            torch.testing.assert_close(shown[name], expected[name], atol=1e-6, rtol=0)
            assert torch.equal(kept[name], weights[name]), "what is trained is not changed by it"
    last = averaged / "checkpoint-4" / "model.safetensors"
    assert (averaged / "model.safetensors").read_bytes() == last.read_bytes()

    again = [
        f"init_from={averaged}",
        "modules={multi_modal_projector: {train: full}}",
        "trainer.learning_rate=0",
        held_out,
    ]
    (found,) = validation_losses(averaged)
    assert validation_losses(train(finetune, again)) == pytest.approx([found], abs=1e-6)
    assert validation_losses(plain) != pytest.approx([found], abs=1e-4)


def test_a_resumed_run_is_the_uninterrupted_one(align, finetune, tmp_path, monkeypatch):
    whole = train(align, [AVERAGED, *SAVING])
    assert same_when_interrupted(align, [AVERAGED, *SAVING], whole / "model.safetensors", tmp_path, monkeypatch)
    low_rank = [AVERAGED, *SAVING, LORA]
    adapted = train(finetune, low_rank)
    assert same_when_interrupted(finetune, low_rank, adapted / adapter.WEIGHTS, tmp_path, monkeypatch)


def same_when_interrupted(recipe: Path, options: list[str], expected: Path, folder: Path, monkeypatch) -> bool:
    options = [*options, f"trainer.output_dir={folder / ('cut_' + recipe.stem)}"]
    with monkeypatch.context() as patch:
        patch.setattr("minigemini.training.trainer.Progress.on_step_end", interrupt_at_step_3)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, options)
    return (train(recipe, options, resume=True) / expected.name).read_bytes() == expected.read_bytes()


def interrupt_at_step_3(self, args, state, control, **kwargs):
    if state.global_step == 3:
        raise KeyboardInterrupt


def test_a_run_does_not_go_on_with_another_average_or_without(align, tmp_path):
    output = train(align, [AVERAGED, *SAVING])
    (output / "trainer_state.json").unlink()
    for other, change in (("ema={decay: 0.5}", "ema.decay: 0.3 -> 0.5"), ("ema=null", "ema.decay: 0.3 -> None")):
        with pytest.raises(ValueError, match=f"as it was, and would not learn of {change}"):
            train(align, [other, *SAVING], resume=True, resume_changed=["ema"])
    (output / "checkpoint-4" / FILE).unlink()
    (output / "checkpoint-4" / "whole.json").unlink()  # as an earlier version would have written it
    for number in (1, 2, 3):
        (output / f"checkpoint-{number}").rename(tmp_path / f"{number}")
    with pytest.raises(ValueError, match=f"{FILE} not in it"):
        train(align, [AVERAGED, *SAVING], resume=True)


@pytest.mark.parametrize(
    ("engine", "dtype", "words"),
    [
        ("ZeRO-3", "float32", "ema: ZeRO-3 holds the weights in slices"),
        ("FSDP", "float32", "ema: FSDP holds the weights in slices"),
        ("DeepSpeed", "float32", "ema: DeepSpeed holds a float32 form of the trained weights in slices"),
        (None, "bfloat16", "ema: modules.language_model is trained in bfloat16"),
    ],
)
def test_what_cannot_be_averaged_is_refused_by_name(engine, dtype, words):
    with pytest.raises(ValueError, match=words):
        check_ema(EMA(0.9), {"language_model": ModulePlan("full", dtype=dtype)}, engine)


@pytest.mark.parametrize("decay", ["0", "1", "1.5"])
def test_a_decay_that_averages_nothing_is_refused(align, decay):
    with pytest.raises(ValueError, match="ema.*decay must lie between 0 and 1"):
        train(align, [f"ema={{decay: {decay}}}"])


def test_an_engine_in_slices_is_refused_by_the_run(align):
    with pytest.raises(ValueError, match="ema: DeepSpeed holds"):
        train(align, [AVERAGED, "trainer.deepspeed=train/deepspeed/zero2.json"])
