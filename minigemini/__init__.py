"""minigemini: a dual-encoder vision-language model of the Mini-Gemini kind, with image generation.

``import minigemini`` itself imports neither torch nor transformers: the names below are loaded when they are used.
"""

import importlib
import logging
from typing import TYPE_CHECKING, Any

from minigemini.auto_registration import register_when_imported

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


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("minigemini.model"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# diffusers imports bitsandbytes wherever it is installed, and on CPUs with AVX512-BF16 that import warns, on every command, of a
# kernel that only weights in 4 bits would use; `quantization.in_bits` gives the warning its voice back.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)

register_when_imported()
