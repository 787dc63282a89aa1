"""Networks of `keras.applications` as part of a model: their preprocessing, weights from a file, what of them learns.

Only weights are read from a file, never a configuration: what a file holds cannot run code.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mnist_exp.config import fields, wording
from mnist_exp.errors import SettingsError, first_line
from mnist_exp.runtime import start_folder

if TYPE_CHECKING:
    import keras

Name = Literal[
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge",
    "DenseNet121", "DenseNet169", "DenseNet201",
    "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4", "EfficientNetB5",
    "EfficientNetB6", "EfficientNetB7",
    "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2L",
    "EfficientNetV2M", "EfficientNetV2S",
    "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small",
    "NASNetLarge", "NASNetMobile", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50", "ResNet50V2",
    "VGG16", "VGG19", "Xception",
]  # fmt: skip
_PREPROCESS_THEMSELVES = ("ConvNeXt", "EfficientNet", "MobileNetV3")
# Mean and deviation of ImageNet's colours, as `keras.applications` has them.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_MEAN_OF_255 = (123.68, 116.779, 103.939)
_LEAST_SIDES = {"InceptionResNetV2": 75, "InceptionV3": 75, "Xception": 71}
WEIGHTS_FILES = (".weights.h5", ".keras", ".h5")


def least_side(name: str) -> int:
    """Return the smallest height and width that a network takes, in pixels."""
    return _LEAST_SIDES.get(name, 32)


def problems(name: str, input_shape: Sequence[int], size: int | None, weights: str | None) -> Iterator[str]:
    """Yield why a network does not fit the images, or its weights cannot be read.

    Args:
        name: of the network.
        input_shape: height, width, channels.
        size: side that the images are scaled to; None leaves them, or takes the smallest that the network has.
        weights: imagenet, or a file.
    """
    if len(input_shape) != 3:
        yield f"model=backbone takes images, and not {wording.examples(input_shape)}: take model=mlp"
    elif input_shape[-1] not in (1, 3):
        yield f"model=backbone takes images of 1 or 3 channels; these have {input_shape[-1]}"
    if size is not None and size < least_side(name):
        yield f"model.size={size} is too small: {name} takes images of at least {least_side(name)} pixels a side"
    if weights not in (None, "imagenet"):
        if not str(weights).endswith(WEIGHTS_FILES):
            kinds = ", *".join(WEIGHTS_FILES)
            yield (
                f"model.weights={weights} is not allowed: it must be imagenet, or a file *{kinds}, as `python -m "
                "mnist_exp.export RUN_ID --format keras` makes one of a run"
            )
        elif not fields.is_file(start_folder.named(str(weights))):
            yield f"model.weights={weights}: there is no such file"


def build(name: str, sides: tuple[int, int], weights: str | None) -> "keras.Model":
    """Return a network without its last layer: maps colour images (n, height, width, 3) to features.

    Args:
        name: of the network.
        sides: height, width.
        weights: imagenet, which may have to be downloaded; None for new ones.
    Raises: SettingsError: the weights cannot be downloaded.
    """
    import keras

    make = getattr(keras.applications, name)
    try:
        made: keras.Model = make(include_top=False, weights=weights, input_shape=(*sides, 3), pooling="avg")
    except Exception as error:
        if weights is None:
            raise
        raise SettingsError(
            f"model.weights={weights} of {name} could not be had: {first_line(error)}. Without a network, download the "
            "file elsewhere, and name it: model.weights=FILE"
        ) from error
    return made


def preprocess(name: str, scaled: Any) -> Any:
    """Return pixels as a network takes them.

    Args:
        name: of the network.
        scaled: pixels of 0 to 1, red, green, blue.
    """
    from keras import layers

    # In float32, in any precision: half of one has 8 bits for 256 values.
    if name.startswith(_PREPROCESS_THEMSELVES):
        return layers.Rescaling(255.0, dtype="float32")(scaled)
    if name.startswith("DenseNet"):
        scale = [1 / each for each in _DEVIATION]
        offset = [-mean / each for mean, each in zip(_MEAN, _DEVIATION, strict=True)]
        return layers.Rescaling(scale, offset, dtype="float32")(scaled)
    if name.startswith("VGG") or (name.startswith("ResNet") and not name.endswith("V2")):
        return layers.Rescaling(255.0, [-each for each in _MEAN_OF_255], dtype="float32")(scaled)[..., ::-1]
    return layers.Rescaling(2.0, -1.0, dtype="float32")(scaled)


def load(file: str, network: "keras.Model", base: "keras.Model") -> None:
    """Read weights from a file: of the network of Keras alone, or of a whole model that a run recorded.

    The last layer of such a model is left as it is if the file's has another number of classes.

    Args:
        file: `.weights.h5`, `.keras` or, of old, `.h5`.
        network: all of the model, from scaled pixels on.
        base: the network of Keras in it.
    Raises: SettingsError: they are of another network.
    """
    import keras

    pixels = keras.Input(network.input_shape[1:])
    recorded = keras.Model(pixels, network(keras.layers.Rescaling(1 / 255)(pixels)))
    reasons = []
    for kind, others in ((base, {}), (recorded, {}), (recorded, {"skip_mismatch": True})):
        before = base.get_weights()
        if others:  # What is not read stays as it is: then it can be told.
            base.set_weights([_unread(each) for each in before])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras's, of what it skips.
                kind.load_weights(start_folder.named(file), **others)
        except Exception as error:  # Whatever a file may cause in h5py, zipfile or Keras.
            reasons.append(first_line(error).removesuffix(":"))
        else:
            if not others or not any(map(_is_unread, base.get_weights())):
                return
            reasons.append("it lacks some of its weights")
        base.set_weights(before)
    raise SettingsError(f"model.weights={file} does not fit {base.name}: {reasons[0]}")


def _unread(weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return what stands in the place of weights until they are read; counts of steps are left as they are."""
    return np.full_like(weights, np.nan) if np.issubdtype(weights.dtype, np.floating) else weights


def _is_unread(weights: npt.NDArray[Any]) -> bool:
    return bool(np.issubdtype(weights.dtype, np.floating) and np.isnan(weights).any())


def freeze(base: "keras.Model", train_from: str) -> None:
    """Let a network learn from a layer on. What does not learn computes as after the training, BatchNorm too.

    Args:
        base: of Keras.
        train_from: all, none, or the name of the first layer that learns.
    Raises: SettingsError: there is no such layer.
    """
    if train_from == "all":
        return
    names = [layer.name for layer in base.layers]
    if train_from != "none" and train_from not in names:
        guess = wording.nearest(train_from, names)
        hint = f"did you mean {guess}? " if guess else ""
        raise SettingsError(
            f"model.train_from={train_from} is no layer of {base.name}: {hint}it must be all, none, or one of "
            f"{', '.join(names[-8:])} and the {len(names) - 8} before these"
        )
    first = len(names) if train_from == "none" else names.index(train_from)
    for layer in base.layers[:first]:
        layer.trainable = False
