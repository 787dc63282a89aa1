#!/usr/bin/env bash
# keras 3.15.1: in an ONNX file, the mean and the variance of a Normalization layer are inputs of the model.
#
# Expected: the file has the inputs of the model, as the SavedModel and the LiteRT file of the same model have.
# Seen: two inputs more, `…/Sub/y:0` and `…/Sqrt/x:0`, whose values are stored nowhere. So it is for a mean that is given
# and for one that was adapted. The layer keeps both as tensors outside the graph, not as weights or constants; where they
# are NumPy arrays, the file is right.
# Source: keras/src/layers/preprocessing/normalization.py, `build` and `finalize_state`.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    keras==3.15.1 tensorflow==2.21.0 tf2onnx==1.17.0 onnx==1.23.0
cd "$folder"
KERAS_HOME="$folder" TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import keras
import numpy as np
import onnx


def inputs(layer, as_arrays=False):
    features = keras.Input((3,), name="features")
    model = keras.Model(features, keras.layers.Dense(2)(layer(features)))
    if as_arrays:
        layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
    model(np.ones((1, 3), np.float32))
    model.export("model.onnx", format="onnx", verbose=False)
    return [each.name for each in onnx.load("model.onnx").graph.input]


given = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 4.0, 4.0])
adapted = keras.layers.Normalization()
adapted.adapt(np.random.default_rng(0).random((9, 3), np.float32))
other = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 4.0, 4.0])
found = {"given": inputs(given), "adapted": inputs(adapted), "as arrays": inputs(other, as_arrays=True)}
for name, names in found.items():
    print(f"{name}: {', '.join(names)}")
assert len(found["given"]) == len(found["adapted"]) == 3
assert found["as arrays"] == ["features"]
PYTHON
echo "as seen with keras 3.15.1, tensorflow 2.21.0, tf2onnx 1.17.0 and onnx 1.23.0"
