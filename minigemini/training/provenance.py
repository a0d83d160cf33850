"""What was run, written to the output folder before the first step."""

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from minigemini import strict_yaml
from minigemini.training.recipe import Recipe

PACKAGES = ("minigemini", "torch", "transformers", "accelerate", "timm", "tokenizers", "safetensors", "numpy", "pillow")


def write(folder: Path, recipe: Recipe, processes: int, fingerprint: dict[str, Any]) -> None:
    """Write the resolved recipe (``recipe.yaml``, which can be trained again) and ``run.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.yaml").write_text(strict_yaml.dump(recipe), encoding="utf-8")
    run: dict[str, Any] = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "processes": processes,
        **source_state(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "fingerprint": fingerprint,
    }
    (folder / "run.json").write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")


def source_state() -> dict[str, Any]:
    """Commit of this package's git repository and whether files in it differ; both null for an installed package."""
    try:
        _git("ls-files", "--error-unmatch", __file__)  # an environment may lie in the repository of another project
        commit = _git("rev-parse", "HEAD")
        return {"commit": commit, "uncommitted_changes": bool(_git("status", "--porcelain"))}
    except (FileNotFoundError, subprocess.CalledProcessError):  # no git, or no repository
        return {"commit": None, "uncommitted_changes": None}


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
