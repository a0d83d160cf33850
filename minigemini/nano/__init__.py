"""The embedded default: weights that travel inside the package, and where they are.

``nano-base`` holds the pretrained parts a user would otherwise download (both towers, language model, image generator),
``nano`` the result of the two training stages on them, ``nano-low-res`` the same without the high-res tower (a control).
All of it is a toy, made from nothing by the scripts in ``train/nano_base/``; see the model cards beside the weights.
"""

from pathlib import Path

from minigemini.existing_model import check_exists

WEIGHTS = Path(__file__).parent / "weights"
NAMES = ("nano", "nano-base", "nano-low-res")


def path(name: str) -> Path:
    """Folder of a shipped checkpoint, or of a part of one.

    Args:
        name: ``"nano"``, ``"nano-base"``, ``"nano-low-res"``, or one of them followed by a sub-folder
            (``"nano-base/language_model"``).

    Raises:
        ValueError: the name is not one of ours, or the sub-folder does not exist.
    """
    top = name.split("/", 1)[0]
    if top not in NAMES:
        raise ValueError(f"{name!r} is not a shipped checkpoint; there are: {', '.join(NAMES)}")
    folder = WEIGHTS / name
    if not folder.is_dir():
        raise ValueError(f"{name!r} is not among the shipped weights ({folder} does not exist)")
    return folder


def resolve(path_or_id: str) -> str:
    """What a user typed for a model: an existing local path wins, then a shipped name, else it is left for the hub.

    Raises:
        ValueError: there is no such model, or its folder is not whole (:func:`minigemini.existing_model.check_exists`).
    """
    if not Path(path_or_id).exists() and path_or_id.split("/", 1)[0] in NAMES:
        return str(path(path_or_id))
    check_exists(path_or_id)
    return path_or_id
