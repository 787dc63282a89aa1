#!/usr/bin/env bash
# keras 3.15.1: Adafactor makes NaN of a kernel whose gradient has a row and a column of zeros.
#
# Expected: a weight without a gradient stays as it is.
# Seen: the whole kernel becomes NaN at the first step. The square that its zero is divided by is the product of two sums of `epsilon_1`,
# by default 1e-30, and 1e-60 is 0 in float32. The first layer on MNIST has such rows (pixels that are always black) and,
# behind a relu, such columns. On TensorFlow a relu then makes 0 of the NaN, and the loss stays finite.
# Source: keras/src/optimizers/adafactor.py, `update_step`.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2
KERAS_HOME="$folder" KERAS_BACKEND=jax "$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import keras
import numpy as np

gradient = np.zeros((3, 3), "float32")
gradient[0, 0] = 1
spoilt = {}
for epsilon in (1e-30, 1e-16):
    variable = keras.Variable(np.ones((3, 3), "float32"))
    optimizer = keras.optimizers.Adafactor(epsilon_1=epsilon)
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(gradient)])
    spoilt[epsilon] = int(np.isnan(np.asarray(variable.value)).sum())
print("weights of 9 that are NaN after a step, by epsilon_1:", spoilt)
assert spoilt == {1e-30: 9, 1e-16: 0}
PYTHON
echo "as seen with keras 3.15.1"
