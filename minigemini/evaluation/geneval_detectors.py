"""What finds objects for :mod:`geneval`, and what names their colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from PIL import Image
from transformers import AutoConfig, pipeline
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
    MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES,
)

from minigemini.evaluation.clip_similarity import Clip
from minigemini.evaluation.digest import weights_digest
from minigemini.evaluation.geneval import COLOURS, THRESHOLD, Detection

OTHER_NAMES = {
    "mouse": "computer mouse", "remote": "tv remote", "keyboard": "computer keyboard",
    "motorbike": "motorcycle", "aeroplane": "airplane", "sofa": "couch", "pottedplant": "potted plant",
    "diningtable": "dining table", "tvmonitor": "tv", "hair dryer": "hair drier",
}  # fmt: skip
"""Of COCO's classes, as detectors call them -> as the prompts do."""

TEMPLATES = ("a photo of a {colour} {label}", "a photo of a {colour}-colored {label}", "a photo of a {colour} object")
"""GenEval's, for its colour classifier."""


class Detector(Protocol):
    """Finds objects; ``name`` stands in the name of the score."""

    name: str

    def find(self, picture: Image.Image, classes: Sequence[str]) -> list[Detection]:
        """The objects of ``classes`` surer than :data:`geneval.THRESHOLD`, without colours."""

    def digest(self) -> str:
        """Of the weights."""


class TransformersDetector:
    """A detector of transformers: one with fixed classes (DETR and its kind) or one that is told them (OWL-ViT, Grounding DINO).

    Args:
        path_or_id: a local folder or a hub id.

    Raises:
        ValueError: there is none, or it is no detector.
    """

    def __init__(self, path_or_id: str) -> None:
        self.name = path_or_id
        try:
            kind = AutoConfig.from_pretrained(path_or_id).model_type
        except (OSError, ValueError) as error:
            raise ValueError(f"{path_or_id}: no detector can be loaded from there ({error})") from error
        self.is_told = kind in MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES
        if not self.is_told and kind not in MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES:
            raise ValueError(f"{path_or_id}: {kind} is no object detector of transformers")
        task: Any = "zero-shot-object-detection" if self.is_told else "object-detection"
        device = 0 if torch.cuda.is_available() else -1
        self.pipeline: Any = pipeline(task, model=path_or_id, device=device, dtype=torch.float32)
        known = {} if self.is_told else self.pipeline.model.config.id2label.values()
        self.classes = {OTHER_NAMES.get(label.lower(), label.lower()): label for label in known}

    def digest(self) -> str:
        return weights_digest(self.pipeline.model)

    def check(self, classes: Sequence[str]) -> None:
        """
        Raises:
            ValueError: the detector has fixed classes, and not one of these; whoever cannot see a bench finds none.
        """
        missing = [label for label in classes if label not in self.classes]
        if missing and not self.is_told:
            raise ValueError(f"the detector {self.name} has no class {missing[0]!r} ({len(missing)} are missing)")

    def find(self, picture: Image.Image, classes: Sequence[str]) -> list[Detection]:
        """See :class:`Detector`; ``classes`` have passed :meth:`check`."""
        if self.is_told:
            names = {f"a photo of a {label}": label for label in classes}
            found = self.pipeline(picture, candidate_labels=list(names), threshold=THRESHOLD)
        else:
            names = {self.classes[label]: label for label in classes}
            found = self.pipeline(picture, threshold=THRESHOLD)
        return [
            Detection(
                names[item["label"]], item["score"], tuple(item["box"][k] for k in ("xmin", "ymin", "xmax", "ymax"))
            )
            for item in found
            if item["label"] in names
        ]


class ColourClassifier:
    """CLIP zero shot over GenEval's ten colours and three templates. Objects are cut out by their boxes; the official tool
    also paints what is outside of the object's mask grey, for which boxes are not enough."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self._weights: dict[str, torch.Tensor] = {}

    def name_colours(self, picture: Image.Image, detections: Sequence[Detection]) -> list[Detection]:
        """The same detections with their colours."""
        if not detections:
            return []
        crops = self.clip.of_pictures([_cut_out(picture, detection) for detection in detections])
        return [
            replace(detection, colour=COLOURS[int((self._of_class(detection.label) @ crop).argmax())])
            for detection, crop in zip(detections, crops, strict=True)
        ]

    def _of_class(self, label: str) -> torch.Tensor:
        """[colours, dim]: the mean of the templates' directions."""
        if label not in self._weights:
            texts = [template.format(colour=colour, label=label) for colour in COLOURS for template in TEMPLATES]
            directions = self.clip.of_texts(texts).reshape(len(COLOURS), len(TEMPLATES), -1).mean(dim=1)
            self._weights[label] = torch.nn.functional.normalize(directions, dim=-1)
        return self._weights[label]


def _cut_out(picture: Image.Image, detection: Detection) -> Image.Image:
    """The box, at least one pixel wide and high."""
    left, top, right, bottom = (round(edge) for edge in detection.box)
    left, top = min(max(left, 0), picture.width - 1), min(max(top, 0), picture.height - 1)
    return picture.crop((left, top, max(left + 1, right), max(top + 1, bottom)))
