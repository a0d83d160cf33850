"""The choices that commands take by name: suites, expected numbers, small data sets, recipes of training and of data, DeepSpeed's settings.

People read and edit them in the repository's ``eval/``, ``train/`` and ``data_recipes/``; a wheel carries copies beside this file, in the
same tree.
"""

from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE if (HERE / "eval").is_dir() else HERE.parents[1]  # of the copies; in a clone, of the repository itself


def named(name: str, folder: Path) -> Path | None:
    """What a user typed for a YAML file: an existing path wins, then a name from ``folder``; None where it is neither."""
    if Path(name).is_file():
        return Path(name)
    return folder / f"{name}.yaml" if name in names(folder) else None


def names(folder: Path) -> list[str]:
    """Of the YAML files in a folder and below it: ``nano/align`` is ``nano/align.yaml``."""
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.yaml"))


def resolve(path: str) -> str:
    """A path as it stands in a recipe: an existing one wins, then the repository's file of that path, else it is left as it is."""
    return str(ROOT / path) if not Path(path).exists() and (ROOT / path).is_file() else path
