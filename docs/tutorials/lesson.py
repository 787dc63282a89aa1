"""A terminal for the tutorials: a folder of their own, which is gone at the end, and what a command prints there."""

import atexit
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

FOLDER = Path(tempfile.mkdtemp(prefix="mnist_exp-lesson-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


# No choice of whoever builds the site, and nothing that only this machine would print.
_ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "MNIST_EXP_DATA")},
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "COLUMNS": "110",
}


def shell(line: str, *, code: int = 0, interrupt_at: str | None = None) -> str:
    """Type a line in the terminal, show what it prints, and return that.

    Args:
        line: `python …` or `ls …`.
        code: the exit code that it is meant to end with.
        interrupt_at: press Ctrl-C when it has printed a line that begins so.
    """
    print(f"$ {line}")
    words = shlex.split(line)
    words = [sys.executable, *words[1:]] if words[0] == "python" else words
    printed = ""
    with subprocess.Popen(
        words, cwd=FOLDER, env=_ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for part in process.stdout:
            printed += part
            if interrupt_at is not None and part.startswith(interrupt_at):
                process.send_signal(signal.SIGINT)
    print(printed.rstrip())
    if process.returncode != code:
        raise RuntimeError(f"{line}\n{printed}\nexit code {process.returncode}, not {code}")
    return printed


def write(name: str, text: str) -> None:
    """Write a file in the folder, as you would in an editor."""
    file = FOLDER / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.lstrip())


def found(name: str, printed: str) -> str:
    """Return what stands behind a name at the beginning of a line, as the id behind `run`."""
    return re.findall(rf"^{name} +(\S+)", printed, re.MULTILINE)[-1]


def show(picture: str) -> None:
    """Show the newest picture of that name, which a command left somewhere in the folder."""
    image = plt.imread(max(FOLDER.rglob(picture), key=lambda file: file.stat().st_mtime))
    height, width = image.shape[:2]
    figure = plt.figure(figsize=(width / 150, height / 150), dpi=150)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(image)
    axes.axis("off")
