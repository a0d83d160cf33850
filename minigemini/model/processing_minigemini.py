"""Text and pictures -> inputs of the model."""

from collections.abc import Sequence
from typing import Any

from transformers import AutoImageProcessor, PreTrainedTokenizerBase
from transformers.image_utils import make_flat_list_of_images
from transformers.processing_utils import MultiModalData, ProcessingKwargs, ProcessorMixin

from .high_res_vision_tower import normalisation
from .image_processing_minigemini import MiniGeminiImageProcessor
from .parts import tokenizer_with_image_token, vision_config


class MiniGeminiProcessorKwargs(ProcessingKwargs, total=False):
    _defaults = {"text_kwargs": {"padding": False, "return_token_type_ids": False}}  # type: ignore[misc]


class MiniGeminiProcessor(ProcessorMixin):
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

    @classmethod
    def from_parts(
        cls,
        language_model: str,
        vision_tower: str,
        high_res_vision_tower: str | None = None,
        *,
        high_res_image_size: int,
        image_grid: int = 1,
        image_global: bool = False,
        chat_template: str | None = None,
        image_token: str = "<image>",
    ) -> "MiniGeminiProcessor":
        """The processor for a model made by `MiniGeminiForConditionalGeneration.from_parts` from the same parts.

        Args:
            language_model: folder or hub id with the tokenizer.
            vision_tower: gives the size and the normalisation of the low-resolution pixels.
            high_res_vision_tower: gives the normalisation of the high-resolution pixels; `None` for a model without.
            high_res_image_size: side in pixels of the picture the low-resolution pixels are shrunk from, and that the
                high-resolution tower sees; also for a model without high-resolution tower.
            chat_template: the tokenizer's own, unless given.

        Raises:
            ValueError: no chat template, or one that does not show pictures.
        """
        tokenizer = tokenizer_with_image_token(language_model, image_token)
        tokenizer.padding_side = "left"  # what batched generation needs
        template = chat_template or tokenizer.chat_template
        if template is None:
            raise ValueError(f"{language_model}: its tokenizer has no chat template; give chat_template=")
        assert_shows_pictures(tokenizer, template, image_token)
        tokenizer.chat_template = None  # it is the processor's now, in one place

        tower = vision_config(vision_tower)
        pixels = AutoImageProcessor.from_pretrained(vision_tower)
        high_res = None if high_res_vision_tower is None else normalisation(str(high_res_vision_tower))
        own = {} if high_res is None else {"high_res_image_mean": high_res[0], "high_res_image_std": high_res[1]}
        image_processor = MiniGeminiImageProcessor(
            size={"height": tower.image_size, "width": tower.image_size},
            image_mean=list(pixels.image_mean),
            image_std=list(pixels.image_std),
            high_res_size=high_res_image_size,
            do_high_res=high_res_vision_tower is not None,
            image_grid=image_grid,
            image_global=image_global,
            **own,
        )
        return cls(
            image_processor, tokenizer, patch_size=tower.patch_size, chat_template=template, image_token=image_token
        )

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


def assert_shows_pictures(tokenizer: PreTrainedTokenizerBase, chat_template: str, image_token: str) -> None:
    """See whether the template writes `image_token` for an image part, and the text beside it.

    Raises:
        ValueError: it does not; most templates of pure language models know strings only.
    """
    message: Any = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "words"}]}
    shown: Any = tokenizer.apply_chat_template([message], chat_template=chat_template, tokenize=False)
    if shown.count(image_token) != 1 or "words" not in shown or "'text'" in shown:
        raise ValueError(
            f"the chat template does not write {image_token!r} for an image part, so it cannot show pictures; give "
            "chat_template= one over content parts"
        )


__all__ = ["MiniGeminiProcessor"]
