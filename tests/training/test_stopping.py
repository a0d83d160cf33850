"""A run that is asked to stop saves, says so, and does not pretend to be trained; a loss that is not a number stops it."""

import json
import os
import signal

import pytest
import torch
from launched import launch
from safetensors.torch import load_file
from small_run import losses
from transformers import TrainingArguments

from minigemini.cli import main
from minigemini.data.collator import Collator
from minigemini.training.finite import check_losses
from minigemini.training.run import train
from minigemini.training.trainer import Progress


def asked_at(step: int, number: int):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == step:
            os.kill(os.getpid(), number)

    return on_step_end


@pytest.mark.parametrize(
    ("number", "options", "code"),
    [
        (signal.SIGTERM, ["trainer.enable_jit_checkpoint=true"], 143),
        (signal.SIGINT, ["trainer.dataloader_num_workers=1"], 130),
    ],
)
def test_a_run_that_is_asked_to_stop_saves_and_says_so(align, tmp_path, monkeypatch, capfd, number, options, code):
    whole = train(align, [f"trainer.output_dir={tmp_path / 'whole'}"])
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with monkeypatch.context() as patch:
        patch.setattr("minigemini.training.trainer.Progress.on_step_end", asked_at(2, number))
        assert main(["train", str(align), *options]) == code
    said = capfd.readouterr()
    assert "stopped at step 2 of 4, go on with --resume" in said.err
    assert "trained" not in said.out
    output = tmp_path / "align"
    assert not (output / "model.safetensors").exists()
    assert not (output / "trainer_state.json").exists()
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == handlers

    assert main(["train", str(align), "--resume", "auto"]) == 0
    assert losses(output) == losses(whole)
    assert (output / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_run_that_is_asked_in_its_last_step_is_trained(align, tmp_path, monkeypatch):
    monkeypatch.setattr("minigemini.training.trainer.Progress.on_step_end", asked_at(4, signal.SIGTERM))
    assert main(["train", str(align)]) == 0
    assert (tmp_path / "align" / "trainer_state.json").exists()


def train_asked_in_the_second(*arguments: str) -> int:
    if os.environ["RANK"] == "1":
        Progress.on_step_end = asked_at(1, signal.SIGTERM)  # type: ignore[method-assign]
    return main(arguments)


def test_where_one_process_is_asked_all_stop_at_one_step(align, tmp_path):
    """torchrun tells all of its processes, but not at one moment."""
    command = ["train", str(align), "trainer.per_device_train_batch_size=2"]
    done = launch(train_asked_in_the_second, *command, folder=tmp_path / "said")
    assert done.code == 143, done.stderr
    assert "stopped at step 1 of 4, go on with --resume" in done.stderr
    checkpoint = tmp_path / "align" / "checkpoint-1"
    assert {"rng_state_0.pth", "rng_state_1.pth", "optimizer.pt", "whole.json"} <= {
        p.name for p in checkpoint.iterdir()
    }


def test_a_loss_that_is_no_number_is_found_at_its_step_with_its_records(align, tmp_path):
    options = ["trainer.learning_rate=1e30", "trainer.max_grad_norm=0", "trainer.logging_steps=100"]
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) at step 2: .* saves nothing more; the records of"):
        train(align, options)
    found = json.loads((tmp_path / "align" / "not_a_number.json").read_text())
    assert found["step"] == 2
    assert len(found["records"]) == 4
    assert all("record " in name for name in found["records"])


def train_blinded_in_the_second(*arguments: str) -> int:
    if os.environ["RANK"] == "1":
        collate, seen = Collator.__call__, []

        def without_numbers(self, examples):
            batch = collate(self, examples)
            if "pixel_values" in batch:
                seen.append(batch["names"])
                if len(seen) == 2:
                    batch["pixel_values"] = torch.full_like(batch["pixel_values"], float("nan"))
            return batch

        Collator.__call__ = without_numbers  # type: ignore[method-assign]
    return main(arguments)


@pytest.mark.parametrize("engine", [[], ["trainer.fsdp=true"]], ids=["DDP", "FSDP2"])
def test_a_loss_of_one_process_that_is_no_number_stops_all_at_its_step(align, tmp_path, engine):
    """Before the gradients of the other are spoilt by it: no weight of either has moved, nothing is saved after."""
    options = ["trainer.per_device_train_batch_size=2", "trainer.save_strategy=steps", "trainer.save_steps=1"]
    done = launch(train_blinded_in_the_second, "train", str(align), *options, *engine, folder=tmp_path / "said")
    assert done.code == 1, done.stderr
    assert "process 1 of 2: the loss is nan at step 2" in done.stderr
    assert "process 0 of 2: the loss of another process is not a number at step 2" in done.stderr
    output = tmp_path / "align"
    found = json.loads((output / "not_a_number-1.json").read_text())
    assert (found["step"], len(found["records"])) == (2, 2)
    assert not (output / "not_a_number.json").exists()
    assert [file.name for file in output.glob("checkpoint-*")] == ["checkpoint-1"]
    assert not (output / "model.safetensors").exists()


def test_losses_are_asked_for_once_a_step(align, tmp_path, monkeypatch):
    asked = []

    def listen(found, names, *args):
        asked.append((len(found), [len(of_one) for of_one in names]))
        return check_losses(found, names, *args)

    monkeypatch.setattr("minigemini.training.trainer.check_losses", listen)
    options = ["trainer.gradient_accumulation_steps=2", "trainer.per_device_train_batch_size=2", "trainer.max_steps=2"]
    train(align, options)
    assert asked == [(2, [2, 2]), (2, [2, 2])]


def test_the_records_are_those_of_the_micro_batch_that_is_no_number(tmp_path):
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    found = [torch.tensor(1.0), torch.tensor(float("nan")), torch.tensor(2.0)]
    with pytest.raises(ValueError, match="the loss is nan at step 7"):
        check_losses(found, [["a"], ["b", "c"], ["d"]], 7, arguments)
    assert json.loads((tmp_path / "not_a_number.json").read_text())["records"] == ["b", "c"]


def test_no_checkpoint_holds_what_is_not_a_number(align, tmp_path):
    """The step after which a weight is infinite may still have had a good loss."""
    options = ["trainer.learning_rate=1e39", "trainer.save_strategy=steps", "trainer.save_steps=1"]
    with pytest.raises(ValueError, match="hold values that are no numbers: nothing is saved|the loss is"):
        train(align, [*options, "trainer.max_grad_norm=0"])
    for file in (tmp_path / "align").glob("checkpoint-*/model.safetensors"):
        assert all(torch.isfinite(tensor).all() for tensor in load_file(file).values())
