"""What finds objects for :mod:`geneval`, and what names their colours."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, Mask2FormerForUniversalSegmentation, pipeline
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
    MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES,
)

from minigemini.evaluation.drawing.clip_similarity import Clip
from minigemini.evaluation.drawing.geneval import COLOURS, THRESHOLD, Box, Detection
from minigemini.evaluation.running.digest import weights_digest

OTHER_NAMES = {
    "mouse": "computer mouse", "remote": "tv remote", "keyboard": "computer keyboard",
    "motorbike": "motorcycle", "aeroplane": "airplane", "sofa": "couch", "pottedplant": "potted plant",
    "diningtable": "dining table", "tvmonitor": "tv", "hair dryer": "hair drier",
}  # fmt: skip
"""Of COCO's classes, as detectors call them -> as the prompts do."""

TEMPLATES = ("a photo of a {colour} {label}", "a photo of a {colour}-colored {label}", "a photo of a {colour} object")
"""GenEval's, for its colour classifier."""

OUTSIDE = "#999999"
"""GenEval's, in place of what is not the object, where its mask is known."""

Found = tuple[Detection, Image.Image]
"""An object, without its colour, and its cut-out."""


class Detector(Protocol):
    """Finds objects. ``name`` stands in the name of the score; ``cuts`` says what objects are cut out by."""

    name: str
    cuts: str

    def check(self, classes: Sequence[str]) -> None:
        """Raises ValueError: it cannot find one of these; whoever does not know benches finds none."""

    def find(self, picture: Image.Image, classes: Sequence[str]) -> list[Found]:
        """The objects of ``classes`` surer than :data:`geneval.THRESHOLD`."""

    def digest(self) -> str:
        """Of the weights."""


def load_detector(path_or_id: str) -> Detector:
    """A detector of transformers from a local folder or the hub: Mask2Former trained on instances (GenEval's own kind), one with
    fixed classes (DETR and its kind), or one that is told them (OWL-ViT, Grounding DINO).

    Raises:
        ValueError: there is none, or it is no detector.
    """
    try:
        kind = AutoConfig.from_pretrained(path_or_id).model_type
    except (OSError, ValueError) as error:
        raise ValueError(f"{path_or_id}: no detector can be loaded from there ({error})") from error
    if kind == "mask2former":
        return MaskDetector(path_or_id)
    if kind in MODEL_FOR_ZERO_SHOT_OBJECT_DETECTION_MAPPING_NAMES:
        return ToldDetector(path_or_id)
    if kind in MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES:
        return BoxDetector(path_or_id)
    raise ValueError(f"{path_or_id}: {kind} is no object detector of transformers")


class BoxDetector:
    """One with fixed classes, COCO's mostly."""

    cuts = "boxes"

    def __init__(self, path_or_id: str) -> None:
        self.name = path_or_id
        self.pipeline: Any = pipeline("object-detection", model=path_or_id, device=_device(), dtype=torch.float32)
        self.classes = _by_the_prompts_names(self.pipeline.model)

    def check(self, classes: Sequence[str]) -> None:
        _check(self.name, self.classes, classes)

    def find(self, picture: Image.Image, classes: Sequence[str]) -> list[Found]:
        names = {self.classes[label]: label for label in classes}
        return _cut_by_boxes(picture, self.pipeline(picture, threshold=THRESHOLD), names)

    def digest(self) -> str:
        return weights_digest(self.pipeline.model)


class ToldDetector:
    """One that looks for what it is told, each class for itself. Different classes may claim the same object."""

    cuts = "boxes"

    def __init__(self, path_or_id: str) -> None:
        self.name = path_or_id
        task: Any = "zero-shot-object-detection"
        self.pipeline: Any = pipeline(task, model=path_or_id, device=_device(), dtype=torch.float32)

    def check(self, classes: Sequence[str]) -> None:
        """Any will do."""

    def find(self, picture: Image.Image, classes: Sequence[str]) -> list[Found]:
        names = {f"a photo of a {label}": label for label in classes}
        found = self.pipeline(picture, candidate_labels=list(names), threshold=THRESHOLD)
        return _cut_by_boxes(picture, found, names)

    def digest(self) -> str:
        return weights_digest(self.pipeline.model)


