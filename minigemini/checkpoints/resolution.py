"""A checkpoint at another resolution: mining and projector have the same weights at any, so the change is one of numbers.

The original's HD models are so made of those at 768 pixels, from the first stage's weights to the second's: 1536 pixels, a grid of 2 and
the whole picture beside it.
"""

from dataclasses import dataclass
from typing import Any

from minigemini.model.configuration_minigemini import MiniGeminiConfig
from minigemini.model.processing_minigemini import MiniGeminiProcessor


@dataclass(frozen=True)
class Resolution:
    """
    Attributes:
        high_res_image_size: side in pixels of the squared image, as in ``NewModel``.
        image_grid, image_global: as in [`MiniGeminiConfig`].
    """

    high_res_image_size: int
    image_grid: int = 1
    image_global: bool = False


def resolution_of(folder: str) -> Resolution | None:
    """That of a checkpoint or an adapter; none where it has no tower of high resolution."""
    config = MiniGeminiConfig.from_pretrained(folder)
    tower = config.high_res_vision_config
    return tower and Resolution(tower.image_size, config.image_grid, config.image_global)


def configuration_at(folder: str, resolution: Resolution) -> MiniGeminiConfig:
    """The configuration of a checkpoint, at this resolution.

    Raises:
        ValueError: towers and sizes do not fit each other.
    """
    values: dict[str, Any] = MiniGeminiConfig.from_pretrained(folder).to_dict()
    if values["high_res_vision_config"] is not None:
        values["high_res_vision_config"]["image_size"] = resolution.high_res_image_size
    values |= {"image_grid": resolution.image_grid, "image_global": resolution.image_global}
    return MiniGeminiConfig.from_dict(values)


def set_resolution(processor: MiniGeminiProcessor, resolution: Resolution) -> None:
    """Have the processor make pictures of this resolution."""
    pictures: Any = processor.image_processor
    pictures.high_res_size = resolution.high_res_image_size
    pictures.image_grid, pictures.image_global = resolution.image_grid, resolution.image_global
