"""Read one image file, of any format that Pillow reads as an image, into bytes of the wanted size and colours."""

import contextlib
import io
import os
import struct
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnist_exp.data import pixels
from mnist_exp.data.lazy import Array
from mnist_exp.data.pixels import SIXTEEN_BITS, Range, Survey
from mnist_exp.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF")
SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".avif",
}  # fmt: skip
_MAY_BE_DEEP = {".png", ".tif", ".tiff", ".pgm", ".ppm"}
MAX_PIXELS = 50_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_SMALL = 16_000  # bytes
_ORIENTATION = 0x0112  # of EXIF


@dataclass(frozen=True)
class Picture:
    """An image file, read.

    Args:
        pixels: uint8 (height, width, channels), upright.
        size: its own height and width.
        is_animated: whether there are more pictures in it than the first.
        is_coloured: whether it lost colours as it became grey; it is looked at only if that is asked for.
        depth: the values that became 0 and 255, where it has more than 8 bits a pixel; else None.
    """

    pixels: Array
    size: tuple[int, int]
    is_animated: bool = False
    is_coloured: bool = False
    depth: Range | None = None


def read_image(
    source: Path | bytes,
    *,
    size: tuple[int, int] | None,
    channels: int,
    what: str = "",
    paper: str = "white",
    depth: Range | None = None,
) -> Array:
    """Return one image as uint8, shape (height, width, channels), upright, its transparent parts filled.

    Args:
        source: a file, or what one holds.
        size: height and width to which it is scaled; None keeps its own.
        channels: 1 for grey, 3 for colour, 4 for colour with its transparency.
        what: it is called in an error; empty for the file's path.
        paper: white, or contrast: black under light ink.
        depth: the values of black and white of a file with more than 8 bits a pixel; None measures them.
    Raises: DataError: it is not an image, is cut off, or is larger than MAX_PIXELS.
    """
    return read_picture(source, size=size, channels=channels, what=what, paper=paper, depth=depth).pixels


def read_picture(
    source: Path | bytes,
    *,
    size: tuple[int, int] | None,
    channels: int,
    what: str = "",
    paper: str = "white",
    depth: Range | None = None,
    look_for_colour: bool = False,
) -> Picture:
    """Return one image and what was seen of it.

    Args:
        source: as for `read_image`, as are those up to `depth`.
        size: see there.
        channels: see there.
        what: see there.
        paper: see there.
        depth: see there.
        look_for_colour: whether to tell if an image that becomes grey was none.
    Raises: DataError: as there.
    """
    if channels == 1 and isinstance(source, bytes) and _is_plain_png(source):
        made = _plain_png(source, what or "the image")
        return Picture(made if size is None else scale(made, size), (made.shape[0], made.shape[1]))
    from PIL import Image, UnidentifiedImageError

    what = what or (str(source) if isinstance(source, Path) else "the image")
    # Opening a named pipe would wait for ever.
    if isinstance(source, Path) and not os.path.isfile(source):  # noqa: PTH113  never raises
        raise DataError(f"{what} is no file")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images, of odd metadata, of transparency; what matters is checked here.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_formats()) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{what} has {image.width}×{image.height} pixels; at most {MAX_PIXELS:,} are read")
                is_animated = bool(getattr(image, "is_animated", False))
                loaded, found = _eight_bits(image, depth)
                is_coloured = look_for_colour and channels == 1 and _is_coloured(loaded)
                made = np.asarray(_converted(loaded, channels, paper), np.uint8)
    except UnidentifiedImageError as error:
        raise DataError(f"{what} is not an image that can be read") from error
    except DataError as error:
        raise error if what in str(error) else DataError(f"{what} {error}") from error
    except Exception as error:  # Pillow says by all kinds of exceptions what is damaged, struct.error and KeyError too.
        raise DataError(f"{what} is a damaged image: {error}") from error
    made = made if made.ndim == 3 else made[..., np.newaxis]
    own = made.shape[0], made.shape[1]
    return Picture(made if size is None else scale(made, size), own, is_animated, is_coloured, found)


def survey_of_deep(source: Path | bytes, what: str = "") -> Survey | None:
    """Return the range of the values of a file if it is an image with more than 8 bits a pixel; else None.

    Args:
        source: a file, or what one holds.
        what: it is called in an error; empty for the file's path.
    Raises: DataError: it cannot be read.
    """
    if not _may_be_deep(source):
        return None
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_formats()) as image:
                if not _is_deep(image) or image.width * image.height > MAX_PIXELS:
                    return None
                return pixels.survey(np.asarray(image)[np.newaxis])
    except Exception as error:
        raise DataError(f"{what or str(source)} is a damaged image: {error}") from error


