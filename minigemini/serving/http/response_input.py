"""What a request to ``/v1/responses`` says, as the turns of a conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from minigemini.conversation import PROMPT_END, PROMPT_START, Image, Message, Part, Text
from minigemini.serving.assets import Assets
from minigemini.serving.conversation import Drawing, Turn
from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.messages import Given, drawing_in
from minigemini.serving.http.pictures import Pictures


class InputText(Given):
    type: Literal["input_text"]
    text: str


class InputImage(Given):
    type: Literal["input_image"]
    image_url: str
    detail: Literal["auto"] = "auto"


class OutputText(Given):
    """Of an answer, as it was sent."""

    type: Literal["output_text"]
    text: str
    annotations: Annotated[list[Any], Field(max_length=0)] = []
    logprobs: Annotated[list[Any], Field(max_length=0)] = []


class _Item(Given):
    """Content may be a string."""

    @model_validator(mode="before")
    @classmethod
    def _in_parts(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("content"), str):
            kind = "output_text" if given.get("role") == "assistant" else "input_text"
            return given | {"content": [{"type": kind, "text": given["content"]}]}
        return given


class SystemItem(_Item):
    type: Literal["message"] = "message"
    role: Literal["system", "developer"]
    content: list[InputText]


class UserItem(_Item):
    type: Literal["message"] = "message"
    role: Literal["user"]
    content: list[Annotated[InputText | InputImage, Field(discriminator="type")]]


class AssistantItem(_Item):
    """A message of an answer; id and status, as it was sent, say nothing of it."""

    type: Literal["message"] = "message"
    role: Literal["assistant"]
    content: list[OutputText]
    id: str = ""
    status: Literal["completed", "incomplete"] = "completed"


class DrawnItem(Given):
    """A picture of an answer, as it was sent, or by its id alone.

    Attributes:
        result: the PNG as base64. Without one it was not drawn if ``status`` is failed, else it is that of a kept answer.
    """

    type: Literal["image_generation_call"]
    result: str | None = None
    revised_prompt: str | None = None
    # what else was sent says nothing that the file does not
    id: str = ""
    status: Literal["completed", "failed"] = "completed"
    size: str = ""
    output_format: Literal["png"] = "png"
    error: dict[str, Any] | None = None


def _kind(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    kind = item.get("role") if item.get("type", "message") == "message" else item.get("type")
    return kind if isinstance(kind, str) else None


Item = Annotated[
    Annotated[SystemItem, Tag("system")]
    | Annotated[SystemItem, Tag("developer")]
    | Annotated[UserItem, Tag("user")]
    | Annotated[AssistantItem, Tag("assistant")]
    | Annotated[DrawnItem, Tag("image_generation_call")],
    Discriminator(
        _kind,
        custom_error_type="item",
        custom_error_message="expected a message with the role system, developer, user or assistant, or an image_generation_call",
    ),
]


def turns_of_items(items: Sequence[Any], pictures: Pictures, kept: Callable[[str, str], str]) -> list[Turn]:
    """The user's message last. What of an answer comes one after another is one turn. Pictures are the files' bytes, or a
    :class:`Drawing`; markers in texts are as they were typed.

    Args:
        kept: the base64 of a kept answer's picture by its id, and what names it in the request if there is none.

    Raises:
        ApiError: it ends otherwise, or a picture is none; it names which. Or as of ``kept``.
    """
    numbered = list(enumerate(items))
    end = len(numbered)
    while end and isinstance(items[end - 1], DrawnItem):
        end -= 1
    if not end or not isinstance(items[end - 1], UserItem):
        raise ApiError(400, "input: the last message must be the user's", param="input")
    # OpenAI's guide names the pictures that the user speaks of behind the message; they were drawn before it.
    numbered = [*numbered[: end - 1], *numbered[end:], numbered[end - 1]]
    turns: list[Turn] = []
    for number, item in numbered:
        where = f"input[{number}]"
        role: Literal["system", "user", "assistant"]
        parts: list[Part]
        if isinstance(item, DrawnItem):
            role, parts = "assistant", [Image(_drawing(item, kept, pictures, where))]
        else:
            role = "system" if item.role == "developer" else item.role
            parts = [
                Image(pictures.at(part.image_url, f"{where}.content[{place}].image_url"))
                if isinstance(part, InputImage)
                else Text(part.text)
                for place, part in enumerate(item.content)
            ]
        if role == "assistant" and turns and turns[-1].message.role == role:
            parts = [*turns.pop().message.parts, *parts]
        turns.append(Turn(Message(role, tuple(parts))))
    return turns


def _drawing(item: DrawnItem, kept: Callable[[str, str], str], pictures: Pictures, where: str) -> Drawing:
    if item.result is None and item.status == "failed":
        return Drawing(f"{PROMPT_START}{item.revised_prompt}{PROMPT_END}" if item.revised_prompt else "")
    result = kept(item.id, f"{where}.id") if item.result is None else item.result
    file = pictures.in_base64(result, f"{where}.result")
    drawing = drawing_in(file, f"{where}.result")
    return Drawing(drawing.written, Assets().put_png(file), drawing.record)
