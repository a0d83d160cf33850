"""The files of one name are one record: webdataset's convention, in a tar or loose in a folder."""

import json
from collections.abc import Mapping
from typing import Any

from minigemini.data.readers.part import Raw, decode

PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "ppm", "avif")
CONVERSATIONS = ("conversations", "messages")


def split_name(name: str) -> tuple[str, str]:
    """``a/b.c/0001.img.JPG`` -> ``a/b.c/0001`` and ``img.jpg``: the ending is all behind the first dot of the last part."""
    folder, slash, last = name.rpartition("/")
    stem, _, ending = last.partition(".")
    return folder + slash + stem, ending.lower()


def is_picture(ending: str) -> bool:
    return ending.rpartition(".")[2] in PICTURES


def sample(key: str, texts: Mapping[str, bytes], pictures: list[Any]) -> Raw:
    """
    Args:
        texts: ending -> content of what is no picture.
        pictures: in the order of their endings; paths or bytes.
    """
    unread = sorted(texts.keys() - {"json", "txt"})
    if unread:
        return ValueError(f"{key}.{unread[0]} is not read; a sample has pictures, and its words in .json or .txt")
    raw: Raw = decode(texts["json"]) if "json" in texts else {}
    if isinstance(raw, ValueError):
        return ValueError(f"{key}.json: {raw}")
    if not isinstance(raw, dict):
        return ValueError(f"{key}.json: expected an object, got {json.dumps(raw)[:80]}")
    if any(name in raw for name in CONVERSATIONS):
        if "txt" in texts:
            return ValueError(f"{key}.json holds a conversation, and {key}.txt more words: which are to be learnt?")
    else:  # what img2dataset writes beside a picture: where it came from, and the caption once more
        caption = raw.get("caption")
        if "txt" in texts:
            try:
                caption = texts["txt"].decode("utf-8")
            except UnicodeDecodeError as error:
                return ValueError(f"{key}.txt: not UTF-8: {error}")
        raw = {} if caption is None else {"caption": caption}
    named = {name: value for name, value in raw.items() if name not in ("image", "images")}
    return {"id": key, **named, **({"image": pictures} if pictures else {})}
