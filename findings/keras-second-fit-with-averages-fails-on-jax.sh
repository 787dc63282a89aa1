#!/usr/bin/env bash
# keras 3.15.1 on JAX: with `use_ema=True` a model can be fitted once; the second `fit` raises a TypeError.
#
# Expected: `fit` can be called again, as it can on TensorFlow, and as it can without `use_ema`.
# Seen: at the end of `fit` Keras assigns each average to its variable. On JAX an assignment copies nothing, so that both
# have one buffer; the next step gives the buffers of all variables away ("donates" them), this one twice, and fails.
# Source: keras/src/optimizers/base_optimizer.py, `_overwrite_model_variables_with_average_value`, and
# keras/src/backend/jax/trainer.py, `donate_argnums`.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2
KERAS_BACKEND=jax KERAS_HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import keras
import numpy as np


def second_fit(use_ema):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer=keras.optimizers.SGD(use_ema=use_ema), loss="mse")
    x, y = np.ones((8, 3)), np.zeros((8, 2))
    model.fit(x, y, verbose=0)
    try:
        model.fit(x, y, verbose=0)
    except TypeError as error:
        return str(error)
    return "fine"


without, averaged = second_fit(False), second_fit(True)
print(f"second fit without averages: {without}; with them: {averaged}")
assert without == "fine"
assert averaged == "'NoneType' object is not callable"
PYTHON
echo "as seen with keras 3.15.1 and jax 0.10.2"
