"""Where the pictures of a conversation go."""

from pathlib import Path

from PIL import Image

from minigemini.generation.generation_record import GenerationRecord, save_png


def check_attention_file(path: str | Path) -> None:
    """Before a model is loaded.

    Raises:
        ValueError: the attention cannot be written there, as a PNG.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: the picture of the attention is a PNG; name a .png file")
    if path.is_dir():
        raise ValueError(f"{path}: the picture of the attention cannot be written (it is a folder)")


def write_attention(picture: Image.Image, path: str | Path) -> None:
    """Write a picture of the attention; one that is there is replaced.

    Raises:
        ValueError: it cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    except OSError as error:
        raise ValueError(f"{path}: the picture cannot be written ({error.strerror or error})") from error


def write_drawing(image: Image.Image, record: GenerationRecord, folder: str | Path) -> Path:
    """Write a picture as the first ``drawing-N.png`` that is not there yet; nothing is replaced.

    Raises:
        ValueError: the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = folder / f"drawing-{number}.png"
            try:
                path.touch(exist_ok=False)  # also another process may be drawing here
                break
            except FileExistsError:
                number += 1
        save_png(image, record, path)
    except OSError as error:
        raise ValueError(f"{folder}: the picture cannot be written ({error.strerror or error})") from error
    return path
