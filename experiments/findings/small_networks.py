"""Networks with few parameters, for the question how many are needed to read digits: `model=small_network`.

    export PYTHONPATH=experiments/findings
    python -m mnist_exp.run --config-dir experiments/findings/conf model=small_network

Four ideas save parameters. The image is set upright by its moments, which needs none. A separable convolution is used
again and again, at both resolutions, as in a recurrent network. Normalisation is that of all maps of an image, without
weights. And a weighted mean of each map, its weights a row times a column of numbers, stands where a dense layer would.

Source: LeCun et al. 1998, Gradient-based learning applied to document recognition (upright images); Chollet 2017,
arXiv:1610.02357 (separable convolutions); Ba et al. 2016, arXiv:1607.06450 (layer normalisation).
"""

from typing import Annotated, Any, Literal

import keras
from keras import layers, ops
from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Shape = tuple[int, ...]


@keras.saving.register_keras_serializable("small_networks")
class Upright(layers.Layer):
    """Shear each image so that its mass lies about an upright axis, and move that to the middle; any size."""

    def call(self, images: Any) -> Any:
        """Map images (n, h, w, c) to images (n, h, w, c)."""
        height, width = images.shape[1:3]
        mass = ops.sum(images, -1)
        total = ops.sum(mass, (1, 2)) + 1e-6
        x, y = (
            ops.arange(width, dtype=images.dtype)[None, None, :],
            ops.arange(height, dtype=images.dtype)[None, :, None],
        )
        middle_x, middle_y = ops.sum(mass * x, (1, 2)) / total, ops.sum(mass * y, (1, 2)) / total
        right, down = x - middle_x[:, None, None], y - middle_y[:, None, None]
        slant = ops.sum(mass * right * down, (1, 2)) / (ops.sum(mass * down * down, (1, 2)) + 1e-6)
        to_x = middle_x - (width - 1) / 2 - slant * (height - 1) / 2
        zero, one = ops.zeros_like(slant), ops.ones_like(slant)
        # Where in the image each pixel of the result comes from: x + slant · y + to_x, y + to_y.
        places = ops.stack([one, slant, to_x, zero, one, middle_y - (height - 1) / 2, zero, zero], -1)
        return ops.image.affine_transform(images, places, data_format="channels_last")


@keras.saving.register_keras_serializable("small_networks")
class WeightedMean(layers.Layer):
    """Weigh the pixels of each map by their row and column, and add them up."""

    def build(self, shape: Shape) -> None:
        """Make the weights for maps of a shape (n, h, w, c)."""
        _, rows, columns, channels = shape
        self.rows = self.add_weight((rows, channels), "glorot_uniform", name="rows")
        self.columns = self.add_weight((columns, channels), "glorot_uniform", name="columns")
        self.bias = self.add_weight((channels,), "zeros", name="bias")

    def call(self, maps: Any) -> Any:
        """Map (n, h, w, c) to (n, c)."""
        return ops.einsum("nhwc,hc,wc->nc", maps, self.rows, self.columns) + self.bias


def small_network(
    input_shape: Shape,
    classes: int,
    *,
    channels: Count = 9,
    repeats: Annotated[list[Count], Field(min_length=2, max_length=2)] = [2, 2],  # noqa: B006
    stages: Literal["shared", "own"] = "shared",
    upright: bool = True,
) -> keras.Model:
    """Build a convolution, then the separable one at two resolutions, a weighted mean and a dense layer.

    Args:
        input_shape: height, width, channels.
        classes: number of classes.
        channels: of all maps.
        repeats: how often the separable convolution is used at either resolution, each time with a shortcut.
        stages: whether both resolutions share its weights or have their own.
        upright: whether the images are set upright first.
    Returns: maps (n, height, width, channels) to probabilities (n, classes).
    """

    def activated(maps: Any) -> Any:
        return layers.Activation("silu")(maps)

    def normalised(maps: Any) -> Any:
        return layers.LayerNormalization(axis=[1, 2, 3], center=False, scale=False)(maps)

    def halved(maps: Any) -> Any:
        return layers.MaxPooling2D(3, 2, padding="same")(maps)

    inputs = keras.Input(input_shape)
    images = Upright()(inputs) if upright else inputs
    maps = activated(normalised(halved(layers.Conv2D(channels, 3, padding="same")(images))))
    convolution = layers.SeparableConv2D(channels, 3, padding="same")
    for stage, uses in enumerate(repeats):
        if stage > 0:
            maps = halved(maps)
            convolution = layers.SeparableConv2D(channels, 3, padding="same") if stages == "own" else convolution
        for _ in range(uses):
            maps = activated(layers.Add()([normalised(convolution(maps)), maps]))
    features = activated(WeightedMean()(maps))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", dtype="float32")(features))
