#!/usr/bin/env bash
# keras 3.15.1: behind a Resizing or a CenterCrop, BatchNormalization computes as in a training where the model is called.
#
# Expected: `model(x)`, and an exported SavedModel or ONNX file, give what `model.predict(x)` gives.
# Seen: they normalize by the batch at hand, and `model(x)` moves the averages: the answer for an image depends on its
# neighbours. These two layers have `training=True` as the default of their `call`, which a functional model keeps, and
# hands on to all layers behind. Only `predict`, `evaluate` and the LiteRT export say `training=False` themselves.
# Resizing(…)(x, training=False) is the way out; so is a model around it that is called with training=False.
# Source: keras/src/layers/layer.py, "Infer training value"; keras/src/layers/preprocessing/image_preprocessing/resizing.py.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 tensorflow==2.21.0
cd "$folder"
KERAS_HOME="$folder" TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import keras
import numpy as np
import tensorflow as tf
from keras import layers

x = np.random.default_rng(0).random((8, 6, 6, 1), np.float32) * 5


def difference(layer, **said):
    """Return how far a call and a SavedModel are from `predict`, and how far the call moved the averages."""
    images = keras.Input((6, 6, 1))
    model = keras.Model(images, layers.BatchNormalization()(layer(images, **said)))
    predicted, before = model.predict(x, verbose=0), model.get_weights()[2]
    model.export("saved", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load("saved")
    served = np.abs(loaded.serve(x) - predicted).max()
    called = np.abs(np.asarray(model(x)) - predicted).max()
    return called, served, np.abs(model.get_weights()[2] - before).max()


found = {
    "Rescaling": difference(layers.Rescaling(1.0)),
    "Resizing": difference(layers.Resizing(6, 6)),
    "CenterCrop": difference(layers.CenterCrop(6, 6)),
    "Resizing, training=False": difference(layers.Resizing(6, 6), training=False),
}
for name, (called, served, moved) in found.items():
    print(f"{name}: model(x) is {called:.2f} from predict, the SavedModel {served:.2f}; the call moves the mean by {moved:.3f}")
assert max(found["Rescaling"]) == max(found["Resizing, training=False"]) == 0
assert min(found["Resizing"]) > 0.02 and min(found["CenterCrop"]) > 0.02
PYTHON
echo "as seen with keras 3.15.1 and tensorflow 2.21.0"
