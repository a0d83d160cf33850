"""A picture of where an answer looked, for people.

from minigemini.attention.picture import attention_picture

parts = [{"type": "image", "image": Image.open("photo.jpg")}, {"type": "text", "text": "what is on the table?"}]
attention_picture(model, processor, [{"role": "user", "content": parts}]).save("looked.png")
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from minigemini.model.image_processing_minigemini import to_rgb

from .maps import ImageAttention, Square, answer_attention, cells_to_map, seen_square, share_on_picture

DPI = 150
PANEL = 480  # dots, the width of a panel
ASPECTS = (0.5, 1.6)  # height to width of a panel; a picture beyond is shown smaller in it
GAP = 30
LINE = 38  # of question and answer
TITLES = 76  # above a panel
SCALE = 62  # below it
TEXT_LINES = 3  # of a question or an answer
INK, FAINT = "#202020", "#777777"
BLUR = 0.015  # of the glow: its standard deviation as a share of the side
LINES_UP_TO = 16  # cells on a side; more lines would hide what is between them


def attention_picture(model: Any, processor: Any, messages: Sequence[dict[str, Any]]) -> Image.Image:
    """Let the model answer, greedily, and draw where it looked: see :func:`draw_attention`.

    Args:
        model, processor: a ``MiniGeminiForConditionalGeneration`` and its processor.
        messages: a conversation as for the chat template, the user's message last; image parts hold PIL images.

    Raises:
        ValueError: there is no picture in the conversation, or one that is not a PIL image; the answer has no words.
    """
    pictures_of(messages)
    inputs = processor.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    ).to(model.device, model.dtype)
    most = model.generation_config.max_new_tokens or 256
    answer = model.generate(**inputs, do_sample=False, max_new_tokens=most)[0, inputs["input_ids"].shape[1] :]
    return draw_answer(model, processor, messages, inputs, answer)


def draw_answer(
    model: Any, processor: Any, messages: Sequence[dict[str, Any]], inputs: Mapping[str, Any], answer_ids: Tensor
) -> Image.Image:
    """Draw where an answer looked that is there already.

    Args:
        messages: the conversation up to the answer.
        inputs: what the processor made of it.
        answer_ids: [A], as generated.

    Raises:
        ValueError: as :func:`attention_picture`.
    """
    pictures = pictures_of(messages)
    attentions = answer_attention(model, inputs, answer_ids)
    squares = [seen_square(picture.size, processor.image_processor) for picture in pictures]
    answer = processor.tokenizer.decode(answer_ids, skip_special_tokens=True)
    return draw_attention(attentions, pictures, squares, question_of(messages), answer)


def pictures_of(messages: Sequence[dict[str, Any]]) -> list[Image.Image]:
    """Every picture of a conversation in order, RGB.

    Raises:
        ValueError: there is none, or one is not given as a PIL image.
    """
    contents = [message["content"] for message in messages if not isinstance(message["content"], str)]
    pictures = [part.get("image") for content in contents for part in content if part["type"] == "image"]
    if not pictures:
        raise ValueError("no picture was shown, so there is nothing to look at")
    for picture in pictures:
        if not isinstance(picture, Image.Image):
            raise ValueError(f"an image part must hold a PIL image under 'image', not {type(picture).__name__}")
    return [to_rgb(picture) for picture in pictures]


def question_of(messages: Sequence[dict[str, Any]]) -> str:
    content = messages[-1]["content"]
    return content if isinstance(content, str) else " ".join(part["text"] for part in content if part["type"] == "text")


@dataclass(frozen=True)
class Panel:
    """One field of the drawing: the bare picture, or a map [S, S] over the square of it that the model saw.

    Attributes:
        top: the value with the brightest colour; ``top_label`` says how much that is.
        ground: brightness in 0..1 of the picture, in grey, below the map.
        light: [S, S] in 0..1, where the picture is seen in full colour instead; None: nowhere.
        cells: image tokens along a side, for lines between them; 0 for none.
        smooth: whether to interpolate the map, or to draw the squares that it has.
    """

    title: str
    subtitle: str
    values: np.ndarray | None = None
    top: float = 1.0
    top_label: str = ""
    colormap: str = "magma"
    ground: float = 0.35
    light: np.ndarray | None = None
    cells: int = 0
    smooth: bool = False


def draw_attention(
    attentions: Sequence[ImageAttention],
    pictures: Sequence[Image.Image],
    squares: Sequence[Square],
    question: str,
    answer: str,
) -> Image.Image:
    """Panels side by side, one row for each picture, in the picture's own geometry.

    1. The picture.
    2. Where the answer looked. What the language model attended to is lit, image token by image token; the glow is that attention
       spread over the high-resolution positions in each token's cell by the mining's. A little blurred, to be seen at all on
       large grids; one scale for all pictures.
    3. Mining: where each image token looks in its cell, whatever was asked, against even attention. The colour goes with the
       square root, else one sharp cell would darken all others.
    4. How much the high-resolution tower added to each image token.

    3 and 4 once more for the whole view behind a grid of crops; neither where nothing was mined. What the model did not see
    of a picture is pale.

    Args:
        attentions, pictures, squares: of each picture; RGB, and what the model saw of it (``maps.seen_square``).
        question, answer: written above; an ellipsis stands for what takes more than three lines.

    Returns:
        RGB, 480 dots for the width of a panel.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = panels(attentions, pictures, squares)
    width = GAP + len(rows[0]) * (PANEL + GAP)
    asked, answered = lines("Q", question, width), lines("A", answer, width)
    heights = [round(PANEL * min(max(picture.height / picture.width, ASPECTS[0]), ASPECTS[1])) for picture in pictures]
    height = 2 * GAP + (len(asked) + len(answered)) * LINE + sum(TITLES + tall + SCALE for tall in heights)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)  # no window, no global state

    def write(left: float, top: float, text: str, size: float, colour: str = FAINT, **style: Any) -> None:
        place = (left / width, 1 - top / height)
        figure.text(*place, text, fontsize=size, color=colour, va="center", parse_math=False, **style)

    def show(left: float, top: float, pixels: np.ndarray) -> Any:
        tall, wide = pixels.shape[:2]
        axes = figure.add_axes((left / width, 1 - (top + tall) / height, wide / width, tall / height))
        axes.imshow(pixels, aspect="auto", extent=(0, wide, tall, 0))
        axes.set_axis_off()
        return axes

    top = GAP
    for number, line in enumerate([*asked, *answered]):
        write(GAP, top + LINE / 2, line, 13, INK, weight="bold" if number >= len(asked) else "normal")
        top += LINE
    for row, picture, square, tall in zip(rows, pictures, squares, heights, strict=True):
        zoom = min(PANEL / picture.width, tall / picture.height)
        size = max(1, round(picture.width * zoom)), max(1, round(picture.height * zoom))
        for column, panel in enumerate(row):
            left, bottom = GAP + column * (PANEL + GAP), top + TITLES + tall
            write(left, top + 0.42 * TITLES, panel.title, 11.5, INK)
            write(left, top + 0.78 * TITLES, panel.subtitle, 8.5)
            axes = show(left, top + TITLES, shaded(picture, panel, square, size))
            if panel.cells <= LINES_UP_TO:
                draw_lines(axes, panel.cells, [edge * zoom for edge in square])
            if panel.values is not None:
                strip = np.tile(np.linspace(0, 1, PANEL), (12, 1))
                show(left, bottom + 12, glowing(np.full((12, PANEL, 3), 0.7 * panel.ground), strip, panel.colormap))
                write(left, bottom + 38, "0", 8)
                write(left + PANEL, bottom + 38, panel.top_label, 8, ha="right")
        top += TITLES + tall + SCALE
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # a box stands for it
        canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def panels(
    attentions: Sequence[ImageAttention], pictures: Sequence[Image.Image], squares: Sequence[Square]
) -> list[list[Panel]]:
    """What to draw of each picture."""
    glows = [blurred(attention.positions()) for attention in attentions]
    lights = [blurred(attention.cells()) for attention in attentions]
    top, brightest = max(float(glow.max()) for glow in glows), max(float(light.max()) for light in lights)
    rows = []
    for attention, picture, square, glow, light in zip(attentions, pictures, squares, glows, lights, strict=True):
        share, on_it = attention.share(), share_on_picture(attention.positions(), square, picture.size)
        looked = f"{share * on_it:.0%} of its attention is here"
        if on_it < 0.995:
            looked += f", {share * (1 - on_it):.0%} on the padding"
        row = [
            Panel("the picture", f"{picture.width} x {picture.height} pixels"),
            Panel("where the answer looked", looked, glow, top, "most", light=light / brightest, smooth=True),
        ]
        views = {"": attention.crops}
        if attention.whole is not None:
            views = {" of the crops": attention.crops, " of the whole view": attention.whole}
        for name, view in views.items():
            if view.mining is not None and view.residual_norms is not None:
                row += view_panels(view.mining, view.residual_norms, name)
        rows.append(row)
    return rows


