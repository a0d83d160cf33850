"""What of its pictures a model is given: all of it, or less, to see what the rest is worth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from minigemini.benchmarks.benchmark import Example
from minigemini.conversation import with_images


@dataclass(frozen=True)
class View:
    """
    Attributes:
        name: of the run and of its folder.
        pictures: whether the model is shown the pictures at all; if not, it has the words.
        mining: whether the high-resolution pictures are made and mined. If not, the tokens are those of the low-resolution tower.
        blank: the high-resolution pictures are all of the one grey that is zero after normalisation: mining runs and finds nothing.
        high_res_size: side of the high-resolution pictures, in pixels; the model's own by default. The low-resolution ones
            are shrunk from them.
    """

    name: str
    pictures: bool = True
    mining: bool = True
    blank: bool = False
    high_res_size: int | None = None

    def of(self, example: Example) -> Example:
        """The example as it is asked in this view."""
        return example if self.pictures else without_images(example)

    @property
    def folder(self) -> str:
        return self.name.replace(" ", "-")

    def settings(self) -> dict[str, Any]:
        """What the predictions depend on; not the name."""
        return {name: value for name, value in vars(self).items() if name != "name"}

    def processor_kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = {} if self.mining else {"do_high_res": False}
        return kwargs if self.high_res_size is None else {**kwargs, "high_res_size": self.high_res_size}

    def inputs(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The processor's tensors as the model gets them."""
        given = dict(inputs)
        if self.blank and "high_res_pixel_values" in given:
            given["high_res_pixel_values"] = 0 * given["high_res_pixel_values"]
        return given


FULL = View("model")
BLIND = View("blind", pictures=False)


def without_images(example: Example) -> Example:
    """The same example for the blind control: the words, and no picture."""
    return replace(example, messages=with_images(example.messages, lambda image: None))
