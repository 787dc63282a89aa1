"""Sweeps as `-m --json` tells them."""

import json
import subprocess
import sys
from importlib import resources

import jsonschema

SCHEMA = json.loads(resources.files("mnist_exp.results").joinpath("schemas", "sweep-1.json").read_text("utf-8"))


def sweep_as_data(*words, code=0):
    """Run a sweep; return its document, checked against the schema, and what was told beside it."""
    done = subprocess.run(
        [sys.executable, "-m", "mnist_exp.run", "-m", "--json", *words],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == code, done.stdout + done.stderr
    document = json.loads(done.stdout)
    jsonschema.validate(document, SCHEMA)
    return document, done.stderr
