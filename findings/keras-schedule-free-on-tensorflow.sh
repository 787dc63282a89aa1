#!/usr/bin/env bash
# keras 3.15.1 on TensorFlow: ScheduleFreeAdamW computes its averages from a sequence that it has already moved on.
#
# Expected: the weights of the training follow algorithm 1 of the source (arXiv:2405.15682), as on JAX.
# Seen: on TensorFlow they are off from the first step on. `momentum_old = momentum.value` is meant to be the value before
# the update, but on TensorFlow it is the variable itself, and reads the value after it. So there the weights of the training
# are the averages themselves, and beta_1 changes nothing. On JAX the training is right, but its weights stay in the model;
# the averages, which the source evaluates, are never put into it.
# Source: keras/src/optimizers/schedule_free_adamw.py, `update_step`; there is no `finalize_variable_values`.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 tensorflow==2.21.0 jax==0.10.2
cat > "$folder/seen.py" <<'PYTHON'
import sys

import keras
import numpy as np

rng = np.random.default_rng(0)
y, gradients = rng.normal(size=(4, 3)), rng.normal(size=(10, 4, 3))
variable = keras.Variable(y.astype("float32"))
optimizer = keras.optimizers.ScheduleFreeAdamW(learning_rate=0.1)
optimizer.build([variable])
z, x, square = y.copy(), y.copy(), np.zeros_like(y)
for step, gradient in enumerate(gradients, start=1):
    optimizer.apply([keras.ops.convert_to_tensor(gradient.astype("float32"))])
    square = 0.999 * square + 0.001 * gradient**2
    z = z - 0.1 * gradient / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    x = (1 - 1 / step) * x + z / step
    y = 0.1 * z + 0.9 * x
optimizer.finalize_variable_values([variable])
found = np.asarray(keras.ops.convert_to_numpy(variable))
off, from_average = np.abs(found - y).max(), np.abs(found - x).max()
print(f"{keras.backend.backend()}: off from the source by {off:.1e}; kept weights off from the averages by {from_average:.1e}")
on_tensorflow = keras.backend.backend() == "tensorflow"
sys.exit(0 if (off > 1e-2) == on_tensorflow and (from_average < 1e-5) == on_tensorflow else 1)
PYTHON
for backend in tensorflow jax; do
    TF_CPP_MIN_LOG_LEVEL=3 KERAS_HOME="$folder" KERAS_BACKEND=$backend "$folder/venv/bin/python" "$folder/seen.py" 2>/dev/null
done
echo "as seen with keras 3.15.1 and tensorflow 2.21.0"
