"""Pictures that lie as files in a folder; all are looked for before the first one is needed."""

from pathlib import Path, PurePosixPath, PureWindowsPath

from minigemini.benchmarks.stored_image import StoredImage


class ImageFolder:
    """``folder`` is where names start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._asked: dict[str, str] = {}  # name -> the first row that names it

    def image(self, name: str, place: str) -> StoredImage:
        """
        Raises:
            ValueError: the name leads out of the folder. (Links in the folder are its owner's and are followed: people link COCO.)
        """
        parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
        if not name or ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
            raise ValueError(f"{place}: the image {name!r} leads out of {self.folder}")
        self._asked.setdefault(name, place)
        path = self.folder / name
        return StoredImage(str(path), path.read_bytes)

    def require_all(self) -> None:
        """Raises FileNotFoundError: images that were named are not there; says how many, the first, and whose."""
        missing = [name for name in self._asked if not (self.folder / name).is_file()]
        if missing:
            first = missing[0]
            raise FileNotFoundError(
                f"{len(missing)} of {len(self._asked)} images are missing in {self.folder}, such as {first} "
                f"({self._asked[first]})"
            )
