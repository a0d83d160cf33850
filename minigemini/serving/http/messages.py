"""Messages in the form of ``/v1/chat/completions``, and as the turns of a conversation.

OpenAI's API has no pictures in an answer; the field ``images`` of an assistant's message is what OpenRouter, LiteLLM and others agreed on. A
picture that comes back with the conversation has its prompt in the record inside the PNG: the model reads again what it wrote.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from minigemini.conversation import PROMPT_END, PROMPT_START, Image, Message, Part, Text
from minigemini.generation.generation_record import read_record
from minigemini.media import open_image
from minigemini.serving.conversation import Drawing, Turn
from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.pictures import checked, picture_bytes


class Given(BaseModel):
    """An object of a request. A field that is null was not given; one that is not here is refused, as nothing would come of it."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if value is not None}
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


def turns_of(messages: list[Any]) -> list[Turn]:
    """A conversation, the user's message last. Pictures are the files' bytes, or a :class:`Drawing` in an answer. Markers in texts are as
    they were typed.

    Raises:
        ApiError: it ends otherwise, or a picture is none; it names which.
    """
    if not messages or messages[-1].role != "user":
        raise ApiError(400, "messages: the last one must be the user's", param="messages")
    turns, files, params = [], [], []
    for number, one in enumerate(messages):
        parts: list[Part] = []
        for place, part in enumerate(one.content):
            if isinstance(part, TextPart):
                parts.append(Text(part.text))
                continue
            param = f"messages[{number}].content[{place}].image_url.url"
            parts.append(Image(picture_bytes(part.image_url.url, param)))
            files.append(parts[-1].source)
            params.append(param)
        if isinstance(one, AssistantMessage):
            text = "".join(part.text for part in one.content)
            drawn = []
            for place, image in enumerate(one.images):
                param = f"messages[{number}].images[{place}].image_url.url"
                files.append(picture_bytes(image.image_url.url, param))
                params.append(param)
                drawn.append((image.offset, drawing_in(files[-1], param)))
            parts = in_their_places(text, drawn)
        role: Any = "system" if one.role == "developer" else one.role
        turns.append(Turn(Message(role, tuple(parts))))
    checked(files, params)
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
