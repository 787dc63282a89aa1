#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: in fit, RandomElasticTransform gives the first image of each batch in place of all others.
#
# Guessed: the layer distorts each image of a batch, and leaves it beside its own label.
# Seen: 64 images, of which each has one level of grey, in batches of 16: each comes out with its own level. With 60 images, whose last
# batch is smaller, so that the compiled step has batches of unknown size: all images of a batch come out with the level of the first
# one, and a model is trained on labels that are wrong but for one image of a batch. Outside of a compiled step nothing is wrong.
# The size of a batch that is not known is taken to be 1, and the one result is spread over the batch.
# Source: keras/src/backend/tensorflow/image.py (`elastic_transform`: `if batch_size is None: batch_size = 1`).
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 tensorflow-cpu==2.21.0
cat > "$folder/seen.py" <<'PYTHON'
import os

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
import keras
import numpy as np


def off(count):
    """Train on images of one grey each, which is also their label, and return how far the layer's images are from it."""
    grey = np.arange(count, dtype=np.float32)
    images = np.broadcast_to(grey[:, None, None, None], (count, 28, 28, 1))
    layer = keras.layers.RandomElasticTransform(
        (1.0, 1.0), scale=1.0, value_range=(0, 100), fill_mode="nearest", seed=1
    )
    model = keras.Sequential([keras.Input((28, 28, 1)), layer, keras.layers.GlobalAveragePooling2D()])
    model.compile(optimizer="sgd", loss="mae")
    fitted = model.fit(images, grey, batch_size=16, shuffle=False, verbose=0)
    return fitted.history["loss"][0]


even, uneven = off(64), off(60)
print(f"64 images in batches of 16: mean distance of an image's grey to its label {even:.2f}")
print(f"60 images in batches of 16: {uneven:.2f}")
# Of 16 images 0, 1, … 15 grey levels away from the first, of the 12 that are left 0, 1, … 11.
spread = (3 * sum(range(16)) + sum(range(12))) / 60
assert even < 0.01 and abs(uneven - spread) < 0.01
print("as seen with keras 3.15.1 on tensorflow 2.21.0")
PYTHON
"$folder/venv/bin/python" "$folder/seen.py" 2> /dev/null
