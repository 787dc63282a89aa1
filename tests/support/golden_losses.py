"""Losses of the first steps of the recipes, for `test_golden_losses`: `python golden_losses.py [NAME …]` prints them.

`golden_losses.json` was printed by commit 5e05cfd. It is written anew only with a change that is meant to change the
mathematics, and that change says so.
"""

import importlib.metadata
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# As `fast` was when they were printed.
FAST = ["experiment=fast", "model.filters=[16,32]", "loss.label_smoothing=0", "trainer.batch_size=256"]
RECIPES = {"fast": FAST, "baseline": [], "convnet": ["model=convnet"]}
COMMON = ["data=mnist_5k", "tracking=none", "trainer.threads=1"]
# An epoch of one step tells that step's loss; an epoch of twenty has the order of batches in it.
LENGTHS = {
    "steps": ["data.limit=200", "trainer.batch_size=200", "trainer.epochs=20"],
    "epoch": ["trainer.batch_size=200", "trainer.epochs=1"],
}


def environment():
    """What the last digits depend on."""
    with Path("/proc/cpuinfo").open() as lines:
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    packages = {name: importlib.metadata.version(name) for name in ("tensorflow", "keras", "numpy")}
    return {"cpu": cpu} | packages


def losses(names):
    """Return the losses, by names as `baseline/steps`; of all recipes if there are no names."""
    from mnist_exp import compose, run

    all_of_them = [f"{recipe}/{length}" for recipe in RECIPES for length in LENGTHS]
    found = {}
    for name in names or all_of_them:
        recipe, _, length = name.partition("/")
        history = run(compose([*COMMON, *RECIPES[recipe], *LENGTHS[length]])).history
        found[name] = {metric: history[metric] for metric in ("loss", "val_loss")}
    return found


if __name__ == "__main__":
    import contextlib
    import sys

    with contextlib.redirect_stdout(sys.stderr):
        found = losses(sys.argv[1:])
    print(json.dumps({"environment": environment(), "losses": found}, indent=1))
