"""Read a folder of images by class: one subfolder a class, any format that Pillow reads as an image."""

import contextlib
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnist_exp.config.wording import show
from mnist_exp.data.dataset import Array, Pair
from mnist_exp.data.readers import check_memory
from mnist_exp.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
MAX_PIXELS = 50_000_000


@dataclass(frozen=True)
class Listing:
    """The images of a folder that has one subfolder a class; none of them is read yet.

    Args:
        folder: that was listed.
        names: of the classes, the subfolders, sorted.
        files: paths below the folder, in the bytes of the file system; class by class, sorted.
        labels: int64 (n,).
    """

    folder: Path
    names: tuple[str, ...]
    files: Array
    labels: Array

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def path(self, position: int) -> Path:
        """Return the path of an image."""
        return self.folder / os.fsdecode(self.files[position])

    @property
    def problems(self) -> list[str]:
        """A sentence for each class without an image."""
        kinds = ", ".join(sorted(SUFFIXES))
        empty = np.flatnonzero(np.bincount(self.labels, minlength=len(self.names)) == 0)
        return [f"{self.folder / self.names[label]} has no image ({kinds})" for label in empty]


def list_folder(folder: Path) -> Listing:
    """Return the images of a folder with one subfolder a class. Raises: DataError: it has fewer than two."""
    names = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if len(names) < 2:
        raise DataError(f"{folder} has {len(names)} subfolders; it needs one for each class, at least two")
    found = [(f"{name}/{file.name}", label) for label, name in enumerate(names) for file in _images(folder / name)]
    files = np.array([os.fsencode(path) for path, _ in found], np.bytes_)
    return Listing(folder, names, files, np.array([label for _, label in found], np.int64))


def shape_of_first(listing: Listing, *, size: tuple[int, int] | None, channels: int) -> tuple[int, int, int] | None:
    """Return height, width and channels of the first good image, once it is scaled; None if there is none."""
    for position in range(len(listing)):
        with contextlib.suppress(DataError):
            height, width, _ = read_image(listing.path(position), size=size, channels=channels).shape
            return height, width, channels
    return None


def read_folder(listing: Listing, *, size: tuple[int, int] | None, channels: int) -> Pair:
    """Return the images and labels of a folder.

    Args:
        listing: of the folder.
        size: height and width to which every image is scaled; None takes the first image's.
        channels: 1 for grey, 3 for colour.
    Returns: uint8 images (n, height, width, channels) and labels (n,).
    Raises: DataError: naming every file that is not a good image, and every class without one.
    """
    problems = listing.problems
    pixels: list[Array] = []
    for position in range(len(listing)):
        try:
            image = read_image(listing.path(position), size=size, channels=channels)
        except DataError as error:
            problems.append(str(error))
            continue
        if not pixels:
            check_memory(listing.folder, image.nbytes * len(listing))
        size = size or image.shape[:2]
        pixels.append(image)
    if problems:
        raise DataError(problems)
    return np.stack(pixels), listing.labels


def unread_files(folder: Path, parts: Sequence[str] = ()) -> tuple[str, ...]:
    """Return a sentence for each kind of files and folders that lie in a folder of images and are not read.

    Args:
        folder: as `read_folder` has read it.
        parts: those of its folders that hold the folders of the classes; none if it holds these itself.
    """
    beside = [each for each in _visible(folder) if each.name not in parts] if parts else []
    of_classes = [each for part in parts or ("",) for each in _visible(folder / part)]
    loose = [each for each in of_classes if not each.is_dir()]
    within = [each for name in of_classes if name.is_dir() for each in _visible(name)]
    deeper = [each for each in within if each.is_dir()]
    other = [each for each in within if not each.is_dir() and each.suffix.lower() not in SUFFIXES]
    kinds = {
        f"beside {' and '.join(parts)}": beside,
        "in no folder of a class": loose,
        "folders within that of a class": deeper,
        f"names that do not end in one of {', '.join(sorted(SUFFIXES))}": other,
    }
    return tuple(
        f"{folder} holds more than is read: {_some(found, folder)} ({why})" for why, found in kinds.items() if found
    )


def _visible(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if not each.name.startswith("."))


def _some(found: Sequence[Path], folder: Path) -> str:
    shown = ", ".join(show(str(each.relative_to(folder))) for each in found[:3])
    return shown + (f" and {len(found) - 3:,} more" if len(found) > 3 else "")


def read_image(
    source: Path | bytes, *, size: tuple[int, int] | None, channels: int, what: str = "", paper: str = "white"
) -> Array:
    """Return one image as uint8, shape (height, width, channels), upright, its transparent parts filled.

    Args:
        source: a file, or what one holds.
        size: height and width to which it is scaled; None keeps its own.
        channels: 1 for grey, 3 for colour, 4 for colour with its transparency.
        what: it is called in an error; empty for the file's path.
        paper: white, or contrast: black under light ink.
    Raises: DataError: it is not an image, is cut off, or is larger than MAX_PIXELS.
    """
    from PIL import Image, UnidentifiedImageError

    what = what or (str(source) if isinstance(source, Path) else "the image")
    # Opening a named pipe would wait for ever.
    if isinstance(source, Path) and not os.path.isfile(source):  # noqa: PTH113  never raises
        raise DataError(f"{what} is no file")
    try:
        with warnings.catch_warnings():
            # Pillow warns of large images, of odd metadata, of transparency; what matters is checked here.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"{what} has {image.width}×{image.height} pixels; at most {MAX_PIXELS:,} are read")
                loaded = _converted(image, channels, paper)
    except UnidentifiedImageError as error:
        raise DataError(f"{what} is not an image that can be read") from error
    except DataError:
        raise
    except Exception as error:  # Pillow says by all kinds of exceptions what is damaged, struct.error and KeyError too.
        raise DataError(f"{what} is a damaged image: {error}") from error
    pixels = np.asarray(loaded, np.uint8)
    pixels = pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
    return pixels if size is None else scale(pixels, size)


def as_png(pixels: Array) -> bytes:
    """Return an image, uint8 (height, width, 1 or 3), as a PNG file that is written quickly and not made small."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def scale(pixels: Array, size: tuple[int, int]) -> Array:
    """Return an image, uint8 (height, width, channels), at another height and width."""
    from PIL import Image

    if pixels.shape[:2] == size:
        return pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    scaled = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    return scaled.reshape(*size, pixels.shape[2])


def _converted(image: "Image.Image", channels: int, paper: str) -> "Image.Image":
    from PIL import Image, ImageOps

    # In place, and not converted to what it is already: both would copy it, a tenth of the time.
    ImageOps.exif_transpose(image, in_place=True)
    loaded: Image.Image = image
    # Pillow cuts 16 bits a pixel off at 255 rather than scaling them.
    if image.mode.startswith("I"):
        loaded = Image.fromarray((np.asarray(loaded) >> 8).astype(np.uint8))
    if loaded.has_transparency_data and channels != 4:
        inked = loaded.convert("RGBA")
        is_light = paper == "contrast" and _is_light(inked)
        loaded = Image.alpha_composite(Image.new("RGBA", loaded.size, "black" if is_light else "white"), inked)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    return loaded if loaded.mode == mode else loaded.convert(mode)


def _is_light(inked: "Image.Image") -> bool:
    """Tell whether the visible part of a transparent image is closer to white than to black."""
    grey, alpha = np.asarray(inked.convert("L"), np.float32), np.asarray(inked.getchannel("A"), np.float32)
    return float((grey * alpha).sum()) > 127.5 * float(alpha.sum())


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
