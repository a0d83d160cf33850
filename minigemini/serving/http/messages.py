"""Messages in the form of ``/v1/chat/completions``, and as the turns of a conversation.

OpenAI's API has no pictures in an answer; the field ``images`` of an assistant's message is what OpenRouter, LiteLLM and others agreed on.
A picture that comes back with the conversation has its prompt in the record inside the PNG: the model reads again what it wrote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from minigemini.conversation import PROMPT_END, PROMPT_START, Image, Message, Part, Text
from minigemini.generation.generation_record import read_record
from minigemini.media import open_image
from minigemini.serving.conversation import Drawing, Turn
from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.pictures import Pictures

SURROGATE = re.compile("[\ud800-\udfff]")


class Given(BaseModel):
    """An object of a request. A field that is null was not given; one that is not here is refused, as nothing would come of it."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if value is not None}
        return given

    @field_validator("*")
    @classmethod
    def _as_characters(cls, given: Any) -> Any:
        """JSON can name half of a surrogate pair, which no tokenizer, and no answer that tells of it, can hold."""
        texts = [*given, *given.values()] if isinstance(given, dict) else given if isinstance(given, list) else [given]
        if any(isinstance(text, str) and not text.isascii() and SURROGATE.search(text) for text in texts):
            raise PydanticCustomError("surrogate", "half of a surrogate pair is no character")
        return given


class TextPart(Given):
    type: Literal["text"]
    text: str


class ImageURL(Given):
    url: str
    detail: Literal["auto"] = "auto"


class ImagePart(Given):
    type: Literal["image_url"]
    image_url: ImageURL


class DrawnImage(Given):
    """A picture of an answer.

    Attributes:
        offset: characters of the text before it.
    """

    type: Literal["image_url"] = "image_url"
    image_url: ImageURL
    index: int = 0
    offset: int | None = Field(None, ge=0)
    revised_prompt: str | None = None


class Spoken(Given):
    """A message whose content may be a string or a list of parts."""

    @model_validator(mode="before")
    @classmethod
    def _in_parts(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("content"), str):
            return given | {"content": [{"type": "text", "text": given["content"]}]}
        return given


class SystemMessage(Spoken):
    role: Literal["system", "developer"]
    content: list[TextPart]


class UserMessage(Spoken):
    role: Literal["user"]
    content: list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]


class AssistantMessage(Spoken):
    role: Literal["assistant"]
    content: list[TextPart] = []
    images: list[DrawnImage] = []


ChatMessage = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]


def turns_of(
    messages: Sequence[SystemMessage | UserMessage | AssistantMessage],
    pictures: Pictures,
    last: Literal["user", "assistant"] = "user",
) -> list[Turn]:
    """A conversation, the message of ``last`` at its end. Pictures are the files' bytes, or a :class:`Drawing` in an answer. Markers in
    texts are as they were typed.

    Raises:
        ApiError: it ends otherwise, or a picture is none; it names which.
    """
    if not messages or messages[-1].role != last:
        raise ApiError(400, f"messages: the last one must be the {last}'s", param="messages")
    turns: list[Turn] = []
    for number, one in enumerate(messages):
        where = f"messages[{number}]"
        if isinstance(one, AssistantMessage):
            files = [
                pictures.at(image.image_url.url, f"{where}.images[{place}].image_url.url")
                for place, image in enumerate(one.images)
            ]
            drawn = [
                (image.offset, drawing_in(file, f"{where}.images[{place}]"))
                for place, (image, file) in enumerate(zip(one.images, files, strict=True))
            ]
            parts = in_their_places("".join(part.text for part in one.content), drawn)
        else:
            parts = [
                Text(part.text)
                if isinstance(part, TextPart)
                else Image(pictures.at(part.image_url.url, f"{where}.content[{place}].image_url.url"))
                for place, part in enumerate(one.content)
            ]
        turns.append(Turn(Message("system" if one.role == "developer" else one.role, tuple(parts))))
    return turns


def drawing_in(file: bytes, param: str) -> Drawing:
    """A picture of ours that a client gives back.

    Raises:
        ApiError: it was not drawn by this kind of program: what the model wrote for it is not known.
    """
    try:
        record = read_record(file)
        return Drawing(f"{PROMPT_START}{record.prompt}{PROMPT_END}", open_image(file), record)
    except ValueError as error:
        raise ApiError(400, f"{param}: not a picture as this server draws them ({error})", param=param) from error


def in_their_places(text: str, drawn: list[tuple[int | None, Drawing]]) -> list[Part]:
    """The pictures after so many characters of the text, at the end where that is not said."""
    parts: list[Part] = []
    begin = 0
    for offset, drawing in sorted(drawn, key=lambda one: len(text) if one[0] is None else one[0]):
        end = len(text) if offset is None else min(offset, len(text))
        parts += [Text(text[begin:end]), Image(drawing)]
        begin = end
    return [part for part in [*parts, Text(text[begin:])] if not (isinstance(part, Text) and not part.text)]
