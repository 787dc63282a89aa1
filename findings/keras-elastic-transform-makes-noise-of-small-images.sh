#!/usr/bin/env bash
# Keras 3.15.1 on TensorFlow 2.21.0: RandomElasticTransform does not smooth the distances on small images: they become noise.
#
# Guessed: with less `scale` an image is distorted less; neighbouring pixels always go nearly the same way.
# Seen: on 28×28 pixels with scale=1.0 pixels move by 1.2 on average, and neighbours alike (correlation 0.87). With scale=0.7 they move by
# 2.7 pixels, each on its own (correlation 0.0): an image of noise. So less scale distorts more. On JAX the correlation is 0.66 there.
# The deviation of the filter is a twentieth of the shorter side times scale; its size is made of the whole number below that, which is 0
# for sides of less than 20 / scale pixels, and a filter of one pixel smooths nothing.
# Source: keras/src/backend/tensorflow/image.py (`elastic_transform`: `kernel_factor = convert_to_tensor(sigma, dtype="int32")`).
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

side = 28
places = np.stack(np.mgrid[0:side, 0:side].astype(np.float32), axis=-1)
for scale, moves, together in ((1.0, 1.2, 0.87), (0.7, 2.7, 0.0)):
    layer = keras.layers.RandomElasticTransform(
        (1.0, 1.0), scale=(scale, scale), value_range=(0, side), fill_mode="nearest", seed=1
    )
    moved = (np.asarray(layer(places[None], training=True))[0] - places)[6:-6, 6:-6]
    distance = np.sqrt(np.mean(np.sum(moved**2, axis=-1)))
    right = moved[..., 1]
    alike = np.corrcoef(right[:, :-1].ravel(), right[:, 1:].ravel())[0, 1]
    print(f"scale={scale}: moved by {distance:.1f} pixels; correlation of neighbours {alike:.2f}")
    assert abs(distance - moves) < 0.15 and abs(alike - together) < 0.1
print("as seen with keras 3.15.1 on tensorflow 2.21.0")
PYTHON
"$folder/venv/bin/python" "$folder/seen.py" 2> /dev/null
