"""Chat templates over messages with pictures, their assistants' words marked for training: the original's, and those of language
models whose own knows text alone."""

from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

TEMPLATES = Path(__file__).parent / "chat_templates"
WORDS: dict[str, Any] = {"type": "text", "text": "Why?"}
SAID: list[list[dict[str, Any]]] = [[WORDS], [{"type": "image"}, WORDS]]
REFUSE_TYPED = """{%- for message in messages -%}
{%- set said = message.content or "" -%}
{%- set text = said if said is string else said | selectattr("type", "equalto", "text") | map(attribute="text") | join -%}
{%- if "IMAGE_TOKEN" in message.role ~ text -%}
{{- raise_exception('a text has "IMAGE_TOKEN" in it, which stands for a picture: give pictures as image parts, or change the text') -}}
{%- endif -%}
{%- endfor -%}
"""


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


def standalone(template: str, tokenizer: PreTrainedTokenizerBase, image_token: str) -> str:
    """The template as a checkpoint has it, for servers that ask it and the tokenizer but not our processor (vLLM): it refuses texts with
    ``image_token`` in them, which would be taken for pictures, and writes the beginning itself."""
    refusing = REFUSE_TYPED.replace("IMAGE_TOKEN", image_token)
    return refusing + with_beginning(template.removeprefix(refusing), tokenizer)


def with_beginning(template: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """The template, writing itself what the tokenizer would put in front of it (``<s>``): vLLM takes of the tokenizer nothing but the ids
    of the words, and would leave it out.

    The ids that our processor makes stay the same. Some tokenizers write a space in front of a text and none behind ``<s>``: there the
    template writes the space. What begins in yet another way (with an end token, or with no text) is left to the tokenizer.
    """
    for beginning in ("", "{{- bos_token -}}", '{{- bos_token ~ " " -}}'):
        begun = beginning + template
        if all(_ids(begun, tokenizer, parts, alone=True) == _ids(template, tokenizer, parts) for parts in SAID):
            return begun
    return template


def _ids(
    template: str, tokenizer: PreTrainedTokenizerBase, parts: list[dict[str, Any]], alone: bool = False
) -> list[int]:
    """Of a user's message; ``alone``: with nothing that the tokenizer adds to a text, which our processor leaves out behind ``<s>``."""
    messages: Any = [{"role": "user", "content": parts}]
    text: Any = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)
    begun = tokenizer.bos_token is not None and text.startswith(tokenizer.bos_token)
    ids: list[int] = tokenizer(text, add_special_tokens=not (alone or begun))["input_ids"]
    return ids
