"""What several tests read and none can make: recorded outputs of the original system and real predictions with known scores,
packed in tests/recorded/."""

import gzip
import json
import secrets
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

PACKED = Path(__file__).parent / "recorded"
UNPACKED = (
    Path(tempfile.gettempdir()) / f"minigemini-recorded-{secrets.token_hex(8)}"
)  # conftest.py fills and removes it
RECORDED = UNPACKED / "original"
FIXTURES = UNPACKED / "samples"
needs_recorded = pytest.mark.usefixtures("original")
needs_fixtures = pytest.mark.usefixtures("samples")
# The whole recordings, where a checkout has them: with what may not be passed on.
BESIDE = Path(__file__).parents[2] / "shared"
BESIDE_IS_THERE = (BESIDE / "parity").is_dir() and (BESIDE / "fixtures").is_dir()


def unpack(folder: Path) -> None:
    """The archive of that name."""
    with tarfile.open(PACKED / f"{folder.name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")


def read_json(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text(encoding="utf-8"))


def read_rows(name: str, folder: Path = FIXTURES) -> list[Any]:
    """Of a JSONL file, packed or not."""
    opened = gzip.open if name.endswith(".gz") else open
    with opened(folder / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
