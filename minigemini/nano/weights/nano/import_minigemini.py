"""Lies in every saved folder, where `trust_remote_code=True` runs it: the classes are those of the installed minigemini.

Without trust_remote_code: `import minigemini` beside transformers, and the Auto classes read the folder.
"""

try:
    from minigemini import (
        MiniGeminiConfig,
        MiniGeminiForConditionalGeneration,
        MiniGeminiImageProcessor,
        MiniGeminiModel,
        MiniGeminiProcessor,
    )
except ModuleNotFoundError as error:
    if error.name != "minigemini":
        raise
    raise ImportError("this checkpoint needs minigemini: `pip install -e .` in a clone of its repository") from error

__all__ = [
    "MiniGeminiConfig",
    "MiniGeminiForConditionalGeneration",
    "MiniGeminiImageProcessor",
    "MiniGeminiModel",
    "MiniGeminiProcessor",
]
