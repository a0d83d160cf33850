"""DDP, ZeRO-2, ZeRO-3 and FSDP2 in two processes on the CPU learn what one process learns from the same batches.

The 13 records make three batches of 4 and one of 1: a step at which both processes have images, one at which only one has, one
at which none has, and one at which a process has no record at all. The optimizer is SGD, so that weights tell of gradients.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file
from small_run import align_recipe, finetune_recipe, losses, write_data
from transformers import AutoConfig, AutoModelForCausalLM

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.checkpoints.adapter import WEIGHTS
from minigemini.checkpoints.load import load_model
from minigemini.training.run import train

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("many_runs.py")
ENGINES = {
    "ddp": [],
    "fsdp2": ["trainer.fsdp=true"],
    "zero2": ["trainer.deepspeed=train/deepspeed/zero2.json"],
    "zero3": ["trainer.deepspeed=train/deepspeed/zero3.json"],
}
IN_SLICES = ("fsdp2", "zero3")
TRAINED = ("patch_info_mining", "multi_modal_projector", "language_model", "lm_head")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_parts) -> Path:
    """With the recipes ``whole.yaml`` (a new model) and ``tied.yaml`` (a new one whose head is tied), and the checkpoints that
    one process makes by them; ``bf16`` goes on from that of ``whole``."""
    folder = tmp_path_factory.mktemp("engines")
    file = write_data(folder / "data", 17)
    records = json.loads(file.read_text())
    text = [record for record in records if "image" not in record]
    images = [record for record in records if "image" in record]
    file.write_text(json.dumps([*images[1:5], *text[:2], *images[5:7], *text[1:4], text[0], images[0]]))
    tie(Path(tiny_parts["language_model"]), folder / "tied_language_model")
    tied_parts = tiny_parts | {"language_model": str(folder / "tied_language_model")}
    whole = all_trained(align_recipe(tiny_parts, file, folder / "whole"))
    held_out = [write_data(folder / name, records, seed=1) for name, records in (("held_out", 5), ("more", 3))]
    whole["data"]["validation"] = [{"path": str(path)} for path in held_out]  # shares of 3 and 2 records, of 2 and 1
    whole["trainer"]["per_device_eval_batch_size"] = 2
    for name, recipe in {
        "whole": whole,
        "tied": all_trained(align_recipe(tied_parts, file, folder / "tied")),
        "bf16": all_trained(finetune_recipe(folder / "whole", file, folder / "bf16")),
    }.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    for name in ("whole", "tied"):
        train(folder / f"{name}.yaml")
    train(folder / "bf16.yaml", ["trainer.bf16=true", "trainer.max_steps=1"])
    return folder


def all_trained(recipe: dict[str, Any]) -> dict[str, Any]:
    recipe["modules"] = {name: {"train": "full"} for name in TRAINED}
    recipe["trainer"] |= {
        "train_sampling_strategy": "sequential",
        "optim": "sgd",
        "ddp_find_unused_parameters": False,  # every trained parameter has a gradient in every batch
    }
    return recipe


def tie(language_model: Path, folder: Path) -> None:
    """The same language model, with its embeddings for a head."""
    config = AutoConfig.from_pretrained(language_model, tie_word_embeddings=True)
    AutoModelForCausalLM.from_pretrained(language_model, config=config).save_pretrained(folder)
    for file in language_model.iterdir():
        if not (folder / file.name).exists():
            (folder / file.name).write_bytes(file.read_bytes())


@pytest.fixture(scope="module")
def lora(folder) -> Path:
    """As ``folder``, with the recipe ``lora.yaml``, and the adapter of ``whole`` that one process makes by it."""
    recipe = all_trained(finetune_recipe(folder / "whole", folder / "data" / "data.json", folder / "lora"))
    recipe["modules"] = {
        "patch_info_mining": {"train": "full"},
        "language_model": {"train": "lora", "rank": 4, "learning_rate": 5e-2},
    }
    recipe["trainer"]["optim"] = "adamw_torch"
    (folder / "lora.yaml").write_text(yaml.safe_dump(recipe))
    train(folder / "lora.yaml")
    return folder


@pytest.fixture(scope="module")
def together(lora) -> Path:
    """As ``lora``, with what two processes make: ``whole_ddp`` and so on, adapters ``lora_zero3`` and ``lora_fsdp2``, which
    ``lora_resumed`` goes on with from its second step, and ``said.txt``, what they said."""
    folder = lora
    runs: list[tuple[str, list[str]]] = []
    samples = ["samples={every: 100, records: 2}"]
    for engine, settings in ENGINES.items():
        runs.append(a_run(folder, "whole", engine, settings if engine in IN_SLICES else [*settings, *samples]))
    for engine in IN_SLICES:
        runs.append(a_run(folder, "bf16", engine, [*ENGINES[engine], "trainer.bf16=true", "trainer.max_steps=1"]))
        runs.append(a_run(folder, "tied", engine, [*ENGINES[engine]]))
    saving = ["trainer.save_strategy=steps", "trainer.save_steps=2"]
    adam = [*ENGINES["fsdp2"], "trainer.optim=adamw_torch"]
    checkpoint = folder / "whole_saved" / "checkpoint-2"
    runs.append(a_run(folder, "whole", "saved", [*adam, *saving]))
    runs.append(a_run(folder, "whole", "resumed", [*adam, f"trainer.resume_from_checkpoint={checkpoint}"]))
    checkpoint = folder / "lora_fsdp2" / "checkpoint-2"
    runs.append(a_run(folder, "lora", "zero3", ENGINES["zero3"]))
    runs.append(a_run(folder, "lora", "fsdp2", [*ENGINES["fsdp2"], *saving]))
    runs.append(a_run(folder, "lora", "resumed", [*ENGINES["fsdp2"], f"trainer.resume_from_checkpoint={checkpoint}"]))
    (folder / "said.txt").write_text(launch(folder, runs))
    return folder


def a_run(folder: Path, name: str, engine: str, settings: list[str]) -> tuple[str, list[str]]:
    place = [f"trainer.output_dir={folder / name}_{engine}", "trainer.per_device_train_batch_size=2"]
    return str(folder / f"{name}.yaml"), [*place, *settings]


def launch(folder: Path, runs: list[tuple[str, list[str]]]) -> str:
    """What the processes said."""
    (folder / "runs.json").write_text(json.dumps(runs))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, str(SCRIPT), str(folder / "runs.json")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


def weights(folder: Path) -> dict[str, Any]:
    return MiniGeminiForConditionalGeneration.from_pretrained(folder, dtype="float32").state_dict()


def assert_learnt_the_same(one: Path, two: Path) -> None:
    assert losses(two) == pytest.approx(losses(one), abs=1e-5)
    alone, together = weights(one), weights(two)
    for key, tensor in alone.items():
        assert (together[key] - tensor).abs().max().item() < 1e-6, key


def held(folder: Path) -> list[dict[str, Any]]:
    """What each process held."""
    return [json.loads((folder / f"held-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("engine", ENGINES)
def test_two_processes_learn_what_one_learns(together, engine):
    assert_learnt_the_same(together / "whole", together / f"whole_{engine}")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_validation_loss_of_each_source_is_that_of_one_process(together, engine):
    """Over shares that are uneven."""
    one, two = (validation_losses(together / name) for name in ("whole", f"whole_{engine}"))
    assert one.keys() == {"eval_held_out_data_loss", "eval_more_data_loss"}
    assert two == pytest.approx(one, abs=1e-5)


def validation_losses(folder: Path) -> dict[str, float]:
    history = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return {key: value for entry in history for key, value in entry.items() if key.endswith("_data_loss")}


@pytest.mark.parametrize("engine", IN_SLICES)
def test_tied_embeddings_learn_from_both_processes(together, engine):
    assert_learnt_the_same(together / "tied", together / f"tied_{engine}")


@pytest.mark.parametrize("engine", IN_SLICES)
def test_the_first_loss_in_bfloat16_is_that_of_one_process(together, engine):
    assert losses(together / f"bf16_{engine}") == pytest.approx(losses(together / "bf16"), abs=1e-3)


@pytest.mark.parametrize("engine", IN_SLICES)
def test_all_parameters_lie_in_slices_and_one_process_has_put_them_together(together, engine):
    first, second = held(together / f"whole_{engine}")
    assert first["in_slices"] == second["in_slices"] == first["parameters"] > 0
    assert (first["assembled"], second["assembled"]) == (True, False)
    assert not (together / f"whole_{engine}" / "new_model").exists()


def test_fsdp2_gathers_the_layers_that_the_model_has(together):
    layers = {"FSDPLlamaDecoderLayer", "FSDPCLIPEncoderLayer", "FSDPConvNeXtBlock", "FSDPPatchInfoMining"}
    assert layers <= set(held(together / "whole_fsdp2")[0]["gathered_alone"])


def test_ddp_has_no_slices(together):
    for process in held(together / "whole_ddp"):
        assert process["in_slices"] == 0
        assert process["assembled"]


@pytest.mark.parametrize("engine", [engine for engine in ENGINES if engine not in IN_SLICES])
def test_one_process_answers_while_the_other_waits(together, engine):
    page = (together / f"whole_{engine}" / "samples" / "step-4.html").read_text(encoding="utf-8")
    assert page.count("<article>") == 2
    assert "validation loss: held_out_data " in page


def test_fsdp2_goes_on_from_a_checkpoint_as_if_it_had_never_stopped(together):
    assert_learnt_the_same(together / "whole_saved", together / "whole_resumed")


def test_an_adapter_beside_a_base_in_slices(together):
    alone = losses(together / "lora")
    for engine in IN_SLICES:
        found = losses(together / f"lora_{engine}")
        assert found[0] == pytest.approx(alone[0], abs=1e-5)
        assert found == pytest.approx(alone, abs=0.2)  # the new layers are drawn otherwise
        load_model(str(together / f"lora_{engine}"))


def test_an_adapter_and_a_module_beside_it_go_on_in_slices(together):
    one, two = (load_file(together / name / WEIGHTS) for name in ("lora_fsdp2", "lora_resumed"))
    assert one.keys() == two.keys()
    for key, tensor in one.items():
        assert (two[key] - tensor).abs().max().item() < 1e-6, key


def test_a_checkpoint_of_slices_is_the_ordinary_one(together):
    one = sorted(file.name for file in (together / "whole").iterdir())
    for engine in IN_SLICES:
        files = sorted(file.name for file in (together / f"whole_{engine}").iterdir() if "held" not in file.name)
        assert files == one


def test_mining_in_slices_is_the_whole_one(together):
    """Output and all gradients, for two sizes of pictures, in each process."""
    assert (together / "said.txt").read_text().count("mining is the same in slices") == 2
