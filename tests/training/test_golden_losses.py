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
# Elsewhere additions are done in another order; `fast` computes in bfloat16, of 8 bits. On TensorFlow 2.22.0rc0
# `convnet` differs by 2e-4 in the last two of its twenty steps.
TOLERANCE = {"fast": 2e-2, "baseline": 1e-4, "convnet": 5e-4}


# Twenty epochs of `fast` take 40 s where the CPU has no arithmetic in bfloat16.
RECIPES = [["baseline/steps", "baseline/epoch", "convnet/steps", "convnet/epoch", "fast/epoch"], ["fast/steps"]]


@pytest.mark.parametrize("names", [RECIPES[0], pytest.param(RECIPES[1], marks=pytest.mark.slow)], ids=["quick", "slow"])
def test_losses_equal_the_recorded_ones(names):
    # In a process of its own, which has one thread: that is chosen once.
    words = [sys.executable, golden_losses.__file__, *names]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["losses"]
    for name in names:
        if SAME_MACHINE:
            assert found[name] == KEPT["losses"][name]
        for metric, values in KEPT["losses"][name].items():
            assert found[name][metric] == pytest.approx(values, rel=TOLERANCE[name.partition("/")[0]], abs=1e-6)


def test_every_recipe_is_compared():
    assert sorted([*RECIPES[0], *RECIPES[1]]) == sorted(KEPT["losses"])
