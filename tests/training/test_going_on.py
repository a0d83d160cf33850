"""What a run goes on from, what it passes over, and what it refuses; nothing is trained here but one short run."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from small_run import align_recipe, write_data

from minigemini.training import room
from minigemini.training.checkpoints_on_disk import LISTING, newest_whole, remove_old
from minigemini.training.run import train

NEEDED = ["optimizer*", "scheduler.pt", "rng_state*.pth"]
SAVING = ["trainer.save_strategy=steps", "trainer.save_steps=2"]


@pytest.fixture(scope="module")
def trained(tiny_parts, tmp_path_factory) -> Path:
    """A recipe beside the folder `align` that it was trained to: checkpoint-2, checkpoint-4 and the model."""
    folder = tmp_path_factory.mktemp("trained")
    data = write_data(folder / "data", 16)
    (folder / "align.yaml").write_text(yaml.safe_dump(align_recipe(tiny_parts, data, folder / "align")))
    train(folder / "align.yaml", SAVING)
    return folder / "align.yaml"


@pytest.fixture
def output(trained, tmp_path) -> Path:
    """A copy of the folder, as if the run had been killed before its end."""
    folder = tmp_path / "align"
    shutil.copytree(trained.parent / "align", folder)
    (folder / "trainer_state.json").unlink()
    (folder / "model.safetensors").unlink()
    return folder


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def as_an_earlier_version_wrote(checkpoint: Path) -> None:
    (checkpoint / LISTING).unlink()


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "of an earlier version"])
@pytest.mark.parametrize(
    "damage", [halve, Path.unlink, lambda file: file.write_bytes(b"")], ids=["cut", "gone", "empty"]
)
@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"]
)
def test_a_torn_checkpoint_is_passed_over_by_name(output, name, damage, listed):
    if not listed:
        for number in (2, 4):
            as_an_earlier_version_wrote(output / f"checkpoint-{number}")
    damage(output / "checkpoint-4" / name)
    said: list[str] = []
    assert newest_whole(output, NEEDED, said.append) == output / "checkpoint-2"
    (line,) = said
    assert line.startswith(f"{output / 'checkpoint-4'} is passed over: ")
    assert name.partition(".")[0] in line or "no weights" in line


def test_a_folder_written_in_part_and_one_that_is_empty_are_passed_over(output):
    (output / "checkpoint-6").mkdir()
    (output / "checkpoint-5").mkdir()
    shutil.copy(output / "checkpoint-4" / "model.safetensors", output / "checkpoint-5")
    said: list[str] = []
    assert newest_whole(output, NEEDED, said.append) == output / "checkpoint-4"
    assert [line.split(" is passed")[0][-1] for line in said] == ["6", "5"]


def test_only_whole_checkpoints_are_counted_and_the_last_one_stays(output):
    halve(output / "checkpoint-4" / "optimizer.pt")
    remove_old(output, 1, None)
    assert (output / "checkpoint-2").is_dir()
    shutil.copytree(output / "checkpoint-2", output / "checkpoint-6")
    remove_old(output, 1, str(output / "checkpoint-2"))
    assert (output / "checkpoint-2").is_dir()
    remove_old(output, 1, None)
    assert sorted(path.name for path in output.glob("checkpoint-*")) == ["checkpoint-4", "checkpoint-6"]


def test_a_checkpoint_without_optimizer_is_no_beginning(output, trained):
    for number in (2, 4):
        checkpoint = output / f"checkpoint-{number}"
        as_an_earlier_version_wrote(checkpoint)
        for name in ("optimizer.pt", "scheduler.pt"):
            (checkpoint / name).unlink()
    for resume in (True, "auto"):
        with pytest.raises(ValueError, match=r"checkpoint-2: optimizer and scheduler\.pt not in it .*save_only_model"):
            train(trained, [*SAVING, f"trainer.output_dir={output}"], resume=resume)


def test_what_can_be_gone_on_from_goes_on_and_what_cannot_begins_if_it_may(output, trained, capfd):
    overrides = [*SAVING, f"trainer.output_dir={output}"]
    halve(output / "checkpoint-4" / "optimizer.pt")
    train(trained, overrides, resume="auto")
    assert "checkpoint-4 is passed over: optimizer.pt has" in "".join(capfd.readouterr().err.splitlines())
    assert (output / "model.safetensors").read_bytes() == (trained.parent / "align" / "model.safetensors").read_bytes()

    before = (output / "run.json").read_bytes()
    for resume in (True, "auto"):  # finished: nothing is done
        train(trained, overrides, resume=resume)
        assert "is trained already" in capfd.readouterr().err
    assert (output / "run.json").read_bytes() == before

    new = output.with_name("new")
    with pytest.raises(ValueError, match="holds no whole checkpoint to go on from; --resume auto begins"):
        train(trained, [*SAVING, f"trainer.output_dir={new}"], resume=True)


@pytest.mark.parametrize("accepted", [[], ["trainer"]])
@pytest.mark.parametrize(
    ("override", "change"),
    [
        ("trainer.adam_beta1=0.8", "trainer.adam_beta1: 0.9 -> 0.8"),
        ("trainer.adam_epsilon=1e-6", "trainer.adam_epsilon: 1e-08 -> 1e-06"),
        ("trainer.optim=sgd", r"trainer.optim: adamw_torch\w* -> sgd"),
    ],
)
def test_what_the_optimizer_brings_along_cannot_be_changed(output, trained, override, change, accepted):
    with pytest.raises(ValueError, match="as it was, and would not learn of " + change):
        train(trained, [*SAVING, f"trainer.output_dir={output}", override], resume=True, resume_changed=accepted)


CHANGED = [
    ("trainer.learning_rate=1e-5", r"trainer.learning_rate: 0.01 -> 1e-05"),
    ("trainer.seed=7", r"trainer.seed: 42 -> 7"),
    ("trainer.per_device_train_batch_size=2", r"per_device_train_batch_size: 4 -> 2"),
    ("trainer.gradient_accumulation_steps=2", r"gradient_accumulation_steps: 1 -> 2"),
    ("trainer.train_sampling_strategy=sequential", r"train_sampling_strategy: random -> sequential"),
    ("trainer.num_train_epochs=2", r"num_train_epochs: 1 -> 2"),
    ("data.max_length=150", r"data.max_length: 200 -> 150"),
    ("data.sources.0.weight=2", r"data.sources.0.weight: 1.0 -> 2.0"),
]


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(("override", "words"), CHANGED, ids=[override for override, _ in CHANGED])
def test_a_run_that_was_begun_otherwise_is_not_gone_on_with(output, trained, override, words, finished):
    if finished:
        shutil.copy(trained.parent / "align" / "trainer_state.json", output)
    with pytest.raises(ValueError, match=words + r"(.|\n)*--resume-changed " + override.split("=")[0]):
        train(trained, [*SAVING, f"trainer.output_dir={output}", override], resume="auto")


def test_other_data_is_not_gone_on_with(output, trained, tmp_path):
    records = json.loads((trained.parent / "data" / "data.json").read_text())
    (tmp_path / "data.json").write_text(json.dumps(records[::-1]))
    images = f"data.sources.0.image_folder={trained.parent / 'data'}"
    overrides = [*SAVING, f"trainer.output_dir={output}", f"data.sources.0.path={tmp_path / 'data.json'}", images]
    with pytest.raises(ValueError, match=r"data.sources.0.path: sha256 \w+ -> sha256"):
        train(trained, overrides, resume=True)
    moved = tmp_path / "moved.json"
    moved.write_text(json.dumps(records))
    with pytest.raises(ValueError, match="begun otherwise") as refused:
        train(trained, [*overrides[:2], f"data.sources.0.path={moved}", images], resume=True)
    assert "image_folder" in str(refused.value)
    assert "path" not in str(refused.value).partition("change it back")[0]  # the same bytes elsewhere


def test_records_that_are_skipped_since_are_noticed(output, trained, tmp_path):
    begun = json.loads((output / "run.json").read_text())
    begun["fingerprint"]["data.records"] = "sha256 0"
    (output / "run.json").write_text(json.dumps(begun))
    overrides = [*SAVING, f"trainer.output_dir={output}"]
    with pytest.raises(ValueError, match=r"data.records: sha256 0 -> sha256"):
        train(trained, overrides, resume=True)
    train(trained, overrides, resume=True, resume_changed=["data.records"])


def test_a_change_is_accepted_by_its_name_alone(output, trained):
    overrides = [*SAVING, f"trainer.output_dir={output}", "trainer.learning_rate=1e-4", "trainer.num_train_epochs=2"]
    with pytest.raises(ValueError, match="num_train_epochs") as refused:
        train(trained, overrides, resume=True, resume_changed=["trainer.learning_rate"])
    assert "learning_rate" not in str(refused.value)
    with pytest.raises(ValueError, match=r"--resume-changed: unknown name 'trainer.lr'"):
        train(trained, overrides, resume=True, resume_changed=["trainer.lr"])
    with pytest.raises(ValueError, match="--resume-changed goes with --resume"):
        train(trained, overrides, resume_changed=["trainer"])
    train(trained, [*overrides, "trainer.logging_steps=3"], resume=True, resume_changed=["trainer"])
    assert (output / "checkpoint-8").is_dir()
    fingerprint = json.loads((output / "run.json").read_text())["fingerprint"]
    assert fingerprint["trainer.num_train_epochs"] == 2


def test_a_finished_run_and_a_foreign_model_are_not_overwritten(trained, tmp_path):
    with pytest.raises(ValueError, match="align holds a finished run"):
        train(trained, ["trainer.learning_rate=1"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="other holds a model that no run here has made"):
        train(trained, [f"trainer.output_dir={tmp_path / 'other'}"])


def test_a_checkpoint_of_another_run_is_no_leave_to_overwrite(output, trained):
    named = f"trainer.resume_from_checkpoint={output / 'checkpoint-2'}"
    with pytest.raises(ValueError, match="align holds a finished run"):
        train(trained, [*SAVING, named])
    with pytest.raises(ValueError, match="say both where to go on from; leave one out"):
        train(trained, [*SAVING, named, f"trainer.output_dir={output}"], resume="auto")
    train(trained, [*SAVING, named, f"trainer.output_dir={output}"])  # its own checkpoint


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["trainer.output_dir={file}"], "trainer.output_dir: .*data.json is a file, and a folder is needed"),
        (["trainer.output_dir={file}/sub"], "trainer.output_dir: .*data.json is a file, and a folder is needed"),
        (["trainer.output_dir=/proc/none"], "trainer.output_dir: /proc/none cannot be written"),
        (["trainer.report_to=tensorbord"], "trainer.report_to=tensorbord: .*not supported"),
        (
            ["trainer.report_to=[tensorboard, trackio]"],
            "^trainer.report_to=trackio: .* requires trackio .*installed.*$",
        ),
        (["trainer.push_to_hub=true"], "trainer.push_to_hub: no token"),
        (["trainer.push_to_hub=true", "trainer.hub_token=x"], "trainer.push_to_hub: the hub says no, or nothing"),
    ],
)
def test_what_cannot_work_is_said_before_the_data_is_read(trained, monkeypatch, overrides, words, tmp_path):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("minigemini.training.services.get_token", lambda: None)
    file = trained.parent / "data" / "data.json"
    output = [f"trainer.output_dir={tmp_path / 'new'}", "data.sources=[{path: nowhere.json}]"]
    with pytest.raises(ValueError, match=words):
        train(trained, [*output, *(override.format(file=file) for override in overrides)])


def test_room_is_asked_for_before_the_first_step_and_before_each_save(trained, tmp_path, monkeypatch):
    one = sum(path.stat().st_size for path in (trained.parent / "align" / "checkpoint-2").iterdir())
    disk = shutil.disk_usage(tmp_path)

    def with_room_for(bytes_free: int) -> None:
        monkeypatch.setattr(room.shutil, "disk_usage", lambda path: disk._replace(free=bytes_free))

    overrides = [*SAVING, "trainer.num_train_epochs=2", f"trainer.output_dir={tmp_path / 'full'}"]
    with_room_for(3 * one)
    with pytest.raises(OSError, match=r"full: too little room on the disk: 4 checkpoints of .* set trainer.save_total"):
        train(trained, overrides)
    assert not list((tmp_path / "full").glob("checkpoint-*"))

    with_room_for(100 * one)
    monkeypatch.setattr(room.RoomOnDisk, "on_step_end", fill_the_disk(with_room_for, 3, one // 2))
    with pytest.raises(
        OSError, match=r"a checkpoint needs [\d,]+ bytes, [\d,]+ are free; checkpoint-2 is the last whole"
    ):
        train(trained, overrides, resume="auto")
    monkeypatch.undo()
    train(trained, overrides, resume="auto")


def fill_the_disk(with_room_for, step, bytes_free):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == step:
            with_room_for(bytes_free)

    return on_step_end
