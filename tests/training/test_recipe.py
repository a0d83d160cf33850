"""The recipe schema, and that every recipe of the repository fits it."""

import warnings
from dataclasses import fields
from pathlib import Path

import pytest
from transformers import TrainingArguments

from minigemini import shipped, strict_yaml
from minigemini.training.modules import ModulePlan
from minigemini.training.recipe import RECIPES, NewModel, Parts, Recipe, load_recipe
from minigemini.training.run import arguments_of

NAMES = shipped.names(RECIPES)

ALIGN = """
stage: align
init_from: {language_model: a, vision_tower: b, high_res_vision_tower: c}
model: {high_res_image_size: 96}
modules:
  patch_info_mining: {train: full}
  multi_modal_projector: {train: full, learning_rate: 1e-3}
data: {sources: [{path: align.json, image_folder: images}], max_length: 256}
trainer: {output_dir: out, learning_rate: 1e-4, lr_scheduler_type: cosine, save_strategy: no}
"""


def read(tmp_path: Path, text: str, *overrides: str) -> Recipe:
    (tmp_path / "recipe.yaml").write_text(text)
    return load_recipe(tmp_path / "recipe.yaml", overrides)


def test_a_recipe(tmp_path):
    recipe = read(tmp_path, ALIGN, "trainer.seed=7", "init_from.high_res_vision_tower=null")
    assert recipe.init_from == Parts("a", "b", None)
    assert recipe.model == NewModel(96)
    assert recipe.data.on_bad_record == "error"
    assert recipe.trainer["save_strategy"] == "no"
    assert recipe.trainer["seed"] == 7
    assert read(tmp_path, strict_yaml.dump(recipe)) == recipe, "the resolved recipe is a recipe"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.lerning_rate=1", r"trainer.lerning_rate: unknown name .*did you mean 'learning_rate'"),
        ("trainer.learning_rate=fast", r"trainer.learning_rate: expected a number, got 'fast'"),
        ("trainer.bf16=1", r"trainer.bf16: expected true or false, got 1"),
        ("trainer.output_dir=", r"trainer.output_dir: missing"),
        ("trainer.train_sampling_strategy=batch_rebalance", r"train_sampling_strategy: .*not one of 'random'"),
        (
            "modules.projector={train: full}",
            r"modules: unknown name 'projector' \(did you mean 'multi_modal_projector'",
        ),
        ("modules.multi_modal_projector.train=lorra", r"modules.multi_modal_projector.train: 'lorra' is not one of"),
        ("modules.multi_modal_projector.train=frozen", r"multi_modal_projector: learning_rate does nothing .* frozen"),
        ("modules={}", r"modules must name at least one module that is trained"),
        ("modules={lm_head: {train: frozen}}", r"modules must name at least one module that is trained"),
        ("init_from=some/checkpoint", r"`model:` goes with `init_from:` of parts"),
        ("data.sources=[]", r"sources must name at least one data file"),
        ("data.on_bad_record=ignore", r"data.on_bad_record: 'ignore' is not one of 'error', 'skip'"),
        ("data.max_length=0", r"max_length must be positive"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, override, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, ALIGN, override)


OLD_SECTIONS = "trainable: [patch_info_mining, language_model]\nlearning_rates: {patch_info_mining: 1e-3}\n"


def test_a_recipe_of_the_old_form_is_refused_with_the_new_form_of_it(tmp_path):
    start, end = ALIGN.index("modules:"), ALIGN.index("data:")
    with pytest.raises(ValueError, match=r"recipe.yaml: trainable and learning_rates became `modules`") as refused:
        read(tmp_path, ALIGN[:start] + OLD_SECTIONS + ALIGN[end:])
    new_form = str(refused.value).partition("now:\n")[2]
    plans = read(tmp_path, ALIGN[:start] + new_form + ALIGN[end:]).modules
    assert plans == {"patch_info_mining": ModulePlan("full", learning_rate=1e-3), "language_model": ModulePlan("full")}


def test_an_override_of_the_old_form_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"trainable became `modules`(.|\n)*  lm_head: \{train: full\}"):
        read(tmp_path, ALIGN, "trainable=[lm_head]")


def test_there_are_recipes():
    assert {"mgm/finetune", "nano/align", "nano/finetune"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_of_the_repository_loads(name):
    assert load_recipe(name).stage == Path(name).name.partition("_")[0]


def test_a_path_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_recipe("nano/align").data.max_length == 512
    read(tmp_path, ALIGN)
    (tmp_path / "nano").mkdir()
    (tmp_path / "recipe.yaml").rename("nano/align")
    assert load_recipe("nano/align").data.max_length == 256


KNOWN = {field.name for field in fields(TrainingArguments)}
BOTH_NAMES = ("gradient_checkpointing", "activation_checkpointing")


@pytest.mark.parametrize("name", [name for name in BOTH_NAMES if name in KNOWN])
def test_blocks_are_computed_twice_by_either_name_without_a_warning(tmp_path, name):
    wishes = [f"trainer.{name}=true", f"trainer.{name}_kwargs={{use_reentrant: false}}", "trainer.use_cpu=true"]
    section = arguments_of(read(tmp_path, ALIGN, *wishes).trainer)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        arguments = TrainingArguments(**section)
    assert arguments.gradient_checkpointing is True
    assert arguments.gradient_checkpointing_kwargs == {"use_reentrant": False}


@pytest.mark.skipif(not set(BOTH_NAMES) <= KNOWN, reason="this transformers has one name")
def test_one_thing_under_two_names_is_refused(tmp_path):
    recipe = read(tmp_path, ALIGN, "trainer.gradient_checkpointing=true", "trainer.activation_checkpointing=false")
    with pytest.raises(ValueError, match="two names of one thing"):
        arguments_of(recipe.trainer)
