"""What a fingerprint notices."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import TrainingArguments

from minigemini.data.sources import DataRecipe, Source
from minigemini.training.fingerprint import changes, digest_of_base, fingerprint_of, flat
from minigemini.training.modules import ModulePlan
from minigemini.training.recipe import Recipe


@pytest.mark.parametrize(
    ("begun", "now", "noticed"),
    [
        ({"kwargs": None}, {"kwargs": {"cycles": 2}}, {"trainer.kwargs.cycles": "None -> 2"}),
        (
            {"kwargs": {}},
            {"kwargs": {"cycles": 2}},
            {"trainer.kwargs": "{} -> None", "trainer.kwargs.cycles": "None -> 2"},
        ),
        (
            {"fsdp": []},
            {"fsdp": ["full_shard"]},
            {"trainer.fsdp": "[] -> None", "trainer.fsdp.0": "None -> full_shard"},
        ),
        ({"deepspeed": {"stage": 2}}, {"deepspeed": None}, {"trainer.deepspeed.stage": "2 -> None"}),
        ({"kwargs": {}, "seed": 1}, {"kwargs": {}, "seed": 1}, {}),
        ({"of_one_version": {"a": 1}}, {"of_another": [], "seed": 1}, {}),
    ],
)
def test_what_is_added_and_what_is_taken_away(begun: dict[str, Any], now: dict[str, Any], noticed: dict[str, str]):
    assert changes(flat({"trainer": begun}), flat({"trainer": now})) == noticed


def write_weights(folder: Path, projector: torch.Tensor) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text("{}")
    tensors = {"model.language_model.weight": torch.zeros(50, 50), "model.multi_modal_projector.weight": projector}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return str(folder)


def test_a_base_that_has_been_trained_again(tmp_path):
    torch.manual_seed(0)
    projector = torch.randn(50, 50)
    one = digest_of_base(write_weights(tmp_path / "base", projector))
    assert one == digest_of_base(write_weights(tmp_path / "copy", projector))
    assert one != digest_of_base(write_weights(tmp_path / "base", projector + 1e-3))


@pytest.mark.parametrize("train", ["lora", "full"])
def test_an_adapter_run_knows_its_base(tmp_path, train):
    base = write_weights(tmp_path / "base", torch.zeros(2))
    plan = ModulePlan("lora", rank=4) if train == "lora" else ModulePlan("full")
    output = {"output_dir": str(tmp_path), "use_cpu": True}
    recipe = Recipe("finetune", base, {"language_model": plan}, DataRecipe([Source("no.json")], max_length=9), output)
    known = fingerprint_of(recipe, TrainingArguments(**output))
    assert known.get("base") == (digest_of_base(base) if train == "lora" else None)
