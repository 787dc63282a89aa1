"""The models: functions that build a Keras model for images with pixels scaled to 0-1, or other scaled examples.

The signature of a builder is the schema of its group in `conf/model`. A function `check_NAME` checks, without Keras,
whether the sizes fit the images. Each model returns class probabilities in float32, in any precision of its layers.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from mnist_exp import backbones
from mnist_exp.config import wording
from mnist_exp.config.fields import Activation, Count, Fraction, InputFile

if TYPE_CHECKING:
    import keras

Shape = tuple[int, int, int]
Counts = Annotated[list[Count], Field(min_length=1)]


def cnn(
    input_shape: Shape,
    classes: int,
    *,
    filters: Count = 32,
    kernel_size: Count = 5,
    pool_size: Count = 2,
    dropout: Fraction = 0.3,
    dense_units: Count = 128,
    activation: Activation = "relu",
) -> "keras.Model":
    """Build the baseline: one convolution, max-pooling, dropout, one hidden dense layer.

    Args:
        input_shape: height, width, channels.
        classes: number of classes.
        filters: output channels of the convolution.
        kernel_size: side of the convolution's window, pixels.
        pool_size: side of the pooling window, which is also its stride, pixels.
        dropout: share of the pooled values dropped while training.
        dense_units: width of the hidden layer.
        activation: after the convolution and the hidden layer.
    Returns: maps (n, height, width, channels) to probabilities (n, classes).
    """
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input(input_shape),
            layers.Conv2D(filters, kernel_size, activation=activation),
            layers.MaxPooling2D(pool_size),
            layers.Dropout(dropout),
            layers.Flatten(),
            layers.Dense(dense_units, activation=activation),
            layers.Dense(classes, activation="softmax", dtype="float32"),
        ],
        name="cnn",
    )


def check_cnn(input_shape: Shape, *, kernel_size: int = 5, pool_size: int = 2, **_: Any) -> Iterator[str]:
    """Yield a message for each option that does not fit the images."""
    if problem := _no_images("cnn", input_shape):
        yield problem
        return
    side = min(input_shape[:2])
    image = f"the images are {input_shape[0]}×{input_shape[1]} pixels"
    if kernel_size > side:
        yield f"model.kernel_size={kernel_size} is larger than the image: {image}, so it must be at most {side}"
    elif pool_size > (left := side - kernel_size + 1):
        yield (
            f"model.pool_size={pool_size} is larger than what the convolution leaves: {image} and "
            f"model.kernel_size={kernel_size} leaves {left}, so it must be at most {left}"
        )


def mlp(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    hidden_units: Counts = [512, 512],  # noqa: B006
    dropout: Fraction = 0.2,
    activation: Activation = "relu",
) -> "keras.Model":
    """Build a perceptron on the flattened examples, of any shape.

    Args:
        input_shape: of one example.
        classes: number of classes.
        hidden_units: width of each hidden layer, first to last.
        dropout: share of each hidden layer's outputs dropped while training.
        activation: of the hidden layers.
    Returns: maps examples, (n, …), to probabilities (n, classes).
    """
    from keras import Input, Sequential, layers

    # Of layers that are added one by one Keras builds the model anew for each.
    parts = [Input(input_shape), layers.Flatten()]
    for units in hidden_units:
        parts += [layers.Dense(units, activation=activation), layers.Dropout(dropout)]
    return Sequential([*parts, layers.Dense(classes, activation="softmax", dtype="float32")], name="mlp")


def lenet5(
    input_shape: Shape,
    classes: int,
    *,
    activation: Activation = "tanh",
    dropout: Fraction = 0.0,
) -> "keras.Model":
    """Build LeNet-5, with today's max-pooling and softmax in place of trainable subsampling and RBF units.

    Args:
        input_shape: height, width, channels; at least 12×12.
        classes: number of classes.
        activation: after each convolution and hidden layer; `tanh` as published, `relu` trains sooner.
        dropout: share of the hidden layers' outputs dropped while training.
    Returns: maps (n, height, width, channels) to probabilities (n, classes).
    Source: LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition.
    """
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input(input_shape),
            layers.Conv2D(6, 5, padding="same", activation=activation),
            layers.MaxPooling2D(2),
            layers.Conv2D(16, 5, activation=activation),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(120, activation=activation),
            layers.Dropout(dropout),
            layers.Dense(84, activation=activation),
            layers.Dropout(dropout),
            layers.Dense(classes, activation="softmax", dtype="float32"),
        ],
        name="lenet5",
    )


def check_lenet5(input_shape: Shape, **_: Any) -> Iterator[str]:
    """Yield a message for each option that does not fit the images."""
    if problem := _no_images("lenet5", input_shape):
        yield problem
    elif min(input_shape[:2]) < 12:
        yield f"model=lenet5 needs images of at least 12×12 pixels; these are {input_shape[0]}×{input_shape[1]}"


def convnet(
    input_shape: Shape,
    classes: int,
    *,
    filters: Counts = [24, 32],  # noqa: B006
    kernel_sizes: Counts = [5, 3],  # noqa: B006
    depths: Counts = [1, 1],  # noqa: B006
    padding: Literal["valid", "same"] = "valid",
    dense_units: list[Count] = [256],  # noqa: B006
    dropout: Fraction = 0.0,
    batch_norm: bool = False,
    activation: Activation = "relu",
) -> "keras.Model":
    """Build stages of convolutions, each ended by 2×2 max-pooling, then dense layers.

    Pooling comes before normalisation and activation, which then have a quarter of the work. Without normalisation, and
    with an activation that never decreases, the result is the same as with pooling after them. With normalisation it is
    another network, which was as accurate.

    Args:
        input_shape: height, width, channels.
        classes: number of classes.
        filters: output channels of the convolutions, stage by stage.
        kernel_sizes: side of their windows, pixels, stage by stage.
        depths: convolutions, stage by stage.
        padding: whether an image keeps its size in a convolution, `same`, or loses its border, `valid`.
        dense_units: widths of the hidden layers.
        dropout: share dropped while training, after each stage and each hidden layer.
        batch_norm: whether each convolution and hidden layer is normalised.
        activation: after each convolution and hidden layer.
    Returns: maps (n, height, width, channels) to probabilities (n, classes).
    """
    from keras import Input, Sequential, layers

    def normalise_and_activate() -> "Iterator[keras.layers.Layer]":
        if batch_norm:
            yield layers.BatchNormalization(momentum=0.9)
        yield layers.Activation(activation)

    # Of layers that are added one by one Keras builds the model anew for each.
    parts = [Input(input_shape)]
    for channels, size, depth in zip(filters, kernel_sizes, depths, strict=True):
        for left in reversed(range(depth)):
            parts.append(layers.Conv2D(channels, size, padding=padding, use_bias=not batch_norm))
            if left == 0:
                parts.append(layers.MaxPooling2D(2))
            parts += normalise_and_activate()
        parts.append(layers.Dropout(dropout))
    parts.append(layers.Flatten())
    for units in dense_units:
        parts.append(layers.Dense(units, use_bias=not batch_norm))
        parts += [*normalise_and_activate(), layers.Dropout(dropout)]
    return Sequential([*parts, layers.Dense(classes, activation="softmax", dtype="float32")], name="convnet")


def check_convnet(
    input_shape: Shape,
    *,
    filters: list[int] = [24, 32],  # noqa: B006
    kernel_sizes: list[int] = [5, 3],  # noqa: B006
    depths: list[int] = [1, 1],  # noqa: B006
    padding: str = "valid",
    **_: Any,
) -> Iterator[str]:
    """Yield a message for each option that does not fit the images."""
    if problem := _no_images("convnet", input_shape):
        yield problem
        return
    lengths = [len(filters), len(kernel_sizes), len(depths)]
    if len(set(lengths)) > 1:
        yield (
            f"model.filters={filters}, model.kernel_sizes={kernel_sizes} and model.depths={depths} must be equally "
            f"long, a number for each stage, not {lengths[0]}, {lengths[1]} and {lengths[2]}"
        )
        return
    left = min(input_shape[:2])
    for stage, (size, depth) in enumerate(zip(kernel_sizes, depths, strict=True), start=1):
        lost = depth * (size - 1) if padding == "valid" else 0
        if left - lost < 2:
            yield (
                f"model.kernel_sizes={kernel_sizes}: the images are {input_shape[0]}×{input_shape[1]} pixels, of which "
                f"{left} are left before stage {stage}, too few for its convolutions and pooling: have fewer stages, "
                "smaller kernels or model.padding=same"
            )
            return
        left = (left - lost) // 2


def resnet(
    input_shape: Shape,
    classes: int,
    *,
    filters: Count = 16,
    blocks: Counts = [2, 2, 2],  # noqa: B006
    dropout: Fraction = 0.0,
    activation: Activation = "relu",
) -> "keras.Model":
    """Build a small residual network: stages of two-convolution blocks, halving the image and doubling the filters.

    Args:
        input_shape: height, width, channels.
        classes: number of classes.
        filters: channels of the first stage.
        blocks: residual blocks in each stage.
        dropout: share of the pooled features dropped while training.
        activation: after each normalisation and sum.
    Returns: maps (n, height, width, channels) to probabilities (n, classes).
    Source: He, Zhang, Ren, Sun 2015, arXiv:1512.03385, section 4.2.
    """
    import keras
    from keras import layers

    def convolve(x: "keras.KerasTensor", channels: int, size: int, strides: int) -> "keras.KerasTensor":
        x = layers.Conv2D(channels, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input(input_shape)
    x = layers.Activation(activation)(convolve(inputs, filters, 3, 1))
    for stage, count in enumerate(blocks):
        channels = filters * 2**stage
        for block in range(count):
            strides = 2 if stage > 0 and block == 0 else 1
            shortcut = x if strides == 1 and x.shape[-1] == channels else convolve(x, channels, 1, strides)
            x = layers.Activation(activation)(convolve(x, channels, 3, strides))
            x = layers.Activation(activation)(layers.add([convolve(x, channels, 3, 1), shortcut]))
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    outputs = layers.Dense(classes, activation="softmax", dtype="float32")(x)
    return keras.Model(inputs, outputs, name="resnet")


def check_resnet(input_shape: Shape, **_: Any) -> Iterator[str]:
    """Yield a message for each option that does not fit the images."""
    if problem := _no_images("resnet", input_shape):
        yield problem


def _no_images(name: str, input_shape: Sequence[int]) -> str:
    """Return why a network of 2-D convolutions does not fit examples of a shape; an empty text if it does."""
    if len(input_shape) == 3:
        return ""
    fix = "take model=mlp, which takes any shape, or a model of your own"
    if len(input_shape) == 2:
        fix += "; if these are grey images, give whole numbers of 0 to 255, or a last axis of channels: x[..., None]"
    return f"model={name} takes images, (height, width, channels), and not {wording.examples(input_shape)}: {fix}"


def backbone(
    input_shape: Shape,
    classes: int,
    *,
    name: backbones.Name = "MobileNetV3Small",
    weights: InputFile | None = None,
    train_from: str = "all",
    size: Count | None = None,
    dropout: Fraction = 0.2,
) -> "keras.Model":
    """Build a network of `keras.applications`, with its own preprocessing, and a new last layer.

    Grey images are repeated as the three colours.

    Args:
        input_shape: height, width, 1 or 3 channels.
        classes: number of classes.
        name: of the network.
        weights: imagenet, a file of weights of the network, or the exported model of a run, whose last layer is taken
            too if it has as many classes; None for new ones.
        train_from: all, none, or the name of the first layer of the network that learns; the last layer always does.
        size: side that the images are scaled to; None leaves them, or takes the smallest that the network has.
        dropout: share of the features dropped while training.
    Returns: maps (n, height, width, channels) to probabilities (n, classes).
    Raises: SettingsError: the weights cannot be had or are of another network; there is no layer to train from.
    """
    from keras import Input, Model, layers

    least = backbones.least_side(name)
    sides = (size, size) if size else (max(input_shape[0], least), max(input_shape[1], least))
    inputs = Input(input_shape)
    # Said, for Keras 3.15 takes it to train where nothing is said, and then all layers behind it, too:
    # findings/keras-resizing-makes-batch-normalization-train.sh.
    x = inputs if sides == tuple(input_shape[:2]) else layers.Resizing(*sides)(inputs, training=False)
    if input_shape[2] == 1:
        x = layers.Concatenate()([x, x, x])
    base = backbones.build(name, sides, weights if weights == "imagenet" else None)
    x = layers.Dropout(dropout)(base(backbones.preprocess(name, x)))
    outputs = layers.Dense(classes, activation="softmax", dtype="float32")(x)
    network = Model(inputs, outputs, name="backbone")
    if weights not in (None, "imagenet"):
        backbones.load(weights, network, base)
    backbones.freeze(base, train_from)
    return network


def check_backbone(
    input_shape: Sequence[int],
    *,
    name: str = "MobileNetV3Small",
    weights: str | None = None,
    size: int | None = None,
    **_: Any,
) -> Iterator[str]:
    """Yield a message for each option that does not fit the images, and for weights that cannot be read."""
    yield from backbones.problems(name, input_shape, size, weights)
