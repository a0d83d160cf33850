"""What a reader cuts a file into."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDS = 1024  # of a part: a second of tokenising, and what is done again where one of them changes
PART_BYTES = 64 << 20  # of a part whose pictures are inside

Raw = dict[str, Any] | ValueError
"""A record with its keys as LLaVA's JSON has them (``image`` may be bytes too), or why there is none at this place."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some records of a file, one after the other. All of it can be written as JSON."""

    file: str  # as the user named it, or found in the folder that they named
    format: str
    first: int  # position in the file of its first record
    digest: str  # of what it holds: of the bytes, where they are text
    place: Any  # for its reader


def digest_of(pieces: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for piece in pieces:
        whole.update(piece)
    return whole.hexdigest()


def digest_of_state(file: Path, place: Any) -> str:
    """Of a file too large to be read for it: size and time of change, and where in it."""
    state = file.stat()
    return digest_of([json.dumps([state.st_size, state.st_mtime_ns, place]).encode()])


def decode(text: bytes) -> Raw:
    """The record that JSON text holds.

    Returns:
        Or what is wrong with the text: it is none of UTF-8 or JSON, or a key stands in it twice, one of which would be lost.
    """
    try:
        return json.loads(text.decode("utf-8"), object_pairs_hook=without_repeats)
    except UnicodeDecodeError as error:
        return ValueError(f"not UTF-8: {error}")
    except json.JSONDecodeError as error:
        return ValueError(f"not valid JSON: {error}")
    except RecursionError:
        return ValueError("not valid JSON: nested too deep")
    except ValueError as error:
        return error


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} twice")
    return found
