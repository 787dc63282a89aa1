"""The losses of the first steps of the recipes equal those of commit 5e05cfd."""

import json
import os
import subprocess
import sys
from pathlib import Path

import golden_losses
import pytest

KEPT = json.loads(Path(golden_losses.__file__).with_suffix(".json").read_text())
SAME_MACHINE = golden_losses.environment() == KEPT["environment"]
# Elsewhere additions are done in another order; `fast` computes in bfloat16, of 8 bits.
TOLERANCE = {"fast": 2e-2, "baseline": 1e-4, "convnet": 1e-4}


@pytest.fixture(scope="module")
def found():
    # Of one thread: a process chooses that once.
    done = subprocess.run([sys.executable, golden_losses.__file__], capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["losses"]


@pytest.mark.parametrize("name", KEPT["losses"])
def test_losses_equal_the_recorded_ones(name, found):
    if SAME_MACHINE:
        assert found[name] == KEPT["losses"][name]
    for metric, values in KEPT["losses"][name].items():
        assert found[name][metric] == pytest.approx(values, rel=TOLERANCE[name.partition("/")[0]], abs=1e-6)
