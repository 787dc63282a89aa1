"""Why something failed, in one sentence: what the error says, and the user's own line that it came from."""

import math
import re
import traceback
from pathlib import Path

from mnist_exp.errors import MnistExpError, first_line
from mnist_exp.runtime import own_modules

# What Keras and TensorFlow say before they come to the point.
_PREFACE = re.compile(
    r"^(Exception encountered when calling|Could not automatically infer the output|Graph execution error|Detected at "
    r"node|in user code|<stack traces|File \"|Traceback|\[\[\{\{node|\d+ root error|\(\d+\) |$)"
)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_NODES = re.compile(r"^\{\{[^}]*\}\} ?| for '\{\{node .*?'(?= with |$)")
_IN_TEXT = re.compile(r'File "([^"\n]+)", line (\d+)')
_ASKED = re.compile(r"(?:shape|with shape) ?[\[(]([\d, ]+)[\])] and (?:data )?type (\w+)")
_BYTES = {"float": 4, "float32": 4, "double": 8, "float64": 8, "half": 2, "float16": 2, "bfloat16": 2, "uint8": 1}
_LONGEST = 400  # characters


def reason(error: BaseException) -> str:
    """Return why something failed as one line: `ValueError: no such layer (my_pkg/nets.py, line 12)`."""
    place = where(error)
    return f"{_point(error)} ({place})" if place else _point(error)


def out_of_memory(error: BaseException) -> str:
    """Return what was too large where memory ran out, for people; empty for any other error.

    TensorFlow, JAX and PyTorch each have an error of their own for it, and NumPy has Python's.
    """
    text = _COLOURS.sub("", str(error))
    is_it = isinstance(error, MemoryError) or type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")
    if not is_it and "RESOURCE_EXHAUSTED" not in text:
        return ""
    asked = _ASKED.search(text)
    if asked is None:
        return "out of memory"
    shape = [int(number) for number in re.findall(r"\d+", asked[1])]
    size = math.prod(shape) * _BYTES.get(asked[2], 4) / 1e9
    return f"out of memory: an array of the shape {'×'.join(map(str, shape))} needs {size:,.1f} GB"


def where(error: BaseException) -> str:
    """Return the last line of the user's own code on the way of an error: `my_pkg/nets.py, line 12`; empty if none."""
    chain = [error]
    while chain[-1].__cause__ is not None and chain[-1].__cause__ not in chain:
        chain.append(chain[-1].__cause__)
    for each in reversed(chain):  # The first cause knows best.
        frames = [(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(each.__traceback__)]
        # Where TensorFlow traced a function, the way is in the message only.
        frames += [(name, int(line)) for name, line in _IN_TEXT.findall(str(each))]
        own = [(name, line) for name, line in frames if own_modules.is_own_file(name)]
        if own:
            return f"{_short(own[-1][0])}, line {own[-1][1]}"
    return ""


def _point(error: BaseException) -> str:
    """Return the line of an error's message that says what is wrong, with the error's type."""
    if isinstance(error, MnistExpError):
        return first_line(error)
    lines = (line.strip() for line in _COLOURS.sub("", str(error)).splitlines())
    text = _NODES.sub("", next((line for line in lines if not _PREFACE.match(line)), ""))
    return f"{type(error).__name__}: {text[:_LONGEST]}" if text else first_line(error)


def _short(file: str) -> str:
    """Return a file as a person knows it: from the folder that they work in, or from its import folder."""
    path = Path(file)
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return str(path.relative_to(folder))
