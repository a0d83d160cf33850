"""Text and pictures -> inputs of the model."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.image_utils import make_flat_list_of_images
from transformers.processing_utils import MultiModalData, ProcessingKwargs, ProcessorMixin

from .image_processing_minigemini import MiniGeminiImageProcessor
from .remote_code import SavedWithCode


class MiniGeminiProcessorKwargs(ProcessingKwargs, total=False):
    _defaults = {"text_kwargs": {"padding": False, "return_token_type_ids": False}}  # type: ignore[misc]


class MiniGeminiProcessor(SavedWithCode, ProcessorMixin):
    r"""
    Args:
        image_processor: [`MiniGeminiImageProcessor`].
        tokenizer: of the language model, with `image_token` as one token.
        patch_size: of the low-resolution tower, in pixels.
        chat_template: Jinja over messages whose content is a list of parts (`{"type": "image"}`, `{"type": "text",
            "text": ...}`), with `{% generation %}` around the words to be trained on.
        image_token: what stands for a picture in text; becomes as many tokens as the picture has.
    """

    valid_processor_kwargs: Any = MiniGeminiProcessorKwargs

    def __init__(
        self,
        image_processor: MiniGeminiImageProcessor,
        tokenizer: PreTrainedTokenizerBase,
        patch_size: int = 14,
        chat_template: str | None = None,
        image_token: str = "<image>",
    ):
        self.patch_size = patch_size
        self.image_token = image_token
        if image_token not in tokenizer.get_vocab():
            raise ValueError(f"the tokenizer has no token {image_token!r} for pictures")
        self.image_token_id = tokenizer.convert_tokens_to_ids(image_token)
        super().__init__(image_processor, tokenizer, chat_template=chat_template)

    def prepare_inputs_layout(self, images: Any = None, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        """As `ProcessorMixin.prepare_inputs_layout`, but a list without pictures is no pictures (it would make pixels of none)."""
        return super().prepare_inputs_layout(None if has_no_picture(images) else images, *args, **kwargs)

    def validate_inputs(self, images: Any = None, text: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        """As `ProcessorMixin.validate_inputs`, which does not count the pictures in transformers 5.19."""
        super().validate_inputs(images=images, text=text, **kwargs)
        if text is not None:
            shown = sum(sample.count(self.image_token) for sample in text)
            flat: Any = [] if images is None else make_flat_list_of_images(images)
            given = len(flat)
            if shown != given:
                raise ValueError(f"the text has {shown} {self.image_token} tokens and {given} images were given")
            if isinstance(images, (list, tuple)) and any(isinstance(of_sample, (list, tuple)) for of_sample in images):
                self._check_nesting(images, text)

    def _check_nesting(self, images: Sequence[Any], text: Sequence[str]) -> None:
        """A list of pictures for each sample must be as long as that sample shows pictures."""
        for number, (of_sample, sample) in enumerate(zip(images, text, strict=True)):
            shown, given = sample.count(self.image_token), len(of_sample)
            if shown != given:
                raise ValueError(f"sample {number} has {shown} {self.image_token} tokens and {given} images were given")

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **kwargs: Any) -> str:
        pixels = image_inputs["pixel_values"][image_idx]  # [3, h, w] or [T, 3, h, w]
        views = pixels.shape[0] if pixels.ndim == 4 else 1
        return self.image_token * (views * self._tokens_per_view(*pixels.shape[-2:]))

    def _tokens_per_view(self, height: int, width: int) -> int:
        return (height // self.patch_size) * (width // self.patch_size)

    def _get_num_multimodal_tokens(
        self, image_sizes: Sequence[Sequence[int]] | None = None, **kwargs: Any
    ) -> MultiModalData:
        """Image tokens for pictures of the given (height, width): the same for all, as every picture is squared."""
        if image_sizes is None:
            return MultiModalData()
        options = self._merge_kwargs(self.valid_processor_kwargs, self.tokenizer.init_kwargs, **kwargs)["images_kwargs"]
        own = self.image_processor
        grid = options.get("image_grid", own.image_grid)
        size = options.get("size", own.size)
        views = grid**2 + int(grid > 1 and options.get("image_global", own.image_global))
        tokens = views * self._tokens_per_view(size["height"], size["width"])
        return MultiModalData(num_image_tokens=[tokens] * len(image_sizes), num_image_patches=[1] * len(image_sizes))

    def apply_chat_template(self, conversation: list, *args: Any, **kwargs: Any) -> Any:
        """As `ProcessorMixin.apply_chat_template`, but text can never stand for a picture, and nothing is left out because a template
        does not know it: parts are `text` (`input_text` is read as such) and `image`.

        Raises:
            ValueError: a message or a part is of another form, or a text part has `image_token` in it; names message and part.
        """
        batched = len(conversation) > 0 and isinstance(conversation[0], (list, tuple))
        samples = []
        for sample, messages in enumerate(conversation if batched else [conversation]):
            beginning = f"conversation {sample}, " if batched else ""
            if not messages:
                raise ValueError(f"{beginning.removesuffix(', ') or 'the conversation'} has no message")
            samples.append([checked(one, f"{beginning}message {number}") for number, one in enumerate(messages)])
            for number, message in enumerate(samples[-1]):
                if self.image_token in text_of(message):
                    where = f"{beginning}message {number}"
                    raise ValueError(
                        f"{where} ({message['role']}): its text has {self.image_token!r} in it, which stands for a "
                        "picture; give pictures as image parts, or change the text"
                    )
        return super().apply_chat_template(samples if batched else samples[0], *args, **kwargs)


def has_no_picture(images: Any) -> bool:
    return isinstance(images, (list, tuple)) and all(has_no_picture(image) for image in images)


def checked(message: Any, where: str) -> dict[str, Any]:
    """The message with every part of a kind that the templates know.

    Raises:
        ValueError: it has no role or content, or a part is neither text nor a picture; `where` and the part's number are named.
    """
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise ValueError(f"{where}: expected {{'role': ..., 'content': ...}}, got {message!r:.80}")
    content = message.get("content")
    if isinstance(content, str):
        return message
    if not isinstance(content, (list, tuple)):
        raise ValueError(
            f"{where} ({message['role']}): 'content' must be a text or a list of parts, got {content!r:.80}"
        )
    parts = []
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "input_text") and isinstance(part.get("text"), str):
            part = {**part, "type": "text"}
        elif kind not in ("image", "image_url"):  # transformers turns the second into the first
            raise ValueError(
                f"{where} ({message['role']}), part {number}: expected {{'type': 'text', 'text': ...}} or {{'type': 'image', "
                f"'image': ...}}, got {part!r:.80}"
            )
        parts.append(part)
    return {**message, "content": parts}


def text_of(message: dict[str, Any]) -> str:
    """The words of a message, joined (a marker may be spread over two parts)."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] if part["type"] == "text" else "\n" for part in content)


__all__ = ["MiniGeminiProcessor"]
