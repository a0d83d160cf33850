"""What lies beside the checkout, in ../shared: recorded outputs and real predictions with known scores."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[2] / "shared" / "fixtures"
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir() and not os.environ.get("CI"), reason="the fixtures are not beside this checkout"
)


def read_json(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text(encoding="utf-8"))


def read_rows(name: str) -> list[Any]:
    """Of a JSONL file, packed or not."""
    opened = gzip.open if name.endswith(".gz") else open
    with opened(FIXTURES / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
