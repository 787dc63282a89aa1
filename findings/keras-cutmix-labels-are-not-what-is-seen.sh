#!/usr/bin/env bash
# keras 3.15.1: the labels that CutMix mixes are not the shares of the pixels that it puts together.
#
# Expected: an image with 3/4 of its own pixels has 3/4 of its own label, as the method's source has it.
# Seen: the edges of the rectangle lie between pixels, and the label is mixed by its area there; on images of 8×8 a label is 0.055 off
# what is seen, on average, and 0.2 at most; on 28×28 0.012 and 0.07. On 8×8 they are off to one side: images keep 0.035 more of their
# own pixels than their labels say.
# Also: `factor=1.0` is no parameter of the beta distribution, as alpha is in the source, but the upper end of a range, from which one
# parameter is drawn for each batch; alpha of 1 is `factor=(1.0, 1.0)`.
# Source: keras/src/layers/preprocessing/image_preprocessing/cut_mix.py; arXiv:1905.04899, section 3.1.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2
KERAS_HOME="$folder" KERAS_BACKEND=jax "$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import keras
import numpy as np

keras.utils.set_random_seed(0)
count = 1000
for side, off in ((8, 0.04), (28, 0.008)):
    images = np.broadcast_to(np.arange(count, dtype="float32")[:, None, None, None], (count, side, side, 1))
    mixed = keras.layers.CutMix((1.0, 1.0))({"images": images, "labels": np.eye(count, dtype="float32")}, training=True)
    own = (np.asarray(mixed["images"]) == images).mean(axis=(1, 2, 3))
    error = own - np.diag(np.asarray(mixed["labels"]))
    print(f"{side}x{side}: share of own pixels minus own label: mean {error.mean():+.3f}, mean size {np.abs(error).mean():.3f}, largest {np.abs(error).max():.3f}")
    assert np.abs(error).mean() > off
    assert (np.abs(error) < 1e-6).mean() < 0.05
PYTHON
echo "as seen with keras 3.15.1"