def view_panels(mining: np.ndarray, residual_norms: np.ndarray, name: str) -> list[Panel]:
    """Mining [s, s, P, P] and residual norms [s, s] of one view."""
    uneven = cells_to_map(mining) * mining[0, 0].size
    most, added = float(uneven.max()), float(residual_norms.max())
    mined = Panel(
        "mining",
        f"where each token{name} looks in its cell",
        np.sqrt(uneven),
        most**0.5,
        f"{most:.1f} times even attention",
        cells=len(residual_norms),
    )
    norms = Panel(
        "what the high resolution added",
        f"to each token{name}",
        residual_norms,
        added,
        f"|mined| = {added:.2f} |token|",
        colormap="viridis",
        ground=0.9,
        cells=len(residual_norms),
    )
    return [mined, norms]


def blurred(values: np.ndarray) -> np.ndarray:
    """[S, S] -> [S, S] or finer, blurred by :data:`BLUR` of the side. What is even stays even."""
    finer = np.kron(values, np.ones((4, 4))) if len(values) < 100 else values
    place = np.arange(len(finer)) / len(finer)
    weights = np.exp(-0.5 * ((place[:, None] - place) / BLUR) ** 2)
    weights /= weights.sum(1, keepdims=True)
    return weights @ finer @ weights.T


