#!/usr/bin/env bash
# keras 3.15.1 on TensorFlow: the callback SwapEMAWeights, which validates the averaged weights, changes the training.
#
# Expected: weights and averages are exchanged for the validation, and afterwards exchanged back: the training is the same
# with and without the callback.
# Seen: on TensorFlow they are exchanged by adding and subtracting one and the other, "to prevent variable creation". Each
# exchange rounds, so that both come back with other last bits, and the losses of the next epochs differ.
# On JAX and torch they are copied.
# Source: keras/src/callbacks/swap_ema_weights.py, `_tf_swap_variables` and `_backend_swap_variables`.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 tensorflow==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 KERAS_HOME="$folder" "$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import keras
import numpy as np


def fitted(*callbacks):
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 20)), rng.normal(size=(200, 2))
    model = keras.Sequential([keras.Input((20,)), keras.layers.Dense(50, activation="relu"), keras.layers.Dense(2)])
    model.compile(optimizer=keras.optimizers.Adam(use_ema=True), loss="mse")
    options = {"epochs": 8, "verbose": 0, "shuffle": False, "validation_data": (x, y)}
    return model, model.fit(x, y, callbacks=list(callbacks), **options).history["loss"]


plain, again, swapped = fitted()[1], fitted()[1], fitted(keras.callbacks.SwapEMAWeights())[1]
print("loss of each epoch without the callback:", *plain)
print("loss of each epoch with it:             ", *swapped)
assert plain == again != swapped

model, _ = fitted()
rng = np.random.default_rng(1)
model.set_weights([w + 0.1 * rng.normal(size=w.shape).astype(np.float32) for w in model.get_weights()])
before, swap = model.get_weights(), keras.callbacks.SwapEMAWeights()
swap.set_model(model)
swap.on_test_begin()
swap.on_test_end()
changed = sum(int((a != b).sum()) for a, b in zip(before, model.get_weights()))
print(f"{changed} of {sum(a.size for a in before)} weights have other bits after they were exchanged there and back")
assert changed > 0
PYTHON
echo "as seen with keras 3.15.1 and tensorflow 2.21.0"