def as_png(image: Array) -> bytes:
    """Return an image, uint8 (height, width, 1 or 3), as a PNG file that is written quickly and not made small."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "PNG", compress_level=0)
    return file.getvalue()


def scale(image: Array, size: tuple[int, int]) -> Array:
    """Return an image, uint8 (height, width, channels), at another height and width."""
    from PIL import Image

    if image.shape[:2] == size:
        return image
    flat = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    scaled = np.asarray(flat.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return scaled.reshape(*size, image.shape[2])


@cache
def _formats() -> list[str]:
    """Return the formats that are read; not each build of Pillow has all."""
    from PIL import Image

    Image.init()
    return [each for each in _FORMATS if each in Image.OPEN]


def _is_plain_png(content: bytes) -> bool:
    """Tell whether a small file is a PNG with 8 bits of grey, and nothing in it that changes how it looks.

    Tables of images hold tens of thousands of these, and what is looked at in others would take a third of the time.
    """
    if len(content) > _SMALL or content[:8] != _PNG or content[24:26] != b"\x08\x00":
        return False
    return not any(kind in content for kind in (b"eXIf", b"tRNS", b"acTL", b"iTXt", b"zTXt", b"tEXt"))


def _plain_png(content: bytes, what: str) -> Array:
    from PIL import Image

    width, height = struct.unpack_from(">II", content, 16)
    if width * height > MAX_PIXELS:
        raise DataError(f"{what} has {width}×{height} pixels; at most {MAX_PIXELS:,} are read")
    try:
        return np.asarray(Image.open(io.BytesIO(content), formats=("PNG",)))[..., np.newaxis]
    except Exception as error:
        raise DataError(f"{what} is a damaged image: {error}") from error


def _may_be_deep(source: Path | bytes) -> bool:
    """Tell by its first bytes whether a file may have more than 8 bits a pixel; Pillow makes bytes of all others.

    That are TIFF, PGM and PPM, and PNG with 16 bits of grey alone.
    """
    head = b""
    if isinstance(source, bytes):
        head = source[:26]
    elif source.suffix.lower() in _MAY_BE_DEEP:
        with contextlib.suppress(OSError), source.open("rb") as file:
            head = file.read(26)
    if head[:4] == b"\x89PNG":
        return head[24:26] == b"\x10\x00"
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") or head[:2] in (b"P5", b"P2", b"P6", b"P3")


def _is_deep(image: "Image.Image") -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def _eight_bits(image: "Image.Image", depth: Range | None) -> "tuple[Image.Image, Range | None]":
    """Return an image with 8 bits a pixel, upright, and the values that became 0 and 255, if it had more."""
    # Imports stand where they are needed: this is called for every image, and they would be a tenth of the time.
    if image.mode == "CMYK":
        _invert_if_inverted(image)
    if image.getexif().get(_ORIENTATION, 1) != 1:
        from PIL import ImageOps

        ImageOps.exif_transpose(image, in_place=True)
    if not _is_deep(image):
        return image, None
    from PIL import Image

    values = np.asarray(image)
    if depth is None:
        found = pixels.survey(values[np.newaxis])
        if found.bad is not None:
            raise DataError("has values that are no finite numbers")
        depth = pixels.said(found)
    elif not np.isfinite(values).all():
        raise DataError("has values that are no finite numbers")
    if depth == SIXTEEN_BITS:
        made = (values.astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
    else:
        black, white = depth
        made = np.clip(np.rint((values.astype(np.float64) - black) * (255 / (white - black))), 0, 255).astype(np.uint8)
    return Image.fromarray(made), depth


def _invert_if_inverted(image: "Image.Image") -> None:
    """Undo what Pillow does to the colours of a JPEG in CMYK that is not of Adobe's.

    Adobe's programs write these inverted, and say so by a marker. Pillow 13 inverts all, those of others, too.
    """
    from PIL import Image

    if image.format == "JPEG" and "adobe" not in image.info:
        image.load()
        image.paste(Image.eval(image, lambda value: 255 - value))


def _is_coloured(image: "Image.Image") -> bool:
    if image.mode in ("L", "1", "LA", "La"):
        return False
    found = np.asarray(image.convert("RGB"))
    return bool((found[..., 0] != found[..., 1]).any() or (found[..., 1] != found[..., 2]).any())


def _converted(image: "Image.Image", channels: int, paper: str) -> "Image.Image":
    loaded = image
    if loaded.has_transparency_data and channels != 4:
        from PIL import Image

        inked = loaded.convert("RGBA")
        is_light = paper == "contrast" and _is_light(inked)
        loaded = Image.alpha_composite(Image.new("RGBA", loaded.size, "black" if is_light else "white"), inked)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    if loaded.mode == "LAB":
        raise DataError("has colours in LAB, which Pillow does not convert: save it in red, green and blue")
    return loaded if loaded.mode == mode else loaded.convert(mode)


def _is_light(inked: "Image.Image") -> bool:
    """Tell whether the visible part of a transparent image is closer to white than to black."""
    grey, alpha = np.asarray(inked.convert("L"), np.float32), np.asarray(inked.getchannel("A"), np.float32)
    return float((grey * alpha).sum()) > 127.5 * float(alpha.sum())