class MaskDetector:
    """Mask2Former, trained on instances. The official score uses such a one with Swin-S, but by mmdet 2, with weights of its own."""

    cuts = "masks"

    def __init__(self, path_or_id: str) -> None:
        self.name = path_or_id
        self.processor: Any = AutoImageProcessor.from_pretrained(path_or_id)
        self.model: Any = Mask2FormerForUniversalSegmentation.from_pretrained(path_or_id, dtype=torch.float32).eval()
        self.model.to(_device())
        self.classes = _by_the_prompts_names(self.model)

    def check(self, classes: Sequence[str]) -> None:
        _check(self.name, self.classes, classes)

    @torch.inference_mode()
    def find(self, picture: Image.Image, classes: Sequence[str]) -> list[Found]:
        picture = picture.convert("RGB")
        inputs = self.processor(picture, return_tensors="pt").to(self.model.device)
        (seen,) = self.processor.post_process_instance_segmentation(
            self.model(**inputs), threshold=THRESHOLD, target_sizes=[picture.size[::-1]], return_binary_maps=True
        )
        if not seen["segments_info"]:  # then ``segmentation`` is no stack of masks
            return []
        names = {self.classes[label]: label for label in classes}
        found = []
        for segment, mask in zip(seen["segments_info"], seen["segmentation"], strict=True):
            label = names.get(self.model.config.id2label[segment["label_id"]])
            if label is not None:
                inside = Image.fromarray((mask.cpu().numpy() * 255).astype("uint8"))
                box = inside.getbbox()
                assert box is not None, "transformers leaves empty masks out"
                alone = Image.composite(picture, Image.new("RGB", picture.size, OUTSIDE), inside)
                found.append((Detection(label, segment["score"], box), alone.crop(box)))
        return found

    def digest(self) -> str:
        return weights_digest(self.model)


class ColourClassifier:
    """CLIP zero shot over GenEval's ten colours and three templates."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self._directions: dict[str, torch.Tensor] = {}

    def name_colours(self, objects: Sequence[Found]) -> list[str]:
        """The colour of each, by its cut-out."""
        if not objects:
            return []
        seen = self.clip.of_pictures([cut_out for _, cut_out in objects])
        return [
            COLOURS[int((self._of_class(detection.label) @ direction).argmax())]
            for (detection, _), direction in zip(objects, seen, strict=True)
        ]

    def _of_class(self, label: str) -> torch.Tensor:
        """[colours, dim]: the mean of the templates' directions."""
        if label not in self._directions:
            texts = [template.format(colour=colour, label=label) for colour in COLOURS for template in TEMPLATES]
            read = self.clip.of_texts(texts).reshape(len(COLOURS), len(TEMPLATES), -1).mean(dim=1)
            self._directions[label] = torch.nn.functional.normalize(read, dim=-1)
        return self._directions[label]


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _by_the_prompts_names(model: Any) -> dict[str, str]:
    """The prompts' name of a class -> the detector's."""
    return {OTHER_NAMES.get(label.lower(), label.lower()): label for label in model.config.id2label.values()}


def _check(detector: str, known: dict[str, str], classes: Sequence[str]) -> None:
    missing = [label for label in classes if label not in known]
    if missing:
        raise ValueError(f"the detector {detector} has no class {missing[0]!r} ({len(missing)} are missing)")


def _cut_by_boxes(picture: Image.Image, found: Sequence[Any], names: dict[str, str]) -> list[Found]:
    """Of a pipeline's detections those whose labels are in ``names`` (detector's -> prompts')."""
    boxes = [(item, tuple(item["box"][edge] for edge in ("xmin", "ymin", "xmax", "ymax"))) for item in found]
    return [
        (Detection(names[item["label"]], item["score"], box), cut_out(picture, box))
        for item, box in boxes
        if item["label"] in names
    ]


def cut_out(picture: Image.Image, box: Box) -> Image.Image:
    """What is in the box and in the picture, at least one pixel wide and high."""
    left, top, right, bottom = (round(edge) for edge in box)
    left, top = min(max(left, 0), picture.width - 1), min(max(top, 0), picture.height - 1)
    right, bottom = min(right, picture.width), min(bottom, picture.height)
    return picture.crop((left, top, max(left + 1, right), max(top + 1, bottom)))
