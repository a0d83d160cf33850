"""The Auto classes of transformers learn our classes when they are imported: at once, or as soon as somebody does."""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

AUTO_CLASSES = "transformers.models.auto"


def register_when_imported() -> None:
    """Import `minigemini.model`, which registers, if the Auto classes are there; else when they come."""
    if AUTO_CLASSES in sys.modules:
        importlib.import_module("minigemini.model")
    else:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Sees every import of transformers that begins outside of another one.

    Its modules import the Auto classes from inside of each other, and ours need them whole: so ours are imported when the
    outermost import has come to its end.
    """

    inside = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self.inside or fullname.partition(".")[0] != "transformers":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module
            spec.loader.exec_module = lambda module: self._load(load, module)  # type: ignore[method-assign]
        return spec

    def _load(self, load: Callable[[ModuleType], None], module: ModuleType) -> None:
        self.inside = True
        try:
            load(module)
        finally:
            self.inside = False
        if AUTO_CLASSES in sys.modules and self in sys.meta_path:
            sys.meta_path.remove(self)
            importlib.import_module("minigemini.model")
