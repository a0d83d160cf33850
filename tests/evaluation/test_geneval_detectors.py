"""A detector that sees nothing."""

import tiny_clip
import torch
from PIL import Image

from minigemini.evaluation.drawing.geneval_detectors import MaskDetector


def test_a_picture_without_any_segment(tmp_path):
    detector = MaskDetector(tiny_clip.write_mask2former(tmp_path, ["circle", "square"]))
    picture = Image.new("RGB", (80, 60))
    assert detector.find(picture, ["circle", "square"])
    with torch.no_grad():
        bias = detector.model.class_predictor.bias
        bias.zero_()[-1] = 1e4  # "no object", whatever it sees
    assert detector.find(picture, ["circle", "square"]) == []
