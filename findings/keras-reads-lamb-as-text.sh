#!/usr/bin/env bash
# keras 3.15.1: an optimizer Lamb that was serialised is read back as the text "lamb".
#
# Expected: keras.optimizers.deserialize(keras.optimizers.serialize(optimizer)) is an optimizer, as for all others.
# Seen: for Lamb it is a text; keras.optimizers.get("lamb") raises. Lamb is not in the list by which names are found.
# Source: keras/src/optimizers/__init__.py, `ALL_OBJECTS`.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check keras==3.15.1 jax==0.10.2
KERAS_HOME="$folder" KERAS_BACKEND=jax "$folder/venv/bin/python" - <<'PYTHON' 2>/dev/null
import keras

found = {}
for kind in (keras.optimizers.Adam, keras.optimizers.Lamb):
    read = keras.optimizers.deserialize(keras.optimizers.serialize(kind()))
    found[kind.__name__] = read if isinstance(read, str) else type(read).__name__
print("read back:", found)
assert found["Adam"] == "Adam" and isinstance(keras.optimizers.Lamb(), keras.Optimizer)
assert found["Lamb"] in ("Lamb", "lamb")
try:
    keras.optimizers.get("lamb")
except ValueError as error:
    print("keras.optimizers.get:", error)
else:
    raise SystemExit("keras.optimizers.get found it")
PYTHON
echo "as seen with keras 3.15.1"
