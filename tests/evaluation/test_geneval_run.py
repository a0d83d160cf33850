"""Real tiny detectors and a real tiny CLIP, and the whole of `eval geneval` with the nano's generator on two prompts."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_clip
import torch
from PIL import Image, ImageDraw
from transformers import pipeline

from minigemini.evaluation.drawing.clip_similarity import Clip
from minigemini.evaluation.drawing.geneval import COLOURS, Detection, counted
from minigemini.evaluation.drawing.geneval_detectors import (
    TEMPLATES,
    ColourClassifier,
    MaskDetector,
    cut_out,
    load_detector,
)
from minigemini.evaluation.drawing.geneval_run import Cast, geneval

ROWS = [
    {
        "tag": "single_object",
        "include": [{"class": "circle", "count": 1}],
        "prompt": "a large red circle at the center",
    },
    {
        "tag": "color_attr",
        "include": [
            {"class": "computer mouse", "count": 1, "color": "blue"},
            {"class": "square", "count": 1, "color": "green"},
        ],
        "prompt": "a small blue circle at the left, a large green square at the right",
    },
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detectors")
    tiny_clip.write_clip(folder / "clip")
    tiny_clip.write_detr(folder / "detr", ["circle", "Mouse", "square", "N/A"])
    tiny_clip.write_owlvit(folder / "owlvit")
    tiny_clip.write_mask2former(folder / "mask2former", ["circle", "mouse", "square"])
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder


@pytest.fixture
def picture():
    picture = Image.new("RGB", (80, 60), (230, 230, 230))
    ImageDraw.Draw(picture).rectangle((40, 10, 70, 50), fill=(20, 20, 200))
    return picture


def test_a_detector_with_fixed_classes(folder, picture):
    detector = load_detector(str(folder / "detr"))
    everything = [detection for detection, _ in detector.find(picture, ["circle", "computer mouse", "square"])]
    assert everything
    assert all(0.3 < d.score <= 1 and d.colour is None for d in everything)
    assert {d.label for d in everything} <= {"circle", "computer mouse", "square"}
    for label in {d.label for d in everything}:
        assert [d for d, _ in detector.find(picture, [label])] == [d for d in everything if d.label == label]
    # The boxes are those of the model, in pixels of the picture.
    raw = pipeline("object-detection", model=str(folder / "detr"))(picture, threshold=0.3)
    assert [tuple(item["box"].values()) for item in raw if item["label"] != "N/A"] == [d.box for d in everything]
    with pytest.raises(ValueError, match=r"detr has no class 'bench' \(1 are missing\)"):
        detector.check(["circle", "bench"])


def test_a_detector_that_is_told_its_classes(folder, picture):
    detector = load_detector(str(folder / "owlvit"))
    detector.check(["a bench that nobody ever saw"])
    found = [detection for detection, _ in detector.find(picture, ["bench", "cow"])]
    assert {d.label for d in found} == {"bench", "cow"}
    assert all(d.score > 0.3 for d in found)
    assert len(counted(found, "single_object")["bench"]) <= 16


def test_a_detector_that_cuts_out_by_masks(folder, picture):
    detector = load_detector(str(folder / "mask2former"))
    found = detector.find(picture, ["circle", "computer mouse", "square"])
    assert found
    greyed = 0
    for detection, alone in found:
        left, top, right, bottom = detection.box
        assert 0 <= left < right <= picture.width
        assert 0 <= top < bottom <= picture.height
        assert alone.size == (right - left, bottom - top)
        # Each pixel is the picture's or the grey of what is outside of the mask, and some on every edge are the picture's.
        shown, own = np.asarray(alone), np.asarray(cut_out(picture, detection.box))
        inside = (shown == own).all(axis=2)
        assert (inside | (shown == 0x99).all(axis=2)).all()
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        greyed += not inside.all()
    assert greyed
    assert [d for d, _ in detector.find(picture, ["square"])] == [d for d, _ in found if d.label == "square"]
    with pytest.raises(ValueError, match="mask2former has no class 'bench'"):
        detector.check(["bench"])


def test_what_is_no_detector(folder, tmp_path):
    with pytest.raises(ValueError, match="clip is no object detector"):
        load_detector(str(folder / "clip"))
    with pytest.raises(ValueError, match="no detector can be loaded from there"):
        load_detector(str(tmp_path))


def test_colours_are_those_clip_finds_likest(folder, picture):
    clip = Clip(str(folder / "clip"))
    box = (40, 10, 70, 50)
    (named,) = ColourClassifier(clip).name_colours([(Detection("cup", 0.9, box), picture.crop(box))])
    crop = clip.of_pictures([picture.crop(box)])[0]
    likeness = {}
    for colour in COLOURS:
        read = clip.of_texts([template.format(colour=colour, label="cup") for template in TEMPLATES]).mean(dim=0)
        likeness[colour] = float(crop @ read / read.norm())
    assert named == max(likeness, key=likeness.__getitem__)


def test_boxes_beyond_the_edges_are_cut_at_them_and_none_is_empty(picture):
    assert cut_out(picture, (-20, -20, 200, 200)).tobytes() == picture.tobytes()
    assert cut_out(picture, (80, 60, 80, 60)).size == (1, 1)
    assert cut_out(picture, (40, 10, 70, 50)).tobytes() == picture.crop((40, 10, 70, 50)).tobytes()


@pytest.mark.parametrize("detector", ["detr", "owlvit", "mask2former"])
def test_geneval(folder, detector, tmp_path, capsys):
    named = str(folder / detector)
    cast = Cast("nano", named, clip=str(folder / "clip"))
    assert geneval(cast, folder / "prompts.jsonl", tmp_path, batch_size=4) == 0
    assert "GenEval-like[" in capsys.readouterr().out
    results = json.loads((tmp_path / "results.json").read_text())
    overall, *tags = results["metrics"]
    assert overall["name"] == f"GenEval-like[{named}]"
    assert [(tag["name"], tag["n"]) for tag in tags] == [("single_object", 4), ("color_attr", 4)]
    assert overall["value"] == sum(tag["value"] for tag in tags) / 2
    assert "2 of 553 prompts: not comparable" in results["notes"][1]
    lines = [json.loads(line) for line in (tmp_path / "detected" / "predictions.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"{n:05}-{k}" for n in range(2) for k in range(4)]
    assert all(Image.open(tmp_path / "drawn" / line["picture"]).size == (48, 48) for line in lines)
    colours = [d["colour"] for line in lines if line["kind"] == "color_attr" for d in line["detections"]]
    assert any(colour in COLOURS for colour in colours)
    assert all(d["colour"] is None for line in lines[:4] for d in line["detections"])

    detected = tmp_path / "detected" / "predictions.jsonl"
    before = detected.read_bytes()
    detected.write_bytes(before[: len(before) // 2])
    assert geneval(cast, folder / "prompts.jsonl", tmp_path, batch_size=4) == 0
    assert detected.read_bytes() == before
    other = str(folder / {"detr": "owlvit", "owlvit": "mask2former", "mask2former": "detr"}[detector])
    with pytest.raises(ValueError, match="other settings"):
        geneval(replace(cast, detector=other), folder / "prompts.jsonl", tmp_path, batch_size=4)


def test_prompts_written_and_pictures_chosen_by_a_model(folder, checkpoints, tmp_path):
    model = str(checkpoints / "model")
    named = str(folder / "owlvit")
    cast = Cast("nano", named, model=model, judge=model, clip=str(folder / "clip"))
    # Random weights write until they are stopped: far more than the nano's generator reads.
    assert geneval(cast, folder / "prompts.jsonl", tmp_path, limit=1, batch_size=4) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    written = [json.loads(line) for line in (tmp_path / "written" / "predictions.jsonl").read_text().splitlines()]
    drawn = [json.loads(line) for line in (tmp_path / "drawn" / "predictions.jsonl").read_text().splitlines()]
    for line in drawn:
        whole = written[line["reference"]["number"]]["prediction"]
        assert line["reference"]["prompt"].split()[0] in whole
        assert line["reference"]["asked"] == ROWS[line["reference"]["number"]]["prompt"]
    assert written[0]["prompt"].rstrip().endswith("<GEN> ASSISTANT:")
    assert results["about"]["prompts_written_by"] == results["about"]["judge"] == model
    cut = sum(line["reference"]["cut"] for line in drawn) / 4
    assert results["about"]["prompts_cut"] == cut
    assert (cut > 0) == any("without their end" in note for note in results["notes"])
    names = [metric["name"] for metric in results["metrics"]]
    assert names[-4:] == ["first picture", "any picture", "chosen picture", "best picture"]
    assert [difference["name"] for difference in results["differences"]][0] == "gain"
    (row,) = {
        line["questions"][0]
        for line in map(json.loads, (tmp_path / "judged" / "predictions.jsonl").read_text().splitlines())
        if line["id"].startswith("00000")
    }
    assert row == "Does this picture show: a large red circle at the center? Answer yes or no."


def test_a_class_the_detector_does_not_know_is_said_first(folder, tmp_path):
    (tmp_path / "prompts.jsonl").write_text(
        json.dumps({"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a bench"}) + "\n"
    )
    with pytest.raises(ValueError, match="has no class 'bench'"):
        geneval(
            Cast("nano", str(folder / "detr"), clip=str(folder / "clip")), tmp_path / "prompts.jsonl", tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()


def test_a_picture_without_any_segment(tmp_path):
    detector = MaskDetector(tiny_clip.write_mask2former(tmp_path, ["circle", "square"]))
    picture = Image.new("RGB", (80, 60))
    assert detector.find(picture, ["circle", "square"])
    with torch.no_grad():
        bias = detector.model.class_predictor.bias
        bias.zero_()[-1] = 1e4  # "no object", whatever it sees
    assert detector.find(picture, ["circle", "square"]) == []
