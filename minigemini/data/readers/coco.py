"""COCO captions: one object with ``images`` and ``annotations``; each caption is a record of its picture.

The two lists must be joined, so this one format is read whole (the largest published file has 90 MB).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minigemini.data.readers.part import Part, Raw, digest_of


def is_coco(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(found.get(key), list) for key in ("images", "annotations"))


def parts_of(file: Path, records: int) -> Iterator[Part]:
    """
    Raises:
        ValueError: it is another JSON object, or none.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: not valid JSON: {error}") from error
    if not is_coco(found):
        raise ValueError(f"{file}: expected a JSON list of records, JSON Lines or COCO captions, got one JSON object")
    names = {image["id"]: image["file_name"] for image in found["images"]}
    for first in range(0, len(found["annotations"]), records):
        place = [joined(one, names) for one in found["annotations"][first : first + records]]
        yield Part(str(file), "COCO captions", first, digest_of([json.dumps(place).encode()]), place)


def joined(annotation: dict[str, Any], names: dict[Any, str]) -> list[Any]:
    """Id of the annotation, picture and caption; None where there is none."""
    return [annotation.get("id"), names.get(annotation.get("image_id")), annotation.get("caption")]


def read(part: Part) -> Iterator[Raw]:
    for identity, image, caption in part.place:
        if image is None:
            yield ValueError(f"annotation {identity!r} is of no picture in 'images'")
        elif caption is None:
            yield ValueError(f"annotation {identity!r} has no 'caption'; of COCO's files those with captions are read")
        else:
            yield {"id": identity, "image": image, "caption": caption}
