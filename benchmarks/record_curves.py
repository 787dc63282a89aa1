"""Record the tables of curves that search_replay.py replays: all cells of a table with seed 1, then 2, then 3.

    python benchmarks/record_curves.py digits mnist conditional --folder FOLDER      # goes on where it stopped
    python benchmarks/record_curves.py digits --folder FOLDER --read                 # only reads what is recorded

Each part of a table is a sweep of this package, its cells given as `sweep.points`, one worker on one thread; so the
numbers do not depend on what else the machine does, but for the seconds of an epoch. The sweeps are recorded in a store
in FOLDER and read from there into benchmarks/curves/NAME.npz. MNIST is found as always ($MNIST_EXP_DATA), the digits of
8×8 are those of scikit-learn. Issued again, a sweep runs only what is missing. A table is written of the seeds that are
complete; a seed that an earlier table has is not recorded again.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import curve_tables
import measuring
import numpy as np
import yaml
from curve_tables import METRICS, RECIPES, SEEDS, Part, Recipe, Table

_CHEAP = (
    "hydra.launcher.n_workers=1",
    "trainer.threads=1",
    "trainer.checkpoint_every=null",
    "tracking.keep_models=none",
    "sweep.retry_failed=true",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", choices=list(RECIPES))
    parser.add_argument("--folder", type=Path, required=True, help="for the store, the logs and the digits")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--read", action="store_true", help="run nothing: write the tables of what is recorded")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    failures = 0
    for name in options.tables:
        earlier = _earlier(name)
        for seed in set(options.seeds) - set(earlier.about["seeds"] if earlier else ()):
            for number in range(len(RECIPES[name].parts) * (not options.read)):
                failures += _record(name, number, seed, folder)
        table = _read(name, folder, earlier)
        if table is None:
            print(f"{name}: no seed is complete")
        else:
            curve_tables.save(table, path := curve_tables.FOLDER / f"{name}.npz")
            size = path.stat().st_size / 1e6
            print(f"{name}: {len(table.cells)} cells × {table.seeds} seeds × {table.epochs} epochs, {size:.2f} MB")
    return 1 if failures else 0


def _record(name: str, number: int, seed: int, folder: Path) -> int:
    """Run the sweep of a part with a seed, and return its exit code."""
    recipe = RECIPES[name]
    part, called = recipe.parts[number], f"{name}-{number}"
    preset = {"sweep": {"points": part.points}}
    (folder / "conf" / "sweep").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "sweep" / f"{called}.yaml").write_text(
        "# @package _global_\ndefaults:\n  - default@sweep\n" + yaml.safe_dump(preset, sort_keys=False),
        encoding="utf-8",
    )
    command = [
        *(sys.executable, "-m", "mnist_exp.run", "-m", "--config-dir", str(folder / "conf"), f"sweep={called}"),
        *(word.replace("{digits}", str(_digits(folder))) for word in recipe.shared),
        *(*part.fixed, f"seed={seed}", f"trainer.epochs={recipe.epochs}", *_CHEAP, f"tracking.experiment={called}"),
    ]
    with (folder / f"{called}-{seed}.log").open("w", encoding="utf-8") as log:
        return subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, check=False).returncode


def _digits(folder: Path) -> Path:
    """Return the file with scikit-learn's digits; write it if there is none."""
    path = folder / "digits.npz"
    if not path.exists():
        from sklearn.datasets import load_digits

        digits = load_digits()
        np.savez(path, x=digits.images.astype(np.uint8), y=digits.target.astype(np.uint8))
    return path


def _earlier(name: str) -> Table | None:
    """Return the table that is there, if it has the same cells; None if there is none."""
    try:
        table = curve_tables.load(name)
    except FileNotFoundError:
        return None
    return table if table.about["parts"] == _parts(RECIPES[name]) else None


def _parts(recipe: Recipe) -> list[dict[str, Any]]:
    parts = [{"fixed": part.fixed, "levels": part.levels} for part in recipe.parts]
    return list(json.loads(json.dumps(parts)))


def _read(name: str, folder: Path, earlier: Table | None) -> Table | None:
    """Return the table of what the store has, and of the seeds of the earlier one; None if no seed is complete."""
    recipe = RECIPES[name]
    cells, names = curve_tables.of_parts(list(recipe.parts))
    whole: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for number, seed in enumerate(earlier.about["seeds"] if earlier else ()):
        whole[seed] = earlier.curves[:, number], earlier.test_accuracy[number]
    for seed in set(SEEDS) - set(whole):
        columns = [_of_part(f"{name}-{number}", part, seed, recipe, folder) for number, part in enumerate(recipe.parts)]
        curves = np.concatenate([column[0] for column in columns], axis=1)
        # A training that failed has no values from then on, but those of its first epoch.
        if not np.isnan(curves[0, :, 0]).any():
            whole[seed] = curves, np.concatenate([column[1] for column in columns])
    if not whole:
        return None
    about = {
        "title": recipe.title,
        "command": f"python benchmarks/record_curves.py {name}",
        "overrides": [*recipe.shared, f"trainer.epochs={recipe.epochs}", *_CHEAP],
        "machine": measuring.machine().partition(";")[0],
        "versions": measuring.versions("mnist_exp", "tensorflow", "keras", "scikit-learn"),
        "metrics": list(METRICS),
        "seeds": sorted(whole),
        "parts": _parts(recipe),
    }
    curves = np.stack([whole[seed][0] for seed in sorted(whole)], axis=1)
    return Table(about, cells, names, curves, np.stack([whole[seed][1] for seed in sorted(whole)]))


def _of_part(called: str, part: Part, seed: int, recipe: Recipe, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the curves, (metrics, cells, epochs), and the accuracies on the test set, (cells); NaN where none is."""
    import mnist_exp

    rows = {_words(point): row for row, point in enumerate(part.points)}
    curves = np.full((len(METRICS), len(rows), recipe.epochs), np.nan)
    tested = np.full(len(rows), np.nan)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    try:
        found = mnist_exp.runs(experiment=called, tracking_uri=uri)
    except mnist_exp.SettingsError:  # There is no such experiment or store yet.
        return curves, tested
    found = found[(found["kind"] == "run") & found["status"].isin(["FINISHED", "FAILED"])]
    if "seed" not in found or (found := found[found["seed"] == seed]).empty:
        return curves, tested
    columns = ["run_id", "test_accuracy", "tags.mnist_exp.point"]
    recorded = mnist_exp.runs(experiment=called, tracking_uri=uri, columns=columns).set_index("run_id")
    at: dict[str, int] = {}
    for run_id in found["run_id"]:
        point = json.loads(recorded.loc[run_id, "tags.mnist_exp.point"])
        at[run_id] = rows[_words({name: point[name] for name in part.levels})]
        tested[at[run_id]] = recorded.loc[run_id, "test_accuracy"]
    values = mnist_exp.history(found, metrics=list(METRICS), tracking_uri=uri)
    for run_id, metric, step, value in zip(
        values["run_id"], values["metric"], values["step"], values["value"], strict=True
    ):
        curves[METRICS.index(metric), at[run_id], int(step) - 1] = value if math.isfinite(value) else np.nan
    return curves, tested


def _words(point: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(value).replace(" ", "") for value in point.values())


if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = "tensorflow"
    sys.exit(main())
