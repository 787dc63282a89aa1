#!/usr/bin/env bash
# tensorflow 2.22.0rc0 with keras 3.15.1: the release candidate brings keras-nightly, which writes into the folder of keras.
#
# Expected: a project that needs `keras` and `tensorflow` has one Keras with a release candidate of TensorFlow too, or pip refuses.
# Seen: TensorFlow's final releases require `keras`, its release candidates `keras-nightly`. Both packages own the folder `keras/`.
# A resolver takes both without a word; which files of which version lie there depends on the order in which they were unpacked,
# `pip check` finds nothing, and `importlib.metadata.version("keras")` may name another version than `keras.__version__` does.
# Uninstalling one of the two takes away the files of the other.
# Source: the field Requires-Dist of the wheels of tensorflow 2.21.0 and 2.22.0rc0; RECORD of both packages of Keras.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/python" -m pip --disable-pip-version-check "$@"; }
pip install --quiet uv==0.9.13
for tensorflow in 2.21.0 2.22.0rc0; do
    # It reads metadata only, and installs nothing.
    printf 'keras==3.15.1\ntensorflow==%s\n' "$tensorflow" |
        "$folder/venv/bin/uv" pip compile --quiet --prerelease=allow --no-header --no-annotate - >"$folder/$tensorflow.txt"
    echo "tensorflow $tensorflow: $(grep '^keras' "$folder/$tensorflow.txt" | tr '\n' ' ')"
done
[ "$(grep -c '^keras' "$folder/2.21.0.txt")" = 1 ]
grep -q '^keras-nightly==' "$folder/2.22.0rc0.txt"
nightly=$(grep '^keras-nightly==' "$folder/2.22.0rc0.txt")
# Without what Keras itself needs: its version is read from its file.
pip install --quiet --no-deps keras==3.15.1
pip install --quiet --no-deps "$nightly"
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import re
from pathlib import Path

keras, nightly = (importlib.metadata.distribution(name) for name in ("keras", "keras-nightly"))
shared = {str(file) for file in keras.files} & {str(file) for file in nightly.files}
text = Path(keras.locate_file("keras/src/version.py")).read_text()
imported = re.search(r'__version__ = "(.+)"', text).group(1)
print(f"{len(shared)} files have two owners; metadata of keras: {keras.version}; what is imported: {imported}")
assert len(shared) > 500
assert keras.version == "3.15.1" != imported
PYTHON
pip uninstall --quiet --yes keras-nightly
pip show keras | head -2
if [ -e "$folder"/venv/lib/python3*/site-packages/keras/src/version.py ]; then
    echo "keras is whole after all" >&2
    exit 1
fi
echo "keras is still installed, and its files are gone: as seen with tensorflow 2.22.0rc0"
