"""Chat templates over messages with pictures, their assistants' words marked for training: the original's, and those of language
models whose own knows text alone."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "chat_templates"


def read_template(name: str) -> str:
    """Jinja of a file, or of one that comes with the package: `v1` (Vicuna), `gemma`, `llama_3`, `mistral_instruct`,
    `chatml_direct` (Yi), `plain` (captions), which are the original's, or `chatml` (Qwen, SmolLM2).

    The original's write pictures first in a turn, each with a line break, and number several ("Image 1:"), after its
    `conversation.py` and its command line.

    Raises:
        ValueError: it is neither.
    """
    file = Path(name) if Path(name).is_file() else TEMPLATES / f"{name}.jinja"
    if not file.is_file():
        known = ", ".join(sorted(file.stem for file in TEMPLATES.glob("*.jinja")))
        raise ValueError(
            f"chat_template: {name} is no file, and no template of that name comes with the package ({known})"
        )
    return file.read_text(encoding="utf-8")
