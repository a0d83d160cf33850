"""The tabletop world: what is drawn can be read back, words and scenes are inverse, and no split leaks into another."""

import hashlib
import json
import random
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from minigemini.conversation import Text, images_of
from minigemini.tabletop import benchmark, oracle, questions, training_data
from minigemini.tabletop.conversations import random_conversation
from minigemini.tabletop.drawing import MOST_THINGS, edit, first_drawing
from minigemini.tabletop.language import describe, drawing_prompt, parse_prompt
from minigemini.tabletop.picture import GLYPHS, render
from minigemini.tabletop.scene import (
    ALL_PAIRS,
    HELD_OUT_PAIRS,
    SIZES,
    TAG_CHARACTERS,
    TRAINED_PAIRS,
    Scene,
    Thing,
    random_scene,
    reserved,
)


def scenes(number, seed=0, **arguments):
    rng = random.Random(seed)
    return [random_scene(rng, rng.randint(1, 6), ALL_PAIRS, **arguments) for _ in range(number)]


def test_the_oracle_reads_what_was_rendered_tags_included():
    for scene in scenes(150):
        reading = oracle.read(render(scene))
        assert reading.unknown_cells == ()
        assert reading.scene.facts() == scene.facts()
        assert {t.cell: t.tag for t in reading.scene.things} == {t.cell: t.tag for t in scene.things}


def test_the_oracle_reads_drawings_at_48_pixels():
    for scene in scenes(100, tags=0, jitter=False):
        assert oracle.matches(render(scene, 48), scene)


@pytest.mark.parametrize(
    "change",
    [{"colour": "blue"}, {"shape": "square"}, {"size": "small"}, {"cell": 0}],
    ids=lambda change: next(iter(change)),
)
def test_the_oracle_is_strict_about_every_attribute(change):
    thing = Thing("large", "red", "circle", 4)
    picture = render(Scene((thing,)))
    assert oracle.matches(picture, Scene((thing,)))
    assert not oracle.matches(picture, Scene((replace(thing, **change),)))


def test_the_oracle_is_strict_about_what_is_missing_or_too_much():
    one, other = Thing("large", "red", "circle", 4), Thing("small", "blue", "cross", 8)
    assert not oracle.matches(render(Scene((one,))), Scene((one, other)))
    assert not oracle.matches(render(Scene((one, other))), Scene((one,)))


def test_the_oracle_knows_when_it_does_not_know():
    pixels = np.asarray(render(Scene((Thing("large", "red", "circle", 4),)))).copy()
    pixels[64:96, 64:96] = np.random.default_rng(0).integers(0, 255, (32, 32, 3))
    assert oracle.read(Image.fromarray(pixels)).unknown_cells == (8,)


def test_every_tag_character_has_a_glyph_of_its_own():
    assert set(TAG_CHARACTERS) == set(GLYPHS)
    assert len(set(GLYPHS.values())) == len(GLYPHS)


def test_prompts_and_scenes_are_inverse():
    for scene in scenes(100, tags=0, jitter=False):
        assert parse_prompt(drawing_prompt(scene)).things == scene.things
    assert parse_prompt(drawing_prompt(Scene())) == Scene()


@pytest.mark.parametrize(
    "prompt",
    ["a red circle", "a large red circle at the top, a small blue cross at the top", "a large red circle at the top "],
)
def test_what_is_no_prompt_is_refused(prompt):
    with pytest.raises(ValueError, match="phrase|place"):
        parse_prompt(prompt)


def test_edits_change_the_drawing_as_they_say():
    rng = random.Random(3)
    for _ in range(300):
        before = first_drawing(rng)
        after = edit(rng, before)
        assert after.scene.facts() != before.scene.facts()
        words = after.instruction
        if words.startswith(("add", "put a")):
            assert after.scene.things[:-1] == before.scene.things
        if words.startswith(("remove", "take", "delete")):
            assert after.scene.facts() < before.scene.facts()


def test_answers_are_right():
    """Checked from the scene itself, independently of the code that made them."""
    rng = random.Random(5)
    asked = 0
    for scene in scenes(200, seed=5):
        question = questions.count(scene, rng)
        word = question.text.rstrip(".?").split(" ")[2].rstrip(".")
        singular = {"crosses": "cross"}.get(word, word.removesuffix("s"))
        truth = sum(singular in (t.colour, t.shape, "object") for t in scene.things)
        assert question.answer == str(truth), (question.text, describe(scene))
        tag = questions.tag(scene, rng)
        if tag:
            asked += 1
            name = next(p for p in (" of ", " on ") if p in tag.text)
            words = tag.text.split(name)[1].rstrip(".?").removesuffix(" say").removeprefix("the ").split(" ")
            found = [t for t in scene.things if all(w in (t.size, t.colour, t.shape) for w in words)]
            assert [t.tag for t in found] == [tag.answer]
    assert asked > 50


