#!/usr/bin/env bash
# absl-py 2.5.1: whoever wraps sys.stderr may find the wrapped stream closed, by `logging.config.dictConfig`.
#
# Expected: a log handler on stderr leaves stderr open, as logging.StreamHandler does.
# Seen: absl's PythonHandler keeps the sys.stderr of its import. `dictConfig` closes all handlers that exist, and this one then closes
# its stream, unless that stream is (or equals) the present sys.stderr, sys.stdout, or Python's own sys.__stderr__. Python's own
# stderr is safe. A stream that somebody else had put in its place (a notebook, a worker of Ray) is closed as soon as a third
# party has wrapped it: everything that prints afterwards fails with "I/O operation on closed file".
# Source: absl/logging/__init__.py, PythonHandler.close.
# The script fails if a later run behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check absl-py==2.5.1
cat > "$folder/seen.py" <<'PYTHON'
import logging.config
import sys

kind, path = sys.argv[1:]
real = sys.stderr
if kind == "replaced":
    sys.stderr = open(path, "w")  # As a notebook, or a worker of Ray, has one of its own.
first = sys.stderr
import absl.logging  # noqa: E402  It keeps the stderr of now.


class Wrapper:
    """Passes on all that it is asked."""

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream, name)


sys.stderr = Wrapper(first)
logging.config.dictConfig({"version": 1})
print("closed" if first.closed else "open")
sys.stderr = real
PYTHON
own=$("$folder/venv/bin/python" "$folder/seen.py" own "$folder/file")
replaced=$("$folder/venv/bin/python" "$folder/seen.py" replaced "$folder/file")
echo "Python's own stderr, wrapped: $own after dictConfig; a replaced stderr, wrapped: $replaced"
[ "$own" = open ] && [ "$replaced" = closed ]
echo "as seen with absl-py 2.5.1"
