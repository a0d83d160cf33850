"""A training recipe that names a data recipe: its parts as sources, weights, and what is missing."""

import re
from pathlib import Path

import pytest

from minigemini import strict_yaml
from minigemini.cli import main
from minigemini.data.check import check
from minigemini.data.mixture import EpochSampler, Mixture
from minigemini.data.sources import PartOf, Source
from minigemini.tabletop.training_data import write
from minigemini.training.recipe import load_recipe

CARD = """
name: mine
summary: of mine
licence: CC0
sources:
  - name: captions
    origin: [us]
    licence: CC0
    weight: 0.5
    image_folder: tabletop
    files: [{path: tabletop/align.json, holds: captions}]
  - name: questions
    origin: ["https://example.org/questions"]
    licence: CC0
    weight: 2
    files: [{path: tabletop/finetune.json, holds: questions}]
  - name: pictures
    origin: [us]
    licence: CC0
    files: [{path: tabletop/images/, holds: pictures of both}]
"""


@pytest.fixture
def card(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(CARD)
    return "mine.yaml"


def sources(*listed: str) -> list[Source]:
    return load_recipe("nano/align", [f"data.sources=[{', '.join(listed)}]"]).data.sources


def test_the_parts_of_a_data_recipe_are_sources(card):
    whole = sources("{path: a.json, weight: 3}", "{recipe: mine.yaml, folder: my, weight: 3}")
    assert whole == [
        Source("a.json", weight=3.0),
        Source("my/tabletop/align.json", "my/tabletop", 1.5, part_of=PartOf("mine.yaml", "captions", "my")),
        Source("my/tabletop/finetune.json", None, 6.0, part_of=PartOf("mine.yaml", "questions", "my")),
    ]
    assert sources("{recipe: mine.yaml, folder: my, parts: [questions], weight: 3}") == whole[2:]


def test_a_data_recipe_of_the_repository_by_its_path_or_name_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("data_recipes/tabletop.yaml", "tabletop"):
        found = sources(f"{{recipe: {name}}}")
        assert [source.path for source in found] == ["data/tabletop/align.json", "data/tabletop/finetune.json"]


def test_what_a_run_writes_down_reads_back_without_being_put_in_place_again(card, tmp_path):
    recipe = load_recipe("nano/align", ["data.sources=[{recipe: mine.yaml, weight: 3}]"])
    written = tmp_path / "recipe.yaml"
    written.write_text(strict_yaml.dump(recipe))
    assert load_recipe(written) == recipe


@pytest.mark.parametrize(
    ("listed", "wrong"),
    [
        ("{recipe: none.yaml}", "data.sources.0: none.yaml: no such file, and no data recipe of that name"),
        ("{recipe: mine.yaml, part: [captions]}", "data.sources.0.part: unknown name 'part' (did you mean 'parts'?)"),
        ("{recipe: mine.yaml, parts: [question]}", "mine.yaml: parts: unknown name 'question'"),
        ("{recipe: mine.yaml, parts: [pictures]}", "mine.yaml: parts: pictures holds pictures alone"),
        ("{recipe: mine.yaml, weight: 0}", "data.sources.0: weight must be positive"),
        ("{recipe: filtered.yaml}", "data.sources.0: filtered.yaml: questions has filters, which training does not"),
        ("{recipe: pictures.yaml}", "pictures.yaml: none of its parts holds records"),
        ("{recipe: wrong.yaml}", "wrong.yaml: sources.2: weight, filters, image_folder: pictures holds pictures alone"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(listed, wrong, card):
    Path("filtered.yaml").write_text(CARD.replace("weight: 2", "filters: [{resolution: {shortest: 64}}]"))
    Path("pictures.yaml").write_text(CARD[: CARD.index("  - name: captions")] + CARD[CARD.index("  - name: pict") :])
    Path("wrong.yaml").write_text(CARD + "    weight: 2\n")
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(wrong)):
        sources(listed)


def test_filters_are_kept_as_data_and_parts_without_any_are_trained_on(card):
    Path(card).write_text(CARD.replace("weight: 2", "filters: [{resolution: {shortest: 64}}]"))
    assert len(sources("{recipe: mine.yaml, parts: [captions]}")) == 1


def test_all_that_is_missing_is_said_with_where_it_would_go_before_anything_is_loaded(card, capsys):
    command = ["train", "nano/align", "data.sources=[{recipe: mine.yaml, folder: my}]", "trainer.output_dir=out"]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert "mine.yaml: 3 of its files are not there:" in said
    assert "my/tabletop/finetune.json: questions (questions, from https://example.org/questions)" in said
    assert "my/tabletop/images" in said

    write(Path("my/tabletop"), 8)
    Path("my/tabletop/align.json").unlink()
    with pytest.raises(FileNotFoundError, match="1 of its files are not there:\n  my/tabletop/align.json"):
        check(load_recipe("nano/align", command[2:]).data, None)
    only = [command[2].replace("my}", "my, parts: [questions]}"), command[3]]
    assert not check(load_recipe("nano/align", only).data, None).problems, "a part that is not taken may be missing"


def test_weights_of_parts_are_exact_over_processes_and_the_same_when_a_run_goes_on(card):
    """Two processes read a round of the sampler in turns, as accelerate shares it; one that goes on passes over what it has read."""
    write(Path("data/tabletop"), 40)
    data = load_recipe("nano/align", ["data.sources=[{recipe: mine.yaml}]"]).data
    mixture = Mixture(check(data, None).sources)
    captions, questions = mixture.sizes
    order = list(EpochSampler(mixture, "group_by_length", 4, seed=0, round_size=4))
    shared = [order[place] for first in (0, 2) for start in range(first, len(order), 4) for place in (start, start + 1)]
    read = [index for index in shared if index >= 0]
    assert sum(index < captions for index in read) == round(captions / 2)
    assert sorted(index for index in read if index >= captions) == sorted(
        2 * list(range(captions, captions + questions))
    )
    again = EpochSampler(Mixture(check(data, None).sources), "group_by_length", 4, seed=0, round_size=4)
    assert list(again)[12:] == order[12:]
