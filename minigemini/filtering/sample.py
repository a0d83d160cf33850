"""A record as rules look at it: what is opened is opened once, and only if a rule asks for it."""

from functools import cached_property

from PIL import Image

from minigemini.data.records import Picture, Record
from minigemini.media import BROKEN, open_header, open_image

ORIENTATION = 0x0112  # of EXIF; from 5 on the picture lies on its side
ON_ITS_SIDE = 5


class Sample:
    """
    Attributes:
        record: who said what, and the pictures.
    """

    def __init__(self, record: Record) -> None:
        self.record = record

    @cached_property
    def answers(self) -> str:
        """What is learnt: all that the assistant says, a message a line."""
        return "\n".join(message.text for message in self.record.messages if message.role == "assistant")

    @cached_property
    def text(self) -> str:
        """All that is said, a message a line."""
        return "\n".join(message.text for message in self.record.messages if message.text)

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each picture in pixels, upright; read from the head of the file.

        Raises:
            ValueError: as of :func:`minigemini.media.open_image`; the picture's name is in it.
        """
        return [size_of(picture) for picture in self.record.images]

    @cached_property
    def pictures(self) -> list[Image.Image]:
        """Decoded; errors as of ``sizes``."""
        return [open_image(picture, name_of(picture)) for picture in self.record.images]


def size_of(picture: Picture) -> tuple[int, int]:
    with open_header(picture, name_of(picture)) as image:
        width, height = image.size
        try:
            # as the base class has it: that of PNG decodes the whole picture, to look for what may stand at its end
            turned = Image.Image.getexif(image).get(ORIENTATION, 1) >= ON_ITS_SIDE
        except BROKEN as error:
            raise ValueError(f"{name_of(picture)}: a broken picture ({error})") from error
    return (height, width) if turned else (width, height)


def name_of(picture: Picture) -> str:
    return "(inside the data file)" if isinstance(picture, bytes) else picture
