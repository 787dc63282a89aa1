r"""
Rare classes, labels, numbers
=============================

You train on rare classes with two losses and ask whether the difference is real; then a model of one probability, one of several labels and one
of numbers, from your data to an ONNX file; and a small vision transformer of your own.
"""

from lesson import FOLDER, found, shell, show, write

# %%
# Data in which a class is rare
# -----------------------------
#
# One loader makes all the data of this lesson from the bundled digits. ``rare`` keeps a tenth of the images of the digits from 5 on.

write(
    "lesson_data.py",
    '''
import numpy as np

from mnist_exp.data.loaders import mnist_5k


def rare(*, share: float = 0.1):
    """The digits, those from 5 on rare in the training set."""
    source = mnist_5k()
    (x, y), test = source.train, source.test
    kept = (y < 5) | (np.random.default_rng(0).random(len(y)) < share)
    return (x[kept], y[kept]), test


def odd():
    """Is it odd? 0 or 1."""
    source = mnist_5k()
    return tuple((x, y % 2) for x, y in (source.train, source.test))


def properties():
    """Three labels an image: odd, above 4, has a loop."""
    source = mnist_5k()
    loops = np.isin(np.arange(10), (0, 6, 8, 9))
    return tuple((x, np.stack([y % 2, y > 4, loops[y]], axis=1).astype(int)) for x, y in (source.train, source.test))


def ink():
    """Two numbers an image: how many of 100 pixels have ink, and how many columns of 28 the digit is wide."""
    source = mnist_5k()
    parts = []
    for x, _ in (source.train, source.test):
        columns = (x > 127).any(axis=1)
        parts.append((x, np.stack([100 * (x > 127).mean((1, 2)), columns.sum(axis=1)], axis=1)))
    return tuple(parts)
''',
)

# %%
# Two losses, five seeds
# ----------------------
#
# The objective is the macro F1: the mean of the F1 of the ten classes, in which a rare class counts as much as a frequent one. Ten runs
# are enough to ask whether the focal loss is better here.

own = "data=mnist_5k trusted_modules=[lesson_data] model=mlp model.hidden_units=[32] trainer.batch_size=100"
sweep = shell(
    f"python -m mnist_exp.run -m {own} data._target_=lesson_data.rare data.name=rare data.validation=500 trainer.epochs=4 "
    "objective=val_macro_f1 loss=crossentropy,focal 'seed=range(1,6)'"
)

# %%
# The report gives the verdict, with the interval that belongs to it:

shell(f"python -m mnist_exp.report --sweep {found('parent', sweep)} --output page")
show("page/configurations.png")

# %%
# One probability
# ---------------
#
# ``task=binary`` gives the model one output. All that follows knows it: the evaluation, the prediction, the ONNX file.

small = f"{own} trainer.epochs=3"
binary = shell(f"python -m mnist_exp.run {small} task=binary data._target_=lesson_data.odd data.name=odd")
shell(
    f"python -m mnist_exp.export {found('run', binary)} --trusted-modules=lesson_data --format onnx --output odd.onnx"
)

# %%
# Several labels
# --------------
#
# The labels are columns of 0 and 1, so the task need not be named. An image can be odd, above 4, and have a loop, all at once.

labels = shell(f"python -m mnist_exp.run {small} data._target_=lesson_data.properties data.name=properties")
shell(f"python -m mnist_exp.evaluate {found('run', labels)} --trusted-modules=lesson_data")
shell(
    f"python -m mnist_exp.export {found('run', labels)} --trusted-modules=lesson_data --format onnx --output labels.onnx"
)

# %%
# Numbers
# -------
#
# A regression has no accuracy, so we say what selects.

numbers = shell(
    f"python -m mnist_exp.run {own} trainer.epochs=8 task=regression data._target_=lesson_data.ink data.name=ink "
    "objective=val_mae direction=minimize"
)
shell(f"python -m mnist_exp.evaluate {found('run', numbers)} --trusted-modules=lesson_data")
show("residuals.png")
shell(
    f"python -m mnist_exp.export {found('run', numbers)} --trusted-modules=lesson_data --format onnx --output ink.onnx"
)

# %%
# The three files need nothing of this package:

import numpy as np
import onnxruntime

image = np.zeros((1, 28, 28, 1), np.float32)
image[0, 4:24, 13:15] = 255
for name in ("odd", "labels", "ink"):
    session = onnxruntime.InferenceSession(FOLDER / f"{name}.onnx")
    print(name, session.get_outputs()[0].name, session.run(None, {"pixels": image})[0].round(3))

# %%
# A small vision transformer
# --------------------------
#
# A network of your own is a function. This one cuts the image into patches, and lets each patch look at all others.

write(
    "lesson_nets.py",
    '''
import keras
from keras import layers


@keras.saving.register_keras_serializable("lesson_nets")
class Places(layers.Layer):
    """Add a learnt vector to each place of a series."""

    def build(self, shape):
        self.places = self.add_weight(shape=shape[1:], initializer="normal", name="places")

    def call(self, x):
        return x + self.places


def vit(input_shape, classes, *, patch: int = 7, width: int = 32, depth: int = 2, heads: int = 2):
    """Return a vision transformer (Dosovitskiy et al. 2020, arXiv:2010.11929), small enough for a laptop."""
    pixels = keras.Input(input_shape)
    x = layers.Conv2D(width, patch, strides=patch)(pixels)
    x = Places()(layers.Reshape((-1, width))(x))
    for _ in range(depth):
        y = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(heads, width // heads)(y, y)
        y = layers.Dense(2 * width, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(width)(y)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(pixels, layers.Dense(classes)(x))
''',
)
write(
    "conf/model/vit.yaml",
    """
_target_: lesson_nets.vit
trusted_modules: [lesson_nets]
patch: 7  # side of a patch, pixels
width: 32  # numbers that stand for a patch
depth: 2  # blocks
heads: 2  # of the attention
""",
)
shell(
    "python -m mnist_exp.run --config-dir conf model=vit data=mnist_5k trainer.epochs=8 trainer.batch_size=100 "
    "schedule=one_cycle optimizer.learning_rate=0.005"
)

# %%
# What to try next
# ----------------
#
# * ``trainer.class_weight=balanced`` in place of the focal loss, or beside it.
# * ``+metrics.NAME={_target_: my_module.function}``: a metric of your own, as objective too.
# * :doc:`../../tasks` has all tasks, losses and metrics.
