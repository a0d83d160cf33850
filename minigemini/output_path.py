"""Types of command-line arguments that name what will be written: refused while they are read, before anything is loaded."""

from argparse import ArgumentTypeError
from pathlib import Path


def output_folder(text: str) -> Path:
    """A folder that is there or can be made.

    Raises:
        ArgumentTypeError: it is a file, or inside one.
    """
    path = Path(text)
    for part in (path, *path.parents):
        if part.exists() and not part.is_dir():
            raise ArgumentTypeError(f"{part} is a file, and a folder is needed")
    return path


def output_file(text: str) -> Path:
    """A file to write; its folder is there or can be made.

    Raises:
        ArgumentTypeError: it is a folder, or inside a file.
    """
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{path} is a folder, and a file is to be written")
    output_folder(str(path.parent))
    return path
