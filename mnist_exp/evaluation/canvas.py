"""Draw the pictures of a run with Pillow: text, lines, points and bars in axes with ticks.

Matplotlib takes 0.18 s of CPU time for the three pictures of a run, most of it for its text, and 0.25 s to be imported;
this takes 0.03 s (benchmarks/around.py). The pictures of sweeps and reports, of which there are few, are matplotlib's.
"""

import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mnist_exp.errors import printable

Colour = str | tuple[int, int, int]
# What a legend says, its colour, and the sign before it.
Entry = tuple[str, Colour, Literal["curve", "dashes", "dot", "bar"]]

DPI = 100
BLUE, ORANGE, GREY, GRID = "#1f77b4", "#ff7f0e", "#808080", "#e7e7e7"
_LONGEST_LINE = 200  # characters: no picture is wider
_FINER = 4  # times as many pixels a side, of which the mean is taken, where a line is not along the pixels


class Canvas:
    """A picture to draw on; positions are pixels from its upper left corner.

    Args:
        width: in pixels.
        height: in pixels.
        is_grey: whether nothing on it has a colour, which makes the file small.

    Attributes:
        image: of Pillow.
        texts: what was written on it.
    """

    def __init__(self, width: float, height: float, *, is_grey: bool = False) -> None:
        self.image = Image.new("L" if is_grey else "RGB", (round(width), round(height)), "white")
        self.texts: list[str] = []
        self._draw = ImageDraw.Draw(self.image)

    def text(
        self, x: float, y: float, words: str, *, points: float = 10, anchor: str = "mm", colour: Colour = "black",
        turned: int = 0,
    ) -> None:  # fmt: skip
        """Write a line.

        Args:
            x: of the anchor.
            y: of the anchor.
            words: the text.
            points: size of the font.
            anchor: as Pillow has it: l, m or r, then a, m, s or d; of turned text, where its box is put.
            colour: of it.
            turned: degrees, counter-clockwise.
        """
        words = printable(words)
        self.texts.append(words)
        if not turned:
            self._draw.text((x, y), words, colour, _font(points), anchor=anchor)
            return
        left, top, right, bottom = _font(points).getbbox(words)
        mask = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
        ImageDraw.Draw(mask).text((1 - left, 1 - top), words, 255, _font(points))
        mask = mask.rotate(turned, Image.Resampling.BICUBIC, expand=True)
        shares = {"l": 0.0, "a": 0.0, "m": 0.5, "r": 1.0, "d": 1.0, "s": 1.0}
        at = (round(x - shares[anchor[0]] * mask.width), round(y - shares[anchor[1]] * mask.height))
        self.image.paste(colour, at, mask)

    def rectangle(
        self, left: float, top: float, right: float, bottom: float, fill: Colour | None = None,
        outline: Colour | None = None,
    ) -> None:  # fmt: skip
        """Draw a rectangle along the pixels; its right and its lower edge are in it."""
        box = [round(min(left, right)), round(min(top, bottom)), round(max(left, right)), round(max(top, bottom))]
        self._draw.rectangle(box, fill, outline)

    def smooth(
        self, box: tuple[float, float, float, float], draw: Callable[[ImageDraw.ImageDraw, Any], None], colour: Colour
    ) -> None:
        """Draw what is not along the pixels.

        Args:
            box: left, upper, right and lower end of it; what lies outside the picture is left out.
            draw: gets what to draw on, white on black, and a function from positions to its own.
            colour: of it.
        """
        left, top = max(int(box[0]) - 1, 0), max(int(box[1]) - 1, 0)
        right, bottom = min(int(box[2]) + 2, self.image.width), min(int(box[3]) + 2, self.image.height)
        if right <= left or bottom <= top:
            return
        mask = Image.new("L", ((right - left) * _FINER, (bottom - top) * _FINER))

        def finer(places: Any) -> list[tuple[float, float]]:
            # The middle of a pixel is where it is drawn, not its corner.
            return [((x - left + 0.5) * _FINER, (y - top + 0.5) * _FINER) for x, y in places]

        draw(ImageDraw.Draw(mask), finer)
        self.image.paste(colour, (left, top), mask.reduce(_FINER))

    def line(self, places: Sequence[tuple[float, float]], colour: Colour, width: float = 2.0) -> None:
        """Draw a line through positions, smoothly."""
        if len(places) < 2:
            return
        xs, ys = zip(*places, strict=True)
        box = (min(xs) - width, min(ys) - width, max(xs) + width, max(ys) + width)
        self.smooth(box, lambda on, at: on.line(at(places), 255, round(width * _FINER), joint="curve"), colour)

    def dashed(self, start: tuple[float, float], end: tuple[float, float], colour: Colour, dash: float = 5.0) -> None:
        """Draw a thin dashed line."""
        (x, y), (u, v) = start, end
        parts = max(1, round(((u - x) ** 2 + (v - y) ** 2) ** 0.5 / dash))
        for part in range(0, parts, 2):
            first, last = part / parts, min(part + 1.2, parts) / parts
            self.line([(x + (u - x) * s, y + (v - y) * s) for s in (first, last)], colour, 1.2)

    def dots(self, places: Sequence[tuple[float, float]], colour: Colour, radius: float) -> None:
        """Draw round points."""
        for x, y in places:
            r = radius * _FINER

            def draw(on: ImageDraw.ImageDraw, at: Any, place: tuple[float, float] = (x, y), r: float = r) -> None:
                [(u, v)] = at([place])
                on.ellipse([u - r, v - r, u + r, v + r], 255)

            self.smooth((x - radius, y - radius, x + radius, y + radius), draw, colour)

    def cloud(self, xs: Any, ys: Any, colour: tuple[int, int, int]) -> None:
        """Draw many small points, half transparent.

        Args:
            xs: positions in the picture, or not finite, which are left out, float (n,).
            ys: positions in the picture, float (n,).
            colour: red, green and blue.
        """
        is_there = np.isfinite(xs) & np.isfinite(ys)
        columns, rows = np.rint(xs[is_there]), np.rint(ys[is_there])
        if not len(columns):
            return
        left, top = max(int(columns.min()) - 1, 0), max(int(rows.min()) - 1, 0)
        right, bottom = min(int(columns.max()) + 2, self.image.width), min(int(rows.max()) + 2, self.image.height)
        pixels = np.asarray(self.image.crop((left, top, right, bottom)), np.float64)
        counts: Any = np.zeros((pixels.shape[0] + 2, pixels.shape[1] + 2))
        np.add.at(counts, (rows.astype(int) - top + 1, columns.astype(int) - left + 1), 1)
        cover: Any = np.zeros(pixels.shape[:2])
        for down, row in enumerate(((0.2, 0.6, 0.2), (0.6, 1.0, 0.6), (0.2, 0.6, 0.2))):
            for right, share in enumerate(row):
                cover += share * counts[down : down + cover.shape[0], right : right + cover.shape[1]]
        alpha = 1 - 0.5 ** cover.reshape(*cover.shape, 1)
        mixed = pixels * (1 - alpha) + np.array(colour) * alpha
        self.image.paste(Image.fromarray(np.rint(mixed).astype(np.uint8)), (left, top))

    def legend(self, entries: Sequence[Entry], left: float, top: float, points: float = 10) -> None:
        """Draw a legend; `legend_size` tells how large it is.

        Args:
            entries: words, colour and sign of each.
            left: of its box.
            top: of its box.
            points: size of the font.
        """
        width, height = legend_size([words for words, _, _ in entries], points)
        self._draw.rounded_rectangle([left, top, left + width, top + height], 3, "white", "#cccccc")
        step = height / (len(entries) + 0.3)
        for number, (words, colour, sign) in enumerate(entries):
            y = top + (number + 0.65) * step
            if sign == "bar":
                self.rectangle(left + 8, y - 4, left + 34, y + 4, colour)
            elif sign == "dashes":
                self.dashed((left + 8, y), (left + 34, y), colour)
            elif sign == "curve":
                self.line([(left + 8, y), (left + 34, y)], colour)
            if sign in ("curve", "dot"):
                self.dots([(left + 21, y)], colour, 2.2 if sign == "curve" else 2.8)
            self.text(left + 44, y, words, points=points, anchor="lm")

    def save(self, file: Path) -> None:
        """Write it as PNG."""
        self.image.save(file, "PNG", compress_level=1)  # Takes half the time, for a fifth more bytes.


def legend_size(words: Sequence[str], points: float = 10) -> tuple[int, int]:
    """Return width and height of a legend, in pixels."""
    wide = max(text_width(each, points) for each in words)
    return round(wide + 54), round((len(words) + 0.3) * points * 1.5 * DPI / 72)


def text_width(words: str, points: float = 10) -> float:
    """Return how wide a line of text is, in pixels."""
    return float(_font(points).getlength(printable(words)))


def fitted(words: str, width: float, points: float = 10) -> str:
    """Return a line of text, cut so that it is at most so many pixels wide."""
    if text_width(words[:_LONGEST_LINE], points) <= width and len(words) <= _LONGEST_LINE:
        return words
    kept = words[:_LONGEST_LINE]
    while kept and text_width(f"{kept}…", points) > width:
        kept = kept[:-1]
    return f"{kept}…"


def pixels(inches: float) -> float:
    """Return a length in pixels."""
    return inches * DPI


@functools.lru_cache(maxsize=16)
def _font(points: float) -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans, which matplotlib brings, without importing that."""
    found = importlib.util.find_spec("matplotlib")
    assert found is not None and found.origin is not None
    file = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(file), points * DPI / 72, layout_engine=ImageFont.Layout.BASIC)
