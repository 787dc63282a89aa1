"""The reference of commands: what `python -m mnist_exp.NAME --help` prints, for each NAME."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from generate.links import ROOT
from generate.markdown import block, table
from mnist_exp.commands import MEANINGS, names


def text() -> str:
    """Return a section a command, the best known ones first."""
    with ThreadPoolExecutor(2) as pool:
        return "\n".join(map(_section, names(), pool.map(_help, names())))


def exit_codes() -> str:
    """Return what each exit code means, whichever command ends with it."""
    return table(("code", "meaning"), [[str(code), meaning] for code, meaning in MEANINGS.items()])


def _help(name: str) -> str:
    environment = {**os.environ, "COLUMNS": "92", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", f"mnist_exp.{name}", "--help"]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def _section(name: str, shown: str) -> str:
    if name == "run":
        shown = shown.partition("\nGroups (")[0]
        purpose, shown = shown.split("\n\n", 1)
        more = "\nGroups, choices and options have [a page of their own](options.md).\n"
    else:
        usage, purpose, rest = re.split(r"\n\n", shown, maxsplit=2)
        shown, more = f"{usage}\n\n{rest}", ""
    return f"## {name}\n\n{' '.join(purpose.split())}\n\n{block(shown)}{more}"
