"""GenEval's rules over detections: is everything in the picture that the prompt names, as many, of which colour, and where?

Ghosh, Hajishirzi and Schmidt, "GenEval: An Object-Focused Framework for Evaluating Text-to-Image Alignment" (NeurIPS 2023),
as ``evaluate_images.py`` of djghosh13/geneval has them at af4902f, with its prompts. The official score is that of one
detector (Mask2Former Swin-S by mmdet 2) and of CLIP ViT-L/14 looking at objects that are cut out by their masks. Any other
detector gives another number, so the score is called ``GenEval-like[detector]``, never GenEval.

Pure functions: no torch, no pictures.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from typing import Any

from minigemini.benchmarks.benchmark import Line
from minigemini.benchmarks.formats.lines import read_jsonl
from minigemini.benchmarks.rules.verdict import Reading, Verdict, make_verdict
from minigemini.benchmarks.statistics.metric import Metric, by_kind, mean_of_groups, mean_points

TAGS = ("single_object", "two_object", "counting", "colors", "position", "color_attr")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white")
DIRECTIONS = ("left of", "right of", "above", "below")
THRESHOLD, COUNTING_THRESHOLD = 0.3, 0.9  # a box counts above it; of prompts that count things above the second
MOST_BOXES = 16  # of a class in a picture; boxes may overlap as they like
DEAD_ZONE = 0.1  # times both sizes: centres that are no further apart are not beside each other
COSINE = 0.5  # the offset must point that much in a direction

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; y grows downwards."""


@dataclass(frozen=True)
class Detection:
    """One object that a detector found: its class as the prompts call it, how sure it is (0..1), and where.

    ``colour`` is one of :data:`COLOURS`, or None where nobody looked.
    """

    label: str
    score: float
    box: Box
    colour: str | None = None


def read_prompts(path: Path) -> list[dict[str, Any]]:
    """The rows of an ``evaluation_metadata.jsonl``: ``{"tag", "prompt", "include", "exclude"?}``.

    Raises:
        ValueError: there are none, or a row is not of that kind; it names file and row.
        FileNotFoundError: no such file.
    """
    rows = read_jsonl(path)
    if not rows:
        raise ValueError(f"{path}: no prompts")
    for number, row in enumerate(rows, start=1):
        problem = _problem(row)
        if problem:
            raise ValueError(f"{path}, row {number}: {problem} ({json.dumps(row)[:200]})")
    return rows


def _problem(row: Mapping[str, Any]) -> str:
    if row.get("tag") not in TAGS:
        return f"tag {row.get('tag')!r} is none of {', '.join(TAGS)}"
    if not row.get("prompt") or not row.get("include"):
        return "it needs a prompt, and what the picture must include"
    for clause in [*row["include"], *row.get("exclude", [])]:
        if not isinstance(clause.get("class"), str) or not isinstance(clause.get("count"), int) or clause["count"] < 1:
            return "a clause needs class and count"
    for place, clause in enumerate(row["include"]):
        if "color" in clause and clause["color"] not in COLOURS:
            return f"color {clause['color']!r} is none of {', '.join(COLOURS)}"
        if "position" in clause:
            position = clause["position"]
            if not isinstance(position, list) or len(position) != 2:
                return f"position {position!r} is no pair of a direction and the number of a clause"
            direction, target = position
            if direction not in DIRECTIONS or not isinstance(target, int) or not 0 <= target < place:
                return f"position {position} is no direction from an earlier clause"
    return ""


def classes_of(row: Mapping[str, Any]) -> list[str]:
    """The classes that a prompt's clauses name, each once."""
    return list(dict.fromkeys(clause["class"] for clause in [*row["include"], *row.get("exclude", [])]))


def counted(detections: Sequence[Detection], tag: str) -> dict[str, list[Detection]]:
    """What counts, by class, the surest first: above the threshold of the tag, at most :data:`MOST_BOXES` of a class."""
    threshold = COUNTING_THRESHOLD if tag == "counting" else THRESHOLD
    found: dict[str, list[Detection]] = {}
    for detection in sorted(detections, key=lambda detection: -detection.score):
        of_class = found.setdefault(detection.label, [])
        if detection.score > threshold and len(of_class) < MOST_BOXES:
            of_class.append(detection)
    return found


