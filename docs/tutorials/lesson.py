"""A terminal for the tutorials: a folder of their own, which is gone at the end, and what a command prints there."""

import atexit
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

FOLDER = Path(tempfile.mkdtemp(prefix="mnist_exp-lesson-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def shell(line: str, *, fails: bool = False) -> str:
    """Type a line in the terminal, show what it prints, and return that.

    Args:
        line: `python …` or `ls …`.
        fails: whether it is meant to end with another exit code than 0.
    """
    words = shlex.split(line)
    words = [sys.executable, *words[1:]] if words[0] == "python" else words
    # No choice of whoever builds the site.
    own = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "MNIST_EXP_DATA")}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "110"}
    done = subprocess.run(
        words, cwd=FOLDER, env=own | quiet, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if (done.returncode != 0) is not fails:
        raise RuntimeError(f"{line}\n{done.stdout}\nexit code {done.returncode}")
    print(f"$ {line}\n{done.stdout.rstrip()}")
    return done.stdout


def found(name: str, printed: str) -> str:
    """Return what stands behind a name at the beginning of a line, as the id behind `run`."""
    return re.findall(rf"^{name} +(\S+)", printed, re.MULTILINE)[-1]


def show(picture: str) -> None:
    """Show a picture that lies in the folder."""
    image = plt.imread(FOLDER / picture)
    height, width = image.shape[:2]
    figure = plt.figure(figsize=(width / 150, height / 150), dpi=150)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(image)
    axes.axis("off")
