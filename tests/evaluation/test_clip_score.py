"""CLIP score and R@1 by hand, and by a tiny random CLIP."""

import json

import pytest
import tiny_clip
import torch
from PIL import Image

from minigemini.evaluation.drawing.clip_score import clip_score, metrics, number_captions, read_pictures
from minigemini.evaluation.drawing.clip_similarity import Clip

CAPTIONS = ["a red table", "a blue table", "a green table"]
COLOURS = [(200, 0, 0), (0, 0, 200), (0, 200, 0)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return tiny_clip.write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def run(tmp_path):
    """Two pictures of each caption, as a run leaves them."""
    lines = []
    for number, (caption, colour) in enumerate(zip(CAPTIONS * 2, COLOURS * 2, strict=True)):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{number}.png")
        asked = {"asked": caption, "prompt": "what the model made of it"} if number < 3 else {"prompt": caption}
        lines.append({"id": str(number), "picture": f"{number}.png", "reference": asked})
    (tmp_path / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


class Compared(str):
    """Counts with how many others it is compared."""

    comparisons = 0

    def __eq__(self, other):
        Compared.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_captions_are_numbered_in_one_pass():
    given = [Compared(f"caption {number % 900}") for number in range(1000)]
    captions, own = number_captions(given)
    assert captions == given[:900]
    assert own == [*range(900), *range(100)]
    Compared.comparisons = 0
    number_captions(given)
    assert Compared.comparisons < 2 * len(given)


def test_scores_by_hand():
    # Pictures 0 and 3 are of caption 0, 1 of 1, 2 of 2.
    cosines = torch.tensor([[0.3, 0.1, 0.2, 0.4], [0.1, -0.2, 0.3, 0.0], [0.2, 0.5, 0.6, 0.1]])
    score, found = metrics("some-clip", cosines, CAPTIONS, [0, 1, 2, 0])
    assert score.name == "CLIP score[some-clip]"
    assert score.value == pytest.approx((30 + 0 + 60 + 40) / 4)  # -20 counts as 0
    assert (score.n, len(score.images)) == (4, 3)
    assert found.name == "caption to image R@1[some-clip]"
    assert found.value == pytest.approx(200 / 3)  # caption 1 finds picture 2


def test_features_are_transformers_own(clip):
    ours = Clip(clip)
    pictures = [Image.new("RGB", (40, 30), colour) for colour in COLOURS]
    texts = [*CAPTIONS, "tea"]  # of several lengths
    inputs = ours.processor(text=texts, images=pictures, padding=True, return_tensors="pt")
    with torch.no_grad():
        output = ours.model(**inputs)
    cosines = ours.of_texts(texts) @ ours.of_pictures(pictures).T
    torch.testing.assert_close(cosines * ours.model.logit_scale.exp().item(), output.logits_per_text)


def test_clip_score(run, clip, tmp_path, capsys):
    assert clip_score(run, tmp_path / "out", clip) == 0
    assert "score[" in capsys.readouterr().out
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    score, found = results["metrics"]
    assert score["name"] == f"CLIP score[{clip}]"
    judge = Clip(clip)
    pictures = judge.of_pictures([Image.new("RGB", (40, 30), colour) for colour in COLOURS])
    own = (judge.of_texts(CAPTIONS) * pictures).sum(-1).clamp(min=0)
    assert score["value"] == pytest.approx(100 * own.mean().item(), rel=1e-4)
    assert (score["n"], found["n"], score["images"]) == (6, 3, 3)
    assert results["about"]["clip_weights"] == judge.digest()
    assert results["about"]["captions_cut"] == 0
    assert len(results["notes"]) == 1


def test_long_captions_are_counted(run, clip, tmp_path):
    lines = [{"picture": "0.png", "caption": "a red table " * 10}, {"picture": "1.png", "caption": "tea"}]
    (run / "two.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert clip_score(run / "two.jsonl", tmp_path / "out", clip) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["about"]["captions_cut"] == 1
    assert results["notes"][1].startswith("1 captions are longer than the 40 tokens")


def test_which_caption(run):
    assert read_pictures(run) == [(run / f"{n}.png", CAPTIONS[n % 3]) for n in range(6)]


def test_mistakes_are_named(run, tmp_path):
    (run / "none.jsonl").write_text("")
    with pytest.raises(ValueError, match="none.jsonl: no pictures"):
        read_pictures(run / "none.jsonl")
    (run / "mute.jsonl").write_text('{"picture": "0.png"}\n')
    with pytest.raises(ValueError, match="0.png has neither caption"):
        read_pictures(run / "mute.jsonl")
    with pytest.raises(ValueError, match="no CLIP model can be loaded"):
        Clip(str(tmp_path))
