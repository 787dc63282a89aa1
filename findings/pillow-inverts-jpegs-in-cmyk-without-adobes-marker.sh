#!/usr/bin/env bash
# pillow 13.0.0: the colours of a JPEG in CMYK are inverted whether or not Adobe's marker is there; TensorFlow looks at the marker.
#
# Expected: Adobe's programs keep inks inverted and say so by a marker (APP14); a file without it has inks as they are.
# Seen: Pillow makes black of a file without the marker, in which TensorFlow 2.21.0 sees the colours that were saved. With the marker both
# agree. Nothing of it is an error or a warning.
# Source: PIL/JpegImagePlugin.py ("assume adobe conventions"); libjpeg's libjpeg.txt, "Special color spaces".
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0 pillow==13.0.0
CUDA_VISIBLE_DEVICES=-1 "$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import io
import struct

import numpy as np
import tensorflow as tf
from PIL import Image


def saved(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=98)
    return file.getvalue()


colour = (200, 30, 40)
inks = Image.new("RGB", (16, 16), colour).convert("CMYK")
marked = saved(inks)
plain = saved(Image.eval(inks, lambda value: 255 - value))  # Pillow inverts as it saves, too.
start = plain.index(b"\xff\xee")
plain = plain[:start] + plain[start + 2 + struct.unpack_from(">H", plain, start + 2)[0] :]
for name, content, agree in (("with the marker", marked, True), ("without", plain, False)):
    by_pillow = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))[4, 4]
    by_tensorflow = tf.io.decode_jpeg(content, channels=3).numpy()[4, 4]
    print(f"{name}: pillow {by_pillow.tolist()}, tensorflow {by_tensorflow.tolist()}")
    assert np.abs(by_tensorflow.astype(int) - colour).max() <= 3
    assert (np.abs(by_pillow.astype(int) - colour).max() <= 3) == agree
PYTHON
echo "as seen with pillow 13.0.0, tensorflow 2.21.0"