def coloured(row: Mapping[str, Any], detections: Sequence[Detection]) -> list[Detection]:
    """Those of which the rules ask the colour: of each clause with a colour the ``count`` surest."""
    found = counted(detections, row["tag"])
    return [d for c in row["include"] if "color" in c for d in found.get(c["class"], [])[: c["count"]]]


def directions(one: Box, other: Box) -> set[str]:
    """Where ``one`` is, seen from ``other``: one direction, two (diagonally), or none.

    The offset of the centres, made shorter on each axis by the dead zone, is divided by its full length; a component beyond
    :data:`COSINE` is a direction.
    """
    offset = [((one[i] + one[i + 2]) - (other[i] + other[i + 2])) / 2 for i in (0, 1)]
    sizes = [abs(one[i + 2] - one[i]) + abs(other[i + 2] - other[i]) for i in (0, 1)]
    shortened = [max(abs(d) - DEAD_ZONE * size, 0.0) for d, size in zip(offset, sizes, strict=True)]
    if max(shortened) < 1e-3:
        return set()
    length = hypot(*offset)
    names = (("left of", "right of"), ("above", "below"))
    return {pair[d > 0] for pair, d, part in zip(names, offset, shortened, strict=True) if part / length > COSINE}


def complaints(row: Mapping[str, Any], detections: Sequence[Detection]) -> list[str]:
    """What is wrong with a picture of a prompt; empty where it is right.

    - *include*: of each class at least ``count``. Colour and position are asked of the ``count`` surest only: all of these
      must have the colour, and each must be in the direction from each object of the target clause, which must be right itself.
    - *exclude*: of the class fewer than ``count``.
    """
    found = counted(detections, row["tag"])
    said: list[str] = []
    right: list[list[Detection]] = []  # the objects of each include clause; none where the clause fails
    for clause in row["include"]:
        name, count = clause["class"], clause["count"]
        objects = found.get(name, [])[:count]
        problem = ""
        if len(objects) < count:
            problem = f"{len(objects)} of {count} {name}"
        elif "color" in clause and any(detection.colour != clause["color"] for detection in objects):
            seen = ", ".join(str(detection.colour) for detection in objects)
            problem = f"{name} is {seen}, not {clause['color']}"
        elif "position" in clause:
            direction, target = clause["position"]
            problem = _misplaced(
                objects, direction, right[target], f"{name} {direction} {row['include'][target]['class']}"
            )
        right.append([] if problem else objects)
        said += [problem] if problem else []
    for clause in row.get("exclude", []):
        number = len(found.get(clause["class"], []))
        if number >= clause["count"]:
            said.append(f"{number} {clause['class']}, not fewer than {clause['count']}")
    return said


def _misplaced(objects: Sequence[Detection], direction: str, targets: Sequence[Detection], wanted: str) -> str:
    if not targets:
        return f"{wanted}: nothing right to be {direction}"
    for one in objects:
        for other in targets:
            found = directions(one.box, other.box)
            if direction not in found:
                return f"{wanted}: it is {' and '.join(sorted(found)) or 'in no direction'}"
    return ""


def verdict(line: Line) -> Verdict:
    """The verdict on one picture; its line holds ``detections`` and the prompt's row as ``reference``.

    Pictures of one prompt are taken together, as answers about one image are elsewhere.
    """
    reference = line["reference"]
    detections = [Detection(**{**item, "box": tuple(item["box"])}) for item in line["detections"]]
    said = complaints(reference["row"], detections)
    reading = Reading("; ".join(said) or "right", "detections")
    return make_verdict(
        {**line, "reference": {"image": reference["number"]}}, float(not said), reading, gold=reference["asked"]
    )


def metrics(name: str, verdicts: Sequence[Verdict]) -> list[Metric]:
    """The overall score under its full name, then that of each tag: shares of *pictures* that are right.

    Overall is the mean of the tags, each counting the same, not of the pictures. Intervals draw prompts, not pictures.
    """
    kinds = by_kind(verdicts)
    in_order = [tag for tag in TAGS if tag in kinds]
    return [mean_of_groups(name, verdicts, kinds), *(mean_points(tag, kinds[tag]) for tag in in_order)]
