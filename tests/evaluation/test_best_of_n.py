"""Choosing among pictures: the numbers by hand, the nano's opinion of pictures, and the whole on tiny random models."""

import json
from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor, nano
from minigemini.engine.local import LocalEngine
from minigemini.evaluation.drawing.best_of_n import Candidate, Drawings, best_of_n, gain
from minigemini.evaluation.drawing.self_judgement import first_tokens, tabletop_questions, yes_and_no, yes_probabilities
from minigemini.generation.image_generator import ImageGenerator
from minigemini.tabletop.language import parse_prompt
from minigemini.tabletop.picture import render


def candidates(*pairs):
    return [Candidate(points, liking) for points, liking in pairs]


def test_gain_by_hand():
    found = gain(
        {
            "won": candidates((0, 0.1), (1, 0.9), (0, 0.2)),
            "lost": candidates((1, 0.1), (0, 0.9), (1, 0.2)),
            "won too": candidates((0, 0.1), (0, 0.2), (1, 0.3)),
            "equally liked": candidates((1, 0.5), (0, 0.5), (0, 0.5)),
        }
    )
    values = {metric.name: metric.value for metric in found.metrics}
    assert values == {
        "first picture": 50,
        "any picture": pytest.approx(100 * (1 + 2 + 1 + 1) / 12),
        "chosen picture": 75,
        "best picture": 100,
    }
    assert [pair.difference.value for pair in found.gains] == [25, 50]
    assert found.gains[0].difference.interval is not None
    assert found.gains[0].difference.interval[0] < 0 < found.gains[0].difference.interval[1]
    assert found.mcnemar == 1  # two against one


def test_a_gain_that_is_there_is_resolved():
    found = gain({str(n): candidates((int(n < 5), 0.1), (1, 0.9)) for n in range(20)})
    assert found.gains[0].difference.resolved
    assert found.gains[0].difference.value == 75
    assert found.mcnemar == 2 / 2**15


def test_what_is_asked():
    prompt = "a small orange cross at the top, a large red circle at the bottom left"
    assert tabletop_questions(prompt) == ["is there a small orange cross?", "is there a large red circle?"]


def test_the_nano_tells_pictures_apart():
    path = nano.resolve("nano")
    model = MiniGeminiForConditionalGeneration.from_pretrained(path, dtype=torch.float32).eval()
    processor = MiniGeminiProcessor.from_pretrained(path)
    prompts = ["a large red circle at the center", "a small blue square at the left"]
    pictures = [render(parse_prompt(prompt), 48) for prompt in prompts]
    asked = [
        (picture, question) for picture in pictures for prompt in prompts for question in tabletop_questions(prompt)
    ]
    right, wrong, other_wrong, other_right = yes_probabilities(LocalEngine(model, processor), asked)
    assert min(right, other_right) > 0.9
    assert max(wrong, other_wrong) < 0.1
    # Padding of a batch changes nothing.
    longer = [*asked[:1], (pictures[0], "does the picture show a small blue square?")]
    assert yes_probabilities(LocalEngine(model, processor), longer)[0] == pytest.approx(right, abs=1e-4)


def test_yes_and_no_begin_differently(loaded):
    tokenizer = loaded[1].tokenizer
    yes, no = first_tokens(tokenizer, ["yes", "Yes"]), first_tokens(tokenizer, ["no"])
    assert len(yes) == 2
    assert not set(yes) & set(no)


def test_best_of_n(checkpoints, tmp_path, capsys):
    names = str(checkpoints / "model"), str(checkpoints / "generator")
    drawings = Drawings(n=2, prompts=3, steps=2)
    assert best_of_n(*names, tmp_path, drawings, 2) == 0
    assert "gain: chosen - first" in capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    assert [metric["name"] for metric in results["metrics"]] == [
        "first picture", "any picture", "chosen picture", "best picture",
    ]  # fmt: skip
    assert [metric["images"] for metric in results["metrics"]] == [3] * 4
    assert (results["about"]["judge"], results["about"]["generator"]) == names
    assert set(results["versions"]) == {"minigemini", "torch", "transformers", "diffusers"}
    pictures = sorted(path.name for path in (tmp_path / "drawn" / "pictures").iterdir())
    assert pictures == [f"drawn_picture-{example}.{number}.png" for example in range(3) for number in range(2)]
    judged = tmp_path / "judged" / "predictions.jsonl"
    before = judged.read_bytes()
    for line in map(json.loads, before.decode().splitlines()):
        assert len(line["yes"]) == len(line["questions"]) >= 1
        assert all(0 < yes < 1 for yes in line["yes"])
    judged.write_bytes(before[: len(before) // 2])
    assert best_of_n(*names, tmp_path, drawings, 2) == 0
    assert judged.read_bytes() == before
    with pytest.raises(ValueError, match="drawn"):
        best_of_n(*names, tmp_path, replace(drawings, steps=3), 2)


def test_nothing_to_choose(tmp_path):
    with pytest.raises(ValueError, match="--n 1"):
        best_of_n("never loaded", "never loaded", tmp_path, Drawings(n=1), 2)


def test_other_settings_of_a_generator(checkpoints):
    generator = ImageGenerator.from_pretrained(checkpoints / "generator")
    prompt = "a large red circle at the center"
    quick = generator.with_settings(steps=2, guidance=1.0)
    drawn = {name: g.draw_batch([prompt], [3])[0].tobytes() for name, g in (("own", generator), ("quick", quick))}
    assert drawn["quick"] == generator.draw(prompt, seed=3, steps=2, guidance=1.0)[0].tobytes()
    assert drawn["own"] == generator.draw(prompt, seed=3)[0].tobytes()
    assert drawn["own"] != drawn["quick"]


def tokenizer(folder, *words):
    """Its words are tokens, and everything else is the same unknown one."""
    model = WordLevel({word: number for number, word in enumerate(("?", *words))}, "?")
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), unk_token="?").save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def test_what_begins_both_says_nothing(tmp_path):
    assert yes_and_no(tokenizer(tmp_path, "yes", " yes", "no", "No")) == ([1, 2], [3, 4])


@pytest.mark.parametrize("words", [(), ("yes",), ("no",)])
def test_a_tokenizer_that_cannot_tell_them_apart_is_named(words, tmp_path):
    with pytest.raises(ValueError, match="/my-model: its tokenizer begins yes and no alike"):
        yes_and_no(tokenizer(tmp_path / "my-model", *words))
