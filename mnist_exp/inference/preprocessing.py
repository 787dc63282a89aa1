"""Prepare any image for a model, alike to those that it was trained on: in MNIST's style, or just scaled."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.data import pixels
from mnist_exp.data.appearance import Appearance, Ink
from mnist_exp.data.dataset import Array
from mnist_exp.data.images.files import read_image
from mnist_exp.data.pixels import BYTES, Range, are_pictures
from mnist_exp.errors import SettingsError
from mnist_exp.inference import pixel_record
from mnist_exp.tasks.task import Task
from mnist_exp.tracking import names

if TYPE_CHECKING:
    import keras

    from mnist_exp.inference.mnist_style import Prepared
    from mnist_exp.numpy_model.model import NumpyModel
    from mnist_exp.tracking.runs import StoredRun

MNIST, PLAIN = "mnist", "plain"
WAYS = ("auto", MNIST, PLAIN)
_DIGITS = ("mnist", "mnist_5k")  # of older runs, which did not record how their images look
_LIGHT_ON_DARK = (*_DIGITS, "fashion_mnist")
NO_NUMBER = "the model answers with NaN: its training diverged"
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Reader:
    """Prepares images for one model.

    Args:
        shape: height, width and channels that the model takes.
        way: mnist or plain.
        ink: light if it was trained on light drawings on dark, dark for dark ones on light; drawings of the other kind
            are then inverted. None for neither, as of photographs: no image is inverted.
        box: side of the box that drawings in MNIST's style lie in, in shares of the image's; None for MNIST's own.
        pixel_range: the raw values of black and white that the model takes.
        depth: those of image files with more than 8 bits a pixel, as it was trained on; None measures them.
    """

    shape: Shape
    way: str
    ink: Ink | None
    box: float | None = None
    pixel_range: Range = BYTES
    depth: Range | None = None

    def raw(self, images: Array) -> Array:
        """Return prepared images, uint8 (n, height, width, channels), as the model takes them."""
        found: Array = pixels.converted(images, BYTES, self.pixel_range)
        return found

    def read(self, source: Path | bytes, what: str = "") -> "Prepared":
        """Return the prepared image of a file, or of the bytes of one, with pixels of 0 to 255.

        Args:
            source: the file.
            what: its name in errors; empty for its path.
        Raises: DataError: it is no good image, or nothing is drawn on it.
        """
        grey_or_colour = self.shape[2] if self._is_unchanged else 3
        paper = "white" if self._is_unchanged else "contrast"
        image = read_image(source, size=None, channels=grey_or_colour, what=what, paper=paper, depth=self.depth)
        return self.prepared(image)

    def prepared(self, image: Array) -> "Prepared":
        """Return the prepared image of pixels of 0 to 255, uint8 (height, width, channels).

        Raises: DataError: nothing is drawn on it.
        """
        from mnist_exp.inference import mnist_style

        if self._is_unchanged:
            return mnist_style.unchanged(image, self.shape)
        known = self.ink or "light"
        if self.way == PLAIN:
            return mnist_style.plain(image, self.shape, known)
        return mnist_style.as_mnist(image, self.shape, known, self.box or mnist_style.BOX)

    @property
    def _is_unchanged(self) -> bool:
        """Whether images are just scaled, as the data set `image_folder` reads what it trains on."""
        return self.ink is None and self.way == PLAIN


def reader(run: "StoredRun", shape: Shape, way: str = "auto") -> Reader:
    """Return the reader for a run's model.

    Args:
        run: how the images that it was trained on look decides the way.
        shape: height, width and channels that the model takes.
        way: auto, mnist or plain; auto takes mnist for a model that was trained on drawings in MNIST's style.
    """
    looks = _looks(run, shape)
    if way == "auto":
        way = MNIST if looks.is_mnist_style else PLAIN
    known_range, depth = pixel_record.recorded_range(run), pixel_record.recorded_depth(run)
    return Reader(shape, way, looks.ink, looks.box, known_range, depth)


def _looks(run: "StoredRun", shape: Shape) -> Appearance:
    """Return how the images of a run look: as it measured them, or, of an older run, by the name of its data set."""
    recorded = Appearance.from_json(run.tags.get(names.APPEARANCE, ""))
    if recorded is not None:
        return recorded
    name = run.params.get(names.DATA_NAME, "")
    is_mnist_style = name in _DIGITS and shape == (28, 28, 1)
    return Appearance("light" if name in _LIGHT_ON_DARK else None, 20 / 28 if is_mnist_style else None)


def takes_images(model: "keras.Model | NumpyModel") -> bool:
    """Tell whether a model takes pixels of images of one size: (None, height, width, 1, 3 or 4)."""
    shape = model.input_shape
    is_known = isinstance(shape, tuple) and all(isinstance(size, int) for size in shape[1:])
    return is_known and are_pictures(shape[1:], pixel_record.takes_pixels(model))


def shape_of(model: "keras.Model | NumpyModel", run: "StoredRun") -> Shape:
    """Return height, width and channels of a model's input. Raises: SettingsError: it does not take images."""
    if not takes_images(model):
        what = "pixels" if pixel_record.takes_pixels(model) else "features, no pixels,"
        raise SettingsError(
            f"the model of run {run.run_id} takes {what} of shape {model.input_shape}: it must take images of one "
            "size, (None, height, width, 1, 3 or 4)"
        )
    _, height, width, channels = model.input_shape
    return height, width, channels


def class_names(run: "StoredRun", task: Task, outputs: int) -> tuple[str, ...] | None:
    """Return the names of classes, labels or numbers; None where they are just counted, or do not fit the model.

    Args:
        run: recorded.
        task: of it.
        outputs: how many numbers its model returns for an image.
    """
    names = run.class_names()
    if not names or task.outputs(names) != outputs or names == tuple(map(str, range(len(names)))):
        return None
    return names
