#!/usr/bin/env bash
# Keras 3.15.1: on JAX and TensorFlow, RandomElasticTransform moves pixels along one diagonal only.
#
# Guessed: an elastic distortion moves each pixel by two numbers, drawn independently: down and to the right.
# Seen: both numbers are equal at each pixel, so that nothing moves to the upper right or the lower left. On NumPy (and torch) they are
# independent, as in the paper of Simard et al. (2003).
# One seed is drawn, and both fields of random numbers are made of it; NumPy's generator goes on from the one to the other.
# Source: keras/src/backend/jax/image.py and .../tensorflow/image.py (`elastic_transform`: `seed = draw_seed(seed)`, used twice).
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2 numpy==2.4.6 scipy==1.17.0
cat > "$folder/seen.py" <<'PYTHON'
import keras
import numpy as np

side = 64
places = np.stack(np.mgrid[0:side, 0:side].astype(np.float32), axis=-1)  # Two channels: how far down, how far right.
layer = keras.layers.RandomElasticTransform(
    (1.0, 1.0), scale=1.0, value_range=(0, side), fill_mode="nearest", seed=1
)
moved = np.asarray(layer(places[None], training=True))[0] - places
down, right = (moved[8:-8, 8:-8, channel].ravel() for channel in (0, 1))
alike = np.corrcoef(down, right)[0, 1]
name = keras.backend.backend()
print(f"{name}: moved by {np.sqrt(np.mean(down**2 + right**2)):.1f} pixels; correlation of down and right {alike:.2f}")
assert alike > 0.999 if name == "jax" else abs(alike) < 0.5
PYTHON
for backend in jax numpy; do
  KERAS_BACKEND=$backend "$folder/venv/bin/python" "$folder/seen.py" 2> /dev/null
done
echo "as seen with keras 3.15.1"
