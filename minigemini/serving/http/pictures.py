"""Pictures as they travel in JSON."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection

from PIL import Image

from minigemini.generation.generation_record import GenerationRecord, save_png
from minigemini.media import open_header
from minigemini.serving.http.errors import ApiError
from minigemini.serving.http.fetch_picture import fetch_picture

MAX_PIXELS = 64_000_000
"""Of all the pictures of one request: a picture of one colour can be small as a file and fill the memory when it is opened."""


class Pictures:
    """The files of the pictures in one request. Their headers are checked here, their pixels when they are opened.

    Args:
        hosts: from which they may be fetched.
    """

    def __init__(self, hosts: Collection[str] = ()) -> None:
        self.hosts = hosts
        self.pixels = 0

    def at(self, url: str, param: str) -> bytes:
        """The file in a ``data:`` URL, or at another one of ``hosts``.

        Raises:
            ApiError: it is not base64, as of :func:`fetch_picture`, and as of :meth:`checked`.
        """
        if not url.startswith("data:"):
            if not self.hosts:
                raise ApiError(
                    400,
                    f"{param}: this server fetches no pictures; send it as data:image/png;base64,...",
                    param=param,
                    code="unsupported_image_url",
                )
            return self.checked(fetch_picture(url, self.hosts, param), param)
        head, _, text = url.partition(",")
        kind, *rest = head.removeprefix("data:").split(";")
        if not kind.startswith("image/") or rest[-1:] != ["base64"]:
            raise ApiError(400, f"{param}: expected data:image/...;base64,..., got {head[:60]!r}", param=param)
        return self.in_base64(text, param)

    def in_base64(self, text: str, param: str) -> bytes:
        """
        Raises:
            ApiError: it is not base64, and as of :meth:`checked`.
        """
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise ApiError(400, f"{param}: not base64 ({error})", param=param) from error
        return self.checked(data, param)

    def checked(self, data: bytes, param: str) -> bytes:
        """
        Raises:
            ApiError: it is no picture, or one beyond the limits, alone or with those before.
        """
        try:
            with open_header(data, param, MAX_PIXELS) as image:
                self.pixels += image.width * image.height
        except ValueError as error:
            raise ApiError(400, str(error), param=param, code="invalid_image") from error
        if self.pixels > MAX_PIXELS:
            raise ApiError(400, f"the pictures have more than {MAX_PIXELS:,} pixels together", param=param)
        return data


def png(image: Image.Image, record: GenerationRecord | None) -> bytes:
    """With what made it inside, if it is done."""
    file = io.BytesIO()
    if record is None:
        image.save(file, format="PNG")
    else:
        save_png(image, record, file)
    return file.getvalue()


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{as_base64(data)}"
