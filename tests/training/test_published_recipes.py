"""Every recipe of a published size, with tiny parts in the place of the large ones: all else in it is as it is."""

from pathlib import Path

import pytest
import tiny
from small_run import write_data

from minigemini import shipped
from minigemini.training.dry_run import dry_run
from minigemini.training.recipe import RECIPES, load_recipe

NAMES = [name for name in shipped.names(RECIPES) if not name.startswith(("nano/", "mgm/"))]
SIZES = ("gemma_2b", "vicuna_7b", "vicuna_13b", "llama3_8b", "mixtral_8x7b", "yi_34b")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), 8)


@pytest.fixture(scope="module")
def checkpoint(tiny_parts, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny.new_model(tiny_parts).save_pretrained(folder)
    tiny.new_processor(tiny_parts).save_pretrained(folder)
    return folder


def test_every_size_has_its_stages():
    assert {
        f"{size}/{stage}" for size in SIZES for stage in ("align", "finetune", "finetune_hd", "finetune_lora")
    } < set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_dry_run(name, data, checkpoint, tiny_parts, tmp_path, capsys):
    recipe = load_recipe(name)
    overrides = [
        f"data.sources=[{{path: {data}}}]",
        f"trainer.output_dir={tmp_path / 'out'}",
        f"trainer.per_device_train_batch_size={2 if recipe.data.packing is None else 1}",
        "trainer.gradient_accumulation_steps=1",
    ]
    if recipe.model is not None:
        parts = ", ".join(f"{part}: {folder}" for part, folder in tiny_parts.items())
        overrides += [f"init_from={{{parts}}}", f"model.high_res_image_size={tiny.HIGH_RES_SIZE}"]
    else:
        overrides += [f"init_from={checkpoint}"]
    if recipe.resolution is not None:
        overrides += [f"resolution.high_res_image_size={2 * tiny.HIGH_RES_SIZE}"]
    dry_run(name, overrides, gpus=8, gpu_memory=80)
    assert "ZeRO-3" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
