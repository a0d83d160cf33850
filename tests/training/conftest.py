"""Recipe files of two small stages on the same 16 records."""

from pathlib import Path

import pytest
import yaml
from small_run import align_recipe, finetune_recipe, write_data


@pytest.fixture
def align(tmp_path, tiny_parts) -> Path:
    """4 steps an epoch; the checkpoint goes to ``align`` beside the file."""
    data = write_data(tmp_path / "data", 16)
    (tmp_path / "align.yaml").write_text(yaml.safe_dump(align_recipe(tiny_parts, data, tmp_path / "align")))
    return tmp_path / "align.yaml"


@pytest.fixture
def finetune(tmp_path, align) -> Path:
    recipe = finetune_recipe(tmp_path / "align", tmp_path / "data" / "data.json", tmp_path / "finetune")
    (tmp_path / "finetune.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path / "finetune.yaml"
