"""Ask a recorded model in a notebook or a script: `predict` and `evaluate`."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnist_exp.config import arguments
from mnist_exp.config.schema import TrackingSettings
from mnist_exp.data.dataset import Array
from mnist_exp.errors import DataError, SettingsError, first_line
from mnist_exp.experiment.runner import Result
from mnist_exp.inference import answers, asking, doubt, labelled_images, pixel_record, preprocessing, scoring
from mnist_exp.inference.answers import Ready
from mnist_exp.inference.evaluated import Evaluation
from mnist_exp.inference.inputs import arrays as array_inputs
from mnist_exp.inference.inputs import images as image_inputs
from mnist_exp.inference.predictions import Predictions
from mnist_exp.sweeps import named
from mnist_exp.sweeps.shown.result import Sweep
from mnist_exp.tracking import references
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import keras
    from PIL import Image

    from mnist_exp.numpy_model.model import NumpyModel

_CHANNELS = (1, 3, 4)
_IMAGE = "an image of Pillow, an array of numbers, or the name of a file or folder"
_IMAGES = f"{_IMAGE}, or several of a kind"


def predict(
    run: str | Result,
    images: "str | Path | Array | Image.Image | Iterable[str | Path | Array | Image.Image]",
    *,
    preprocess: str = "auto",
    abstain: float | None = None,
    tracking_uri: str | None = None,
    trusted_modules: Sequence[str] = (),
) -> Predictions:
    """Return what a run's model says of images, or of rows of arrays: what `python -m mnist_exp.predict` says.

    Args:
        run: what `run` returned; or a run's id, or its first six characters or more, or `models:/NAME@champion`.
        images: files, folders and patterns, as on the command line; or images of Pillow; or arrays: one image, (height,
            width) or (height, width, channels), or several, (n, height, width) or (n, height, width, channels). An
            array of the model's own size is taken as it is, of other sizes it is made ready as a file is. A model that
            takes no images takes arrays of its own shape, (n, …), and files of them.
        preprocess: how images are made ready: auto, mnist or plain.
        abstain: give no answer where the model is not sure enough for this accuracy, as 0.99.
        tracking_uri: address of the store; None takes `$MLFLOW_TRACKING_URI`, else `mlflow.db` here.
        trusted_modules: modules of your own, whose registered layers and functions the model may use.
    Raises: SettingsError: the run has no model, no image was named, or the arrays do not fit the model. An image that
        cannot be read is an answer with an `error`.
    """
    if preprocess not in preprocessing.WAYS:
        raise SettingsError(f"preprocess={preprocess!r} is not allowed: it must be {', '.join(preprocessing.WAYS)}")
    doubt.check(abstain)
    given = _listed(images)
    stored = found(run, tracking_uri)
    trusted = (trusted_modules,) if isinstance(trusted_modules, str) else tuple(trusted_modules)
    notes: list[str] = []
    if all(isinstance(each, str | Path) for each in given):
        files = [str(each) for each in given]
        asked = asking.of_files(
            stored,
            image_inputs.find(files),
            files,
            trusted=trusted,
            way=preprocess,
            abstain=abstain,
            tell=notes.append,
        )
    else:

        def make(model: "keras.Model | NumpyModel") -> Iterator[Ready]:
            return _ready(stored, model, given, preprocess, notes.append)

        asked = asking.of_values(stored, make, _count(given), trusted=trusted, abstain=abstain)
    said = list(asked.answers)
    nothing = np.full(asked.outputs, np.nan, np.float32)
    outputs = np.array([nothing if each.output is None else each.output for each in said]).reshape(-1, asked.outputs)
    return Predictions([asked.as_json(each) for each in said], outputs, (*notes, *asked.known.told()))


def evaluate(
    run: str | Result | Sweep,
    data: str | None = None,
    *,
    split: str = "test",
    options: Sequence[str] = (),
    shifts: int = 0,
    config_dir: str | Path | None = None,
    tracking_uri: str | None = None,
    trusted_modules: Sequence[str] = (),
) -> Evaluation:
    """Return what a run's model is worth on labelled images: what `python -m mnist_exp.evaluate` says.

    Args:
        run: what `run` returned; or a run's id, or its first six characters or more, or `models:/NAME@champion`. Of a
            sweep the mean prediction of all its models counts.
        data: another data set, named as for `run`: mnist, npz, image_folder, …; None for that of the run.
        split: which images: test, train, validation or all.
        options: of the data set, `["data.path=/folder"]`.
        shifts: the mean prediction counts for each image and its shifts by up to so many pixels; 0 for the image alone.
        config_dir: a folder of your own with data/NAME.yaml.
        tracking_uri: address of the store; None takes `$MLFLOW_TRACKING_URI`, else `mlflow.db` here.
        trusted_modules: modules of your own, whose code the run's configuration or model may use.
    Raises: SettingsError: run, model or images cannot be found, or do not fit each other.
        RunError: the model's output is not probabilities.
    """
    if split not in labelled_images.SPLITS:
        raise SettingsError(f"split={split!r} is not allowed: it must be {', '.join(labelled_images.SPLITS)}")
    arguments.check_text("data", data, "the name of a data set, as mnist_5k")
    words = arguments.texts("options", options, '["data.path=/folder"]')
    if not isinstance(shifts, int) or isinstance(shifts, bool):
        raise arguments.wrong("shifts", shifts, "a number of pixels, 0 for none")
    arguments.check_folder("config_dir", config_dir)
    labelled_images.check_words(words, data)
    stored = found(run, tracking_uri)
    trusted = (trusted_modules,) if isinstance(trusted_modules, str) else tuple(trusted_modules)
    own = str(config_dir) if config_dir is not None else None
    with arguments.named(
        data="data", split="split", shifts="shifts", config_dir="config_dir", trusted_modules="trusted_modules"
    ):
        members, told = scoring.members(stored, is_ensemble=stored.is_sweep)
        images = scoring.images_of(members, split, data, words, trusted, own, shifts)
        scored = scoring.score(stored, members, images, trusted)
    return Evaluation(scored.report, scored, images, (*told, *scoring.warnings(members, images, scored.report)))


def found(run: str | Result | Sweep, tracking_uri: str | None) -> StoredRun:
    """Return a run of the store. Raises: SettingsError: there is no such run, or it was not recorded."""
    reference = named.reference(run, "run")
    return references.find(TrackingSettings(uri=tracking_uri), reference)


def _listed(images: Any) -> list[Any]:
    """Return images one by one: paths, images of Pillow, or arrays of several. Raises: SettingsError: there is none."""
    is_one = isinstance(images, str | Path | np.ndarray) or _is_pillow(images)
    if not is_one and (isinstance(images, bytes) or not isinstance(images, Iterable)):
        raise arguments.wrong("images", images, _IMAGES)
    given = [images] if is_one else list(images)
    kinds = {str if isinstance(each, str | Path) else None for each in given}
    if not given:
        raise SettingsError("images is empty: no image is given")
    for number, each in enumerate(given):
        if each is None:
            raise arguments.wrong(f"images[{number}]", each, _IMAGE)
    if len(kinds) > 1:
        raise SettingsError("images has the names of files and images in memory: give either, not both in one list")
    if kinds == {str}:
        return given
    return [_in_memory(each, name) for each, name in zip(given, _names(given), strict=True)]


def _names(given: Sequence[Any]) -> list[str]:
    return [f"images[{number}]" for number in range(len(given))] if len(given) > 1 else ["images"]


def _in_memory(image: Any, name: str) -> Any:
    """Return an image of Pillow as it is, anything else as an array. Raises: SettingsError: it is none."""
    if _is_pillow(image):
        return image
    try:
        values = np.asarray(image)
    except ValueError as error:  # Lists of different lengths.
        raise SettingsError(f"{name} is no array: {first_line(error)}") from error
    if values.dtype.kind not in "buif":
        held = f"holds {values.dtype} values" if isinstance(image, np.ndarray | Sequence) else "is no array of numbers"
        raise SettingsError(f"{name} is of type {type(image).__name__} and {held}: it must be {_IMAGE}")
    return values


def _is_pillow(image: Any) -> bool:
    from PIL import Image

    return isinstance(image, Image.Image)


def _count(given: Sequence[Any]) -> int:
    return sum(1 if _is_pillow(each) or np.ndim(each) < 3 else len(each) for each in given)


def _ready(
    run: StoredRun,
    model: "keras.Model | NumpyModel",
    given: Sequence[Any],
    preprocess: str,
    tell: Callable[[str], None],
) -> Iterator[Ready]:
    """Yield images in memory, ready for a model. Raises: SettingsError: they do not fit it."""
    shape = model.input_shape[1:]
    pixels = pixel_record.takes_pixels(model)
    reader = None
    if preprocessing.takes_images(model):
        reader = preprocessing.reader(run, preprocessing.shape_of(model, run), preprocess)
    taken = pixel_record.recorded_range(run) if pixels else None
    for name, each in zip(_names(given), given, strict=True):
        if _is_pillow(each):
            if reader is None:
                raise SettingsError(f"the model of run {run.run_id} takes arrays of shape {shape}, no images")
            try:
                prepared = reader.read(_as_png(each, name), name)
            except DataError as error:
                yield answers.failed(name, error)
            else:
                yield Ready(name, reader.raw(prepared.pixels[np.newaxis])[0], prepared.pixels, prepared.notes)
            continue
        try:
            found = array_inputs.examples(name, _several(each, shape), shape, taken, reader, tell)
            yield from map(asking.as_ready, found)
        except DataError as error:
            raise DataError(f"{name}: {error}") from error


def _several(values: Array, shape: tuple[int, ...]) -> Array:
    """Return several examples: one image, (height, width) or with channels, becomes a row of one."""
    is_image = len(shape) == 3
    if values.shape == shape or (is_image and values.ndim == 2 and values.shape[1] != int(np.prod(shape))):
        return values[np.newaxis]
    # (n, height, width), unless the last is a number of channels and not the width of the model's images.
    is_one = is_image and values.ndim == 3 and values.shape[2] in _CHANNELS and values.shape[1:] != shape[:2]
    return values[np.newaxis] if is_one else values


def _as_png(image: "Image.Image", name: str) -> bytes:
    """Return an image as a file has it, so that it is read as one. Raises: DataError: PNG has no such images."""
    content = io.BytesIO()
    try:
        image.save(content, "PNG")
    except (OSError, ValueError, SystemError) as error:  # Of no pixels, closed, or of another mode.
        size = f"{image.width}×{image.height}, mode {image.mode}"
        raise DataError(f"{name}: the image of Pillow, {size}, cannot be read: {first_line(error)}") from error
    return content.getvalue()
