"""What each of several processes says and has, and settings of engines that are refused or accepted."""

import os
from datetime import timedelta
from pathlib import Path

import launched
import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from small_run import align_recipe, write_data
from transformers import TrainingArguments
from transformers.integrations.deepspeed import HfDeepSpeedConfig

from minigemini import cli, shipped
from minigemini.training import fully_sharded
from minigemini.training.processes import check_processes
from minigemini.training.recipe import load_recipe
from minigemini.training.run import arguments_of, train


def said_by(rank: str, words: str, monkeypatch, capsys) -> str:
    monkeypatch.setenv("RANK", rank)
    cli.say_once(words)
    return capsys.readouterr().err


def test_every_process_speaks_and_what_all_share_is_said_once(monkeypatch, capsys):
    store = torch.distributed.TCPStore("localhost", 0, is_master=True, timeout=timedelta(seconds=10))
    for key, value in {"WORLD_SIZE": "2", "TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    assert said_by("1", "only mine", monkeypatch, capsys) == "minigemini: process 1 of 2: only mine\n"
    assert said_by("1", "of all", monkeypatch, capsys) == "minigemini: process 1 of 2: of all\n"
    assert said_by("0", "of all", monkeypatch, capsys) == ""


def test_where_no_launcher_keeps_a_store_each_speaks_for_itself(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    monkeypatch.setenv("RANK", "1")
    assert cli.main(["train", "nowhere.yaml"]) == 1
    assert "process 1 of 2: nowhere.yaml: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["ddp", "several_hosts"])
def test_shipped_settings_of_accelerate_are_read_by_it(name):
    config = load_config_from_file(str(shipped.ROOT / "train" / "accelerate" / f"{name}.yaml"))
    assert config.num_processes == config.num_machines * 8


@pytest.mark.parametrize("stage", [2, 3])
def test_shipped_settings_of_deepspeed_are_read_by_it(stage):
    config = HfDeepSpeedConfig(str(shipped.ROOT / "train" / "deepspeed" / f"zero{stage}.json"))
    assert config.is_zero3() == (stage == 3)


def test_one_process_that_sees_several_gpus_is_refused(tmp_path):
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    check_processes(arguments)
    arguments._n_gpu = 2  # as on a machine that has them
    with pytest.raises(ValueError, match="2 GPUs and one process: torchrun --nproc_per_node 2 .*CUDA_VISIBLE_DEVICES"):
        check_processes(arguments)


@pytest.mark.parametrize(
    "trainer",
    [
        {"fsdp": True},
        {"fsdp": "full_shard"},
        {"fsdp": ["full_shard", "auto_wrap"]},
        {"fsdp": True, "fsdp_config": {"fsdp_version": 2}},
        {"fsdp": True, "fsdp_config": "train/fsdp/fsdp2.json"},
    ],
)
def test_fsdp_is_accepted_as_people_write_it(trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "")  # TrainingArguments sets it; so it is gone after the test
    recipe = align_recipe(
        dict.fromkeys(("language_model", "vision_tower", "high_res_vision_tower"), "x"), tmp_path, tmp_path
    )
    recipe["trainer"] |= trainer
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    plugin = TrainingArguments(**arguments_of(load_recipe(tmp_path / "recipe.yaml").trainer)).fsdp_plugin_args
    assert plugin["fsdp_version"] == 2
    assert plugin["reshard_after_forward"] is True
    assert plugin["cpu_ram_efficient_loading"] is True


@pytest.mark.parametrize(
    ("trainer", "words"),
    [
        ({"fsdp": True, "fsdp_config": {"version": 1}}, "version: 2 is what is supported"),
        ({"fsdp": True, "fsdp_config": {"forward_prefetch": True}}, "unknown name 'forward_prefetch'"),
        ({"fsdp": True, "fsdp_config": {"state_dict_type": "SHARDED_STATE_DICT"}}, "unknown name 'state_dict_type'"),
        ({"fsdp_config": {"version": 2}}, "does nothing without trainer.fsdp=true"),
        ({"fsdp": True, "deepspeed": "zero3.json"}, "two ways to do the same"),
    ],
)
def test_settings_of_fsdp_that_would_do_nothing_are_refused(trainer, words):
    with pytest.raises(ValueError, match=words):
        fully_sharded.checked(trainer)


def test_fsdp_settings_of_the_launcher_are_refused(monkeypatch):
    monkeypatch.setenv("FSDP_VERSION", "2")
    with pytest.raises(ValueError, match="accelerate launch"):
        fully_sharded.checked({})


def test_fsdp_in_one_process_is_refused(align, monkeypatch):
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "")
    with pytest.raises(ValueError, match="trainer.fsdp is for several processes"):
        train(align, ["trainer.fsdp=true"])
    assert "ACCELERATE_USE_FSDP" not in os.environ


def test_text_alone_trains_nothing_that_sees(align, tmp_path):
    file = text_alone(tmp_path)
    with pytest.raises(
        ValueError, match="no record has a picture, so nothing would train patch_info_mining, multi_modal"
    ):
        train(align, [f"data.sources.0.path={file}"])
    assert not (tmp_path / "align").exists()


def text_alone(folder: Path) -> Path:
    file = folder / "text.json"
    turns = [{"from": "human", "value": "what is it"}, {"from": "gpt", "value": "a circle"}]
    file.write_text(str([{"id": "1", "conversations": turns}]).replace("'", '"'))
    return file


def test_more_tokens_than_the_language_model_has_room_for_are_warned_of(align, capfd):
    train(align, ["data.max_length=600", "trainer.max_steps=1"])
    words = " ".join(capfd.readouterr().err.split())
    assert (
        "data.max_length 600 is more than the language model's context of 512 tokens; 0 of 16 records are longer"
        in words
    )


def main_on_hosts(hosts: list[Path], command: list[str]) -> int:
    """Each process in a folder of its own, as on hosts of their own."""
    os.chdir(hosts[int(os.environ["RANK"])])
    return cli.main(command)


def test_what_fails_in_one_process_alone_is_said_with_its_rank(tiny_parts, tmp_path):
    """The second host has one picture that breaks off in the middle; only its own process ever reads it."""
    hosts = [tmp_path / "first", tmp_path / "second"]
    for host in hosts:
        write_data(host, 8)
    broken = hosts[1] / "1-0.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    recipe = align_recipe(tiny_parts, Path("data.json"), tmp_path / "out")
    recipe["trainer"] |= {"per_device_train_batch_size": 1, "train_sampling_strategy": "sequential"}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    done = launched.launch(main_on_hosts, hosts, ["train", str(tmp_path / "recipe.yaml")], folder=tmp_path / "said")
    assert done.code == 1
    (told,) = [line for line in done.stderr.splitlines() if "1-0.png" in line]
    assert told.startswith("minigemini: process 1 of 2: ")
    assert not (tmp_path / "out" / "model.safetensors").exists()
