r"""
Your own model and data
=======================

You train a network of yours on data of yours. Nothing in the package is edited: you write two functions and two YAML files.
"""

import sys

import matplotlib.pyplot as plt
from lesson import FOLDER, shell, write

# %%
# A model is a function
# ---------------------
#
# It takes the shape of the images and the number of classes, and returns a Keras model. Its other arguments are its options. Give
# them types, and limits if you like.

write(
    "my_pkg/nets.py",
    """
from typing import Annotated

import keras
from pydantic import Field


def two_layers(input_shape, classes, *, width: Annotated[int, Field(ge=1)] = 32):
    return keras.Sequential(
        [
            keras.Input(input_shape),
            keras.layers.Flatten(),
            keras.layers.Dense(width, activation="relu"),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
""",
)

# %%
# Data are a function too
# -----------------------
#
# It returns what Keras's own data sets return: images and labels to train, images and labels to test. The images are raw pixels from
# 0 to 255, the labels are whole numbers from 0.

write("my_pkg/__init__.py", "")
write(
    "my_pkg/data.py",
    '''
import numpy as np


def stripes(*, images: int = 600, noise: float = 250.0):
    """Return pictures of 16 by 16 pixels with lying stripes (label 0) or standing ones (label 1)."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, images)
    x = np.zeros((images, 16, 16))
    x[y == 0, ::2, :] = x[y == 1, :, ::2] = 180
    x = np.clip(x + rng.normal(0, noise, x.shape), 0, 255).astype("uint8")
    half = images // 2
    return (x[:half], y[:half]), (x[half:], y[half:])
''',
)

# %%
# Look at your data before you train on them. Some have lying stripes, some standing ones, and the noise hides them:

sys.path.insert(0, str(FOLDER))
from my_pkg.data import stripes

(images, labels), _ = stripes()
figure, places = plt.subplots(1, 6, figsize=(9, 1.8))
for place, image, label in zip(places, images, labels, strict=False):
    place.imshow(image, cmap="gray")
    place.set(title=f"label {label}", xticks=[], yticks=[])

# %%
# A file for each makes it a choice
# ---------------------------------
#
# The folder says which group it belongs to, the name of the file what it is called. ``_target_`` names the function.
# ``trusted_modules`` says that this code is yours and may run. What stands behind ``#`` is what ``--help`` shows.

write(
    "my_conf/model/two_layers.yaml",
    """
_target_: my_pkg.nets.two_layers
trusted_modules: [my_pkg]
width: 32  # units of the hidden layer
""",
)
write(
    "my_conf/data/stripes.yaml",
    """
name: stripes  # what the data set is called in the record
_target_: my_pkg.data.stripes
trusted_modules: [my_pkg]
images: 600  # training and test images together
noise: 250.0  # standard deviation, in grey levels
limit: null  # training images used
validation: 0.25  # what each epoch is validated on
""",
)

# %%
# Train it
# --------

own = "python -m mnist_exp.run --config-dir my_conf model=two_layers data=stripes"
shell(f"{own} trainer.epochs=5 trainer.batch_size=25")

# %%
# Everything else works as before: sweeps, searches, resume, reports. So do the checks, from the types that you wrote:

shell(f"{own} model.width=0 data.nose=30", code=2)

# %%
# What to try next
# ----------------
#
# * ``-m data.noise=100.0,250.0,400.0``: when does it fail?
# * Your images lie in folders, one for each class? ``data=image_folder data.path=FOLDER`` needs no code at all.
# * An optimizer, a schedule or an augmentation of your own is added in the same way.
#
# The next lesson pulls the plug.
