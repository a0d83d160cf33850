"""What a run says of itself: the loss of each source, on held-out records too, and how fast it went."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from accelerate import Accelerator
from small_run import losses, write_data
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from minigemini.training.meta_step import MicroBatch
from minigemini.training.run import train
from minigemini.training.throughput import Meter, ModelFlops, counted, peak_of


@pytest.fixture
def watched(align, tmp_path) -> Path:
    """One step over two sources, nothing moves; a copy of each is validation data."""
    write_data(tmp_path / "more", 5, seed=1)
    for name in ("data", "more"):
        shutil.copytree(tmp_path / name, tmp_path / "held_out" / name)
    recipe = yaml.safe_load(align.read_text())
    files = [{"path": str(tmp_path / name / "data.json")} for name in ("data", "more")]
    held_out = [{"path": str(tmp_path / "held_out" / name / "data.json")} for name in ("data", "more")]
    recipe["data"] |= {"sources": files, "validation": held_out}
    recipe["trainer"] |= {"learning_rate": 0.0, "per_device_train_batch_size": 21, "per_device_eval_batch_size": 3}
    align.write_text(yaml.safe_dump(recipe))
    return align


def logged(folder: Path) -> dict[str, float]:
    """All that was logged in one step, as one."""
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return {key: value for entry in history for key, value in entry.items()}


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["trainer.train_sampling_strategy=group_by_length"],
        ["data.packing=2000", "trainer.per_device_train_batch_size=1"],
    ],
    ids=["padded", "grouped", "packed"],
)
def test_each_source_has_its_loss_in_training_and_in_evaluation(watched, options, capfd):
    said = logged(train(watched, options))
    for name in ("data_data", "more_data"):
        assert said[f"loss_{name}"] == pytest.approx(said[f"eval_{name}_loss"], rel=1e-5)
    low, high = sorted([said["loss_data_data"], said["loss_more_data"]])
    assert low < said["loss"] < high
    for what in ("tokens", "images", "samples"):
        assert said[f"{what}_per_second"] > 0
    assert said["images_per_second"] / said["samples_per_second"] == pytest.approx(21 / 21)
    assert (said["padding"] == 0) == ("data.packing=2000" in options)
    assert 0 < said["data_wait"] < 1
    assert "model_flops_utilisation" not in said  # nobody knows the peak of this CPU
    assert "tokens/s" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["trainer.load_best_model_at_end=true"],
            "load_best_model_at_end: .* the final model is that of the last step",
        ),
        (["trainer.metric_for_best_model=loss"], "metric_for_best_model: unknown name 'loss'.*eval_data_data_loss"),
        (
            ["trainer.save_strategy=best"],
            "save_strategy=best needs trainer.metric_for_best_model: .*eval_more_data_loss",
        ),
        (
            ["trainer.lr_scheduler_type=reduce_lr_on_plateau"],
            "reduce_lr_on_plateau needs trainer.metric_for_best_model",
        ),
    ],
)
def test_the_best_is_so_by_a_loss_that_there_is(watched, options, words):
    with pytest.raises(ValueError, match=words):
        train(watched, options)


def test_the_best_checkpoint_stays(watched):
    options = ["trainer.save_strategy=best", "trainer.metric_for_best_model=eval_more_data_loss"]
    output = train(watched, options)
    state = json.loads((output / "trainer_state.json").read_text())
    assert state["best_model_checkpoint"] == str(output / "checkpoint-1")
    assert (output / "checkpoint-1").is_dir()


def test_with_one_source_its_loss_is_the_loss(align):
    assert not [key for key in logged(train(align)) if key.startswith(("loss_", "eval"))]


def test_tensorboard_has_the_curves_of_each_source(watched, monkeypatch):
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    output = train(watched, ["trainer.report_to=tensorboard"])
    (events,) = output.rglob("events.out.tfevents.*")
    curves = EventAccumulator(str(events.parent))
    curves.Reload()
    assert [point.value for point in curves.Scalars("train/loss")] == pytest.approx(losses(output))
    said = logged(output)
    for name in ("data_data", "more_data"):
        (point,) = curves.Scalars(f"eval/{name}_loss")
        assert (point.step, point.value) == (1, pytest.approx(said[f"eval_{name}_loss"]))
    assert curves.Scalars("train/tokens_per_second")


def test_no_record_is_dropped_from_the_validation(watched):
    """Which does not divide by its batches of 3; that of the training data does by its one of 21."""
    said = logged(train(watched, ["trainer.dataloader_drop_last=true"]))
    for name in ("data_data", "more_data"):
        assert said[f"loss_{name}"] == pytest.approx(said[f"eval_{name}_loss"], rel=1e-5)


def test_validation_is_checked_with_the_rest(watched, tmp_path):
    (tmp_path / "held_out" / "more" / "0-0.png").unlink()
    with pytest.raises(ValueError, match=r"1 bad records(.|\n)*held_out/more/data.json: record 0"):
        train(watched)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["trainer.eval_strategy=no"], "data.validation is never looked at"),
        (["data.validation=[]", "trainer.eval_strategy=epoch"], "needs data to evaluate on: data.validation"),
        (["data.validation.0.weight=2"], "a weight does nothing here"),
        (["data.sources.0.path={0}/held_out/data/data.json"], "is trained on"),
    ],
)
def test_half_of_a_validation_is_refused(watched, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        train(watched, [option.replace("{0}", str(tmp_path)) for option in options])


def test_a_meter_adds_up_batches():
    meter = Meter(["a", "b"], flops=None, peak=None)
    labels = torch.tensor([[-100, 1, 1, -100], [-100, -100, 1, -100]])
    batch = {
        "names": ["x", "y"],
        "sources": [1, 0],
        "input_ids": torch.ones(2, 4, dtype=torch.long),
        "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]]),
        "labels": labels,
        "pixel_values": torch.zeros(3, 3, 2, 2),
    }
    meter.waited(0.0)
    meter.add(batch, torch.tensor([1.0, 2.0, 5.0]))
    meter.add(batch, torch.tensor([3.0, 4.0, 7.0]))
    said = meter.read(Accelerator(cpu=True))
    assert (said["loss_a"], said["loss_b"]) == (6.0, 2.5)
    assert said["padding"] == pytest.approx(1 / 8)
    assert said["tokens_per_second"] / said["samples_per_second"] == pytest.approx(14 / 4)
    assert said["images_per_second"] / said["samples_per_second"] == pytest.approx(6 / 4)
    assert (meter.losses == 0).all()


def test_a_meter_asks_the_device_for_nothing_between_lines():
    """On the meta device no value can be asked for."""
    meter = Meter(["a", "b"], flops=None, peak=None)
    ids = torch.ones(2, 4, dtype=torch.long, device="meta")
    batch = {"names": ["x", "y"], "sources": [1, 0], "input_ids": ids, "labels": ids}
    meter.add(batch | {"attention_mask": ids}, torch.ones(6, device="meta"))
    pack = {key: ids.reshape(1, 8) for key in ("input_ids", "labels", "position_ids")}
    meter.add(batch | pack, torch.ones(6, device="meta"))
    assert meter.losses.shape == (2,)


@pytest.mark.parametrize(
    ("card", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA L40", 181e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA A10", 125e12),
        ("NVIDIA A10G", 70e12),
        ("Tesla V100-SXM2-16GB", 125e12),
        ("NVIDIA A1000", None),
        ("NVIDIA L400", None),
        ("NVIDIA RTX 4000 SFF Ada Generation", None),
    ],
)
def test_the_peak_of_a_card_is_its_own_or_not_known(card, peak):
    assert peak_of(card) == peak


def test_flops_of_a_batch_are_those_that_torch_counts(tiny_parts):
    import tiny

    model = tiny.new_model(tiny_parts)
    model.model.vision_tower.requires_grad_(False)
    flops = ModelFlops(model)
    with torch.device("meta"):
        twin = type(model)(model.config)
    twin.model.vision_tower.requires_grad_(False)
    assert flops.of(torch.tensor([300]), images=0, trained=50) == pytest.approx(
        counted(twin, MicroBatch(1, 300, 0, 50)), rel=0.02
    )
    both = counted(twin, MicroBatch(2, 300, 2, 50))
    assert flops.of(torch.tensor([300, 300]), images=2, trained=50) == pytest.approx(both, rel=0.02)
    model.model.language_model.requires_grad_(False)
    assert ModelFlops(model).token < 0.7 * flops.token  # no gradient of its weights
