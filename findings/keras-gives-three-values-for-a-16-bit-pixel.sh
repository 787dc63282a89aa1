#!/usr/bin/env bash
# keras 3.15.1: three ways of Keras to read one grey PNG of 16 bits a pixel give three different images.
#
# Expected: one scale for all, or an error.
# Seen, for a pixel of 1000 and one of 4095 (12 bits in 16, as microscopes and X-ray machines save them):
#   image_dataset_from_directory(color_mode="grayscale")  3 and 15: the upper byte, almost black, without a word
#   load_img(color_mode="grayscale"), img_to_array        1000 and 4095: the raw values
#   load_img(), img_to_array                               255 and 255: cut off, white without a word
# So a model that was trained by the first reads by the second, or third, what it has never seen.
# Source: keras/src/utils/image_utils.py, load_img; keras/src/utils/image_dataset_utils.py, load_image, which uses tf.image.decode_image.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0 keras==3.15.1 pillow==13.0.0
cd "$folder"
KERAS_HOME="$folder" CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import os

import keras
import numpy as np
from PIL import Image

values = [0, 1000, 4095]
for name in ("a", "b"):
    os.makedirs(f"images/{name}")
    for number, value in enumerate(values):
        Image.fromarray(np.full((4, 4), value, np.uint16)).save(f"images/{name}/{number}.png")
read = keras.utils.image_dataset_from_directory(
    "images", image_size=(4, 4), color_mode="grayscale", shuffle=False, verbose=0
)
first = np.concatenate([images.numpy() for images, _ in read])[:3, 0, 0, 0].tolist()
paths = [f"images/a/{number}.png" for number in range(3)]
array = keras.utils.img_to_array
second = [float(array(keras.utils.load_img(path, color_mode="grayscale"))[0, 0, 0]) for path in paths]
third = [float(array(keras.utils.load_img(path))[0, 0, 0]) for path in paths]
print("image_dataset_from_directory:", first)
print("load_img, grayscale:         ", second)
print("load_img:                    ", third)
assert (first, second, third) == ([0, 3, 15], [0, 1000, 4095], [0, 255, 255])
PYTHON
echo "as seen with keras 3.15.1, tensorflow 2.21.0, pillow 13.0.0"