def draw_lines(axes: Any, cells: int, square: Sequence[float]) -> None:
    """Thin lines between the cells of a square."""
    left, top, right, bottom = square
    axes.autoscale(False)
    for share in np.arange(1, cells) / max(cells, 1):
        axes.axvline(left + share * (right - left), color="white", alpha=0.3, linewidth=0.5)
        axes.axhline(top + share * (bottom - top), color="white", alpha=0.3, linewidth=0.5)


def shaded(picture: Image.Image, panel: Panel, square: Square, size: tuple[int, int]) -> np.ndarray:
    """The picture under a panel's map: [height, width, 3] in 0..1."""
    few = size[0] > 2 * picture.width  # pictures of few pixels stay crisp
    below = np.asarray(picture.resize(size, Image.Resampling.NEAREST if few else Image.Resampling.LANCZOS)) / 255
    if panel.values is None:
        return below
    grey = (below @ (0.299, 0.587, 0.114))[..., None]
    values = on_picture(panel.values / panel.top, square, picture.size, size, panel.smooth)
    lit = np.zeros((1, 1))
    if panel.light is not None:
        lit = np.nan_to_num(on_picture(panel.light, square, picture.size, size, panel.smooth)).clip(0, 1)
    ground = lit[..., None] * below + (1 - lit[..., None]) * panel.ground * grey
    drawn = glowing(ground, np.nan_to_num(values).clip(0, 1), panel.colormap)
    return np.where(np.isnan(values)[..., None], 0.75 + 0.25 * grey, drawn)


def glowing(ground: np.ndarray, values: np.ndarray, colormap: str) -> np.ndarray:
    """Colours of ``values`` [h, w] in 0..1 over a ground [h, w, 3]; small values let it through."""
    from matplotlib import colormaps

    opaque = (2 * values[..., None]).clip(0, 0.8)
    return (1 - opaque) * ground + opaque * colormaps[colormap](values)[..., :3]


def on_picture(
    values: np.ndarray, square: Square, size: tuple[int, int], raster: tuple[int, int], smooth: bool
) -> np.ndarray:
    """A map over a square -> [height, width] of ``raster``, which shows the picture; NaN outside of the square.

    Args:
        values: [S, S].
        square: what the map covers, in pixels of the picture.
        size, raster: width and height of the picture, and of the result.
    """
    (left, top, right, bottom), side = square, len(values)
    # A place on the raster -> on the picture -> on the map.
    across, down = size[0] / raster[0] / (right - left) * side, size[1] / raster[1] / (bottom - top) * side
    x0, y0 = -left / (right - left) * side, -top / (bottom - top) * side
    x, y = (np.arange(raster[0]) + 0.5) * across + x0, (np.arange(raster[1]) + 0.5) * down + y0
    inside = ((y >= 0) & (y < side))[:, None] & ((x >= 0) & (x < side))
    drawn = Image.fromarray(values.astype(np.float32)).transform(
        raster,
        Image.Transform.AFFINE,
        (across, 0, x0, 0, down, y0),
        Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST,
    )
    return np.where(inside, np.asarray(drawn), np.nan)


def lines(speaker: str, text: str, width: int) -> list[str]:
    """Text as lines for a figure of ``width`` dots."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.wrap(f"{speaker}  {printable.strip()}", width // 18, max_lines=TEXT_LINES, placeholder=" ...")