def test_relations_are_between_things_of_one_row_or_column():
    one, other = Thing("large", "red", "circle", 0), Thing("small", "blue", "cross", 2)
    question = questions.relation(Scene((one, other)), random.Random(0))
    assert question is not None
    asked_of_one = question.text.startswith(("where is the red", "where is the large")) or question.text.split(" is ")[
        -1
    ].startswith(("the red", "the large"))
    assert question.answer == ("left" if asked_of_one else "right")
    assert questions.relation(Scene((one, replace(other, cell=5))), random.Random(0)) is None


def test_nothing_trained_on_shows_a_held_out_pair():
    rng = random.Random(0)
    for _ in range(1500):
        for turn in random_conversation(rng):
            for picture in turn.pictures:
                assert not {thing.pair for thing in picture.scene.things} & HELD_OUT_PAIRS
            for colour, shape in HELD_OUT_PAIRS:
                assert f"{colour} {shape}" not in f"{turn.text} {turn.answer}"
    assert len(TRAINED_PAIRS) + len(HELD_OUT_PAIRS) == len(ALL_PAIRS)


def test_training_data_is_the_same_for_the_same_seed_and_leaves_the_benchmark_out(tmp_path):
    counts = training_data.write(tmp_path / "a", conversations=120, seed=7)
    training_data.write(tmp_path / "b", conversations=120, seed=7)
    training_data.write(tmp_path / "c", conversations=120, seed=8)
    for file in ("align.json", "finetune.json", "images/000000.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
        assert (tmp_path / "a" / file).read_bytes() != (tmp_path / "c" / file).read_bytes()
    assert counts["align"] == 30
    assert counts["finetune"] == 90
    for image in sorted((tmp_path / "a" / "images").iterdir()):
        assert not reserved(oracle.read(Image.open(image)).scene)
    records = json.loads((tmp_path / "a" / "finetune.json").read_text())
    for record in records:
        images = record.get("image", [])
        images = [images] if isinstance(images, str) else images
        assert sum(turn["value"].count("<image>") for turn in record["conversations"]) == len(images)


def test_training_data_of_chosen_kinds_of_questions_alone(tmp_path):
    assert training_data.write(tmp_path, 40, kinds=["existence"]) == {"align": 10, "finetune": 30, "pictures": 40}
    records = json.loads((tmp_path / "finetune.json").read_text())
    answers = [turn["value"] for record in records for turn in record["conversations"] if turn["from"] == "gpt"]
    assert set(answers) == {"yes", "no"}
    assert len(answers) > 4 * len(records)


def test_the_benchmark_shows_reserved_scenes_only_and_is_the_same_for_the_same_seed():
    made, again = (list(benchmark.examples(6, seed=1)) for _ in range(2))
    assert [(e["id"], e["answer"]) for e in made] == [(e["id"], e["answer"]) for e in again]
    assert {e["type"] for e in made} == set(benchmark.TYPES)
    for example in made:
        if example["type"] != "draw_or_answer":
            assert reserved(example["scene"]), example["id"]
        if example["type"].endswith("held_out") or example["type"] == "drawn_picture":
            assert {thing.pair for thing in example["scene"].things} & HELD_OUT_PAIRS
        if example["type"] in questions.BENCHMARKED and example["choices"]:
            assert example["answer"] in example["choices"]


def test_kinds_added_later_left_the_examples_of_the_older_ones_as_they_were():
    """Published numbers are on these very examples."""
    older = (
        "colour",
        "tag",
        "size_held_out",
        "draw_prompt",
        "edit_1",
        "edit_2",
        "edit_3",
        "draw_or_answer",
        "drawn_picture",
    )
    digest = hashlib.sha256()
    for example in benchmark.examples(20, 20260301, older):
        parts = [part for message in example["messages"] for part in message.parts]
        said = [part.text if isinstance(part, Text) else None for part in parts]
        digest.update(
            repr([said, *(example[key] for key in ("id", "answer", "choices", "bag", "draw", "scene"))]).encode()
        )
    assert digest.hexdigest()[:16] == "c9432c41e1410414"


def test_eight_edits_fit_on_the_table():
    for example in benchmark.examples(40, 5, ("edit_8",)):
        pictures = images_of(example["messages"])
        assert len(pictures) == 8
        assert 1 <= len(example["scene"].things) <= MOST_THINGS
        assert example["previous"] != example["answer"]
    lengths = {len(example["messages"]) for example in benchmark.examples(40, 5, ("well_formed",))}
    assert lengths == {2 * edits + 1 for edits in range(9)}


def test_both_sizes_are_told_apart_at_the_low_resolution():
    """The tags must not be: at 42 pixels, what is left of two different tags differs less than two sizes of one shape do."""

    def low(thing):
        return np.asarray(render(Scene((thing,))).resize((42, 42), Image.Resampling.BOX), dtype=float)

    thing = Thing("large", "red", "circle", 4, "K7")
    small, large = (low(replace(thing, size=size)) for size in SIZES)
    other_tag = low(replace(thing, tag="X3"))
    assert np.abs(large - other_tag).mean() < np.abs(large - small).mean()
