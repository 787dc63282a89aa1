"""The losses of the first steps of the recipes, for `test_golden_losses`: `python golden_losses.py` prints them.

`golden_losses.json` was printed by commit 5e05cfd. It is written anew only with a change that is meant to change the
mathematics, and that change says so.
"""

import importlib.metadata
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RECIPES = {"fast": ["experiment=fast"], "baseline": [], "convnet": ["model=convnet"]}
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


def losses():
    from mnist_exp import compose, run

    return {
        f"{recipe}/{length}": {name: run(settings).history[name] for name in ("loss", "val_loss")}
        for recipe, own in RECIPES.items()
        for length, common in LENGTHS.items()
        for settings in [compose([*COMMON, *own, *common])]
    }


if __name__ == "__main__":
    import contextlib
    import sys

    with contextlib.redirect_stdout(sys.stderr):
        found = losses()
    print(json.dumps({"environment": environment(), "losses": found}, indent=1))
