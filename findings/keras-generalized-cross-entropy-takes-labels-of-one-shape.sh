#!/usr/bin/env bash
# keras 3.15.1: CategoricalGeneralizedCrossEntropy takes whole numbers of the shape (n,) only, and tells of others not always.
#
# Expected, by its name: one-hot labels; and of labels as a column (n, 1), in which Keras's own data sets have them, the same loss.
# Seen: a column gives another loss without a word, 0.615 for 0.360; SparseCategoricalCrossentropy gives the same for both. One-hot
# labels raise an error, but not in a batch as large as the number of classes: there they give 0.637 for 0.269.
# Source: keras/src/losses/losses.py, `categorical_generalized_cross_entropy`: the one-hot form of `y_true` as it is, times `y_pred`.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2
KERAS_HOME="$folder" KERAS_BACKEND=jax "$folder/venv/bin/python" - <<'PYTHON'
import keras
import numpy as np

labels = np.array([0, 1, 0, 1])
outputs = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.4, 0.6]], np.float32)
loss, usual = keras.losses.CategoricalGeneralizedCrossEntropy(), keras.losses.SparseCategoricalCrossentropy()
row, column = float(loss(labels, outputs)), float(loss(labels[:, None], outputs))
print(f"labels (4,): {row:.4f}, (4, 1): {column:.4f}")
true = outputs[np.arange(4), labels]
assert abs(row - ((1 - true**0.5) / 0.5).mean()) < 1e-5
assert abs(column - 0.6150) < 1e-3, "Keras changed: a column is another loss no longer"
assert float(usual(labels, outputs)) == float(usual(labels[:, None], outputs))
few, one_hot = float(loss(labels[:2], outputs[:2])), float(loss(np.eye(2)[labels[:2]], outputs[:2]))
print(f"labels (2,): {few:.4f}, one-hot (2, 2): {one_hot:.4f}")
assert abs(few - 0.2689) < 1e-3 and abs(one_hot - 0.6370) < 1e-3, "Keras changed: one-hot labels"
try:
    loss(np.eye(2)[labels], outputs)
except Exception as error:
    print("one-hot (4, 2):", type(error).__name__)
else:
    raise SystemExit("Keras changed: one-hot labels raise no error")
PYTHON
echo "as seen with keras 3.15.1"
