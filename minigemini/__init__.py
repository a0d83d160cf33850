"""minigemini: a dual-encoder vision-language model of the Mini-Gemini kind, with image generation.

``import minigemini`` itself imports neither torch nor transformers: the names below are loaded when they are used.
"""

import importlib
import logging
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigemini.model import (
        MiniGeminiConfig,
        MiniGeminiForConditionalGeneration,
        MiniGeminiImageProcessor,
        MiniGeminiModel,
        MiniGeminiProcessor,
    )

__version__ = "0.1.0"

__all__ = [
    "MiniGeminiConfig",
    "MiniGeminiForConditionalGeneration",
    "MiniGeminiImageProcessor",
    "MiniGeminiModel",
    "MiniGeminiProcessor",
]

AUTO_CLASSES = "transformers.models.auto"


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("minigemini.model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _RegisterWithAutoClasses(MetaPathFinder):
    """Registers our classes with transformers' Auto classes as soon as somebody imports those, and not before.

    So ``import minigemini`` stays cheap, and yet AutoProcessor.from_pretrained finds us after it. The Auto classes are also
    imported from inside other modules of transformers, which our own need whole: so it happens when an import of transformers
    that was begun outside of it has come to its end.
    """

    importing = False

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if self.importing or fullname.partition(".")[0] != "transformers":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisterAfter(spec.loader, self)
        return spec


class _RegisterAfter(Loader):
    """Loads a module as ``loader`` does, and then registers our classes if the Auto classes are there."""

    def __init__(self, loader: Any, finder: _RegisterWithAutoClasses) -> None:
        self.loader = loader
        self.finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.loader
        self.finder.importing = True
        try:
            self.loader.exec_module(module)
        finally:
            self.finder.importing = False
        if AUTO_CLASSES in sys.modules and self.finder in sys.meta_path:
            sys.meta_path.remove(self.finder)
            importlib.import_module("minigemini.model")


# diffusers imports bitsandbytes wherever it is installed, and on CPUs with AVX512-BF16 that import warns, on every command, of a
# kernel that only weights in 4 bits would use; `quantization.in_bits` gives the warning its voice back.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

if AUTO_CLASSES in sys.modules:
    importlib.import_module("minigemini.model")
else:
    sys.meta_path.insert(0, _RegisterWithAutoClasses())
