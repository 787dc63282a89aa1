"""Prepare any image for a model: in MNIST's style, or just scaled."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.data.image_files import read_image
from mnist_exp.data.pixels import are_pictures
from mnist_exp.errors import SettingsError
from mnist_exp.inference.labelled_images import takes_pixels
from mnist_exp.tasks.task import Task
from mnist_exp.tracking import names

if TYPE_CHECKING:
    import keras

    from mnist_exp.inference.mnist_style import Prepared
    from mnist_exp.tracking.runs import StoredRun

MNIST, PLAIN = "mnist", "plain"
WAYS = ("auto", MNIST, PLAIN)
_DIGITS = ("mnist", "mnist_5k")
_LIGHT_ON_DARK = (*_DIGITS, "fashion_mnist")
NO_NUMBER = "the model answers with NaN: its training diverged"
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Reader:
    """Prepares images for one model.

    Args:
        shape: height, width and channels that the model takes.
        way: mnist or plain.
        is_light_on_dark: whether it was trained on light drawings on dark alone; dark ones on light are then inverted.
    """

    shape: Shape
    way: str
    is_light_on_dark: bool

    def read(self, source: Path | bytes, what: str = "") -> "Prepared":
        """Return the prepared image of a file, or of the bytes of one.

        Args:
            source: the file.
            what: its name in errors; empty for its path.
        Raises: DataError: it is no good image, or nothing is drawn on it.
        """
        from mnist_exp.inference import mnist_style

        height, width, channels = self.shape
        if not self.is_light_on_dark and self.way == PLAIN:
            # As the data set `image_folder` reads what it trains on.
            return mnist_style.Prepared(read_image(source, size=(height, width), channels=channels, what=what))
        image = read_image(source, size=None, channels=3, what=what, paper="contrast")
        return (mnist_style.as_mnist if self.way == MNIST else mnist_style.plain)(image, self.shape)


def reader(run: "StoredRun", shape: Shape, way: str = "auto") -> Reader:
    """Return the reader for a run's model.

    Args:
        run: its data set decides the way.
        shape: height, width and channels that the model takes.
        way: auto, mnist or plain; auto takes mnist for a model of 28×28 grey pixels that was trained on MNIST.
    """
    name = run.params.get(names.DATA_NAME, "")
    if way == "auto":
        way = MNIST if name in _DIGITS and shape == (28, 28, 1) else PLAIN
    return Reader(shape, way, is_light_on_dark=name in _LIGHT_ON_DARK)


def takes_images(model: "keras.Model") -> bool:
    """Tell whether a model takes pixels of images of one size: (None, height, width, 1, 3 or 4)."""
    shape = model.input_shape
    is_known = isinstance(shape, tuple) and all(isinstance(size, int) for size in shape[1:])
    return is_known and are_pictures(shape[1:], takes_pixels(model))


def shape_of(model: "keras.Model", run: "StoredRun") -> Shape:
    """Return height, width and channels of a model's input. Raises: SettingsError: it does not take images."""
    if not takes_images(model):
        what = "pixels" if takes_pixels(model) else "features, no pixels,"
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
