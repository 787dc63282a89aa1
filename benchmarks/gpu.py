"""What a GPU answers in ten minutes: the baseline on JAX, its bits, images/s, trainings together, and the best recipe.

    MNIST_EXP_DATA=FOLDER python benchmarks/gpu.py            # one H100 or H200; JAX and Keras, no TensorFlow
    python benchmarks/gpu.py --parts record speed --seconds 200
    python benchmarks/gpu.py --small                          # on a CPU, to see that it works; its figures say nothing
    python benchmarks/gpu.py --parts                          # the table of an empty run

Each part has its own share of the time, its own processes, and prints its rows as it has them; what is stopped, fails
or is not reached says so in its row. What was not measured has no figure: `not run`. Raw numbers: `--output FILE`.

- record: does the baseline run on JAX, and record itself and its model? Are the bits of its weights equal twice?
- speed: images/s of the baseline, of `convnet` and of `resnet`, as runs record them, and of a plain Keras script of the
  same model, data, batch size and epochs. The first epoch, in which JAX compiles, is left out of both.
- together: seconds a job of `sweep.together` of 8, 64 and 256 perceptrons, and of the same one by one. Whole commands.
- best: `experiment=best_cpu` with twice its epochs, seeds 1 to 5 (named before anyone ran it), and their ensemble.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARES = {
    "record": 0.15,
    "speed": 0.25,
    "together": 0.3,
    "best": 0.3,
}  # of the time; what one leaves, the next ones get
ROWS = {
    "record": ["baseline on JAX: FINISHED, its model recorded", "weights equal twice, to the last bit"],
    "speed": [f"{model}: images/s, of a plain script, ratio" for model in ("cnn", "convnet", "resnet")],
    "together": ["one by one: s a job", *(f"together {n}: s a job, times as fast" for n in (8, 64, 256))],
    "best": ["single models: test accuracy, mean ± std of 5 seeds", "ensemble of them: test accuracy"],
}
NOT_RUN = "not run"
MODELS = {
    "cnn": ["model=cnn"],
    "convnet": ["model=convnet", "model.batch_norm=true"],
    "resnet": ["model=resnet"],
}
PERCEPTRON = ["model=mlp", "model.hidden_units=[32]", "data.validation=0.1"]
SEEDS = "1,2,3,4,5"


@dataclass(frozen=True)
class Sizes:
    """How large the work is: `small` proves that the script works."""

    data: list[str]
    of_record: list[str]
    of_speed: list[str]
    epochs_of_speed: int
    of_together: list[str]
    together: tuple[int, ...]
    alone: int
    best: list[str]


LARGE = Sizes(
    ["data=mnist"], ["trainer.epochs=3"], [], 6, [*PERCEPTRON, "trainer.epochs=5"], (8, 64, 256), 8,
    ["experiment=best_cpu", "trainer.epochs=72", "data.validation=5000"],
)  # fmt: skip
_TINY = ["data.limit=300", "trainer.batch_size=50"]
SMALL = Sizes(
    ["data=mnist_5k"], [*_TINY, "trainer.epochs=2", "model.filters=2", "model.dense_units=4"],
    [*_TINY, "trainer.batch_size=50"], 3, [*PERCEPTRON, *_TINY, "trainer.epochs=2"], (2, 3), 2,
    ["model=mlp", "model.hidden_units=[8]", "trainer.epochs=2", "data.validation=0.2", *_TINY],
)  # fmt: skip


@dataclass
class Part:
    """One part: until when it may run, and what it has found so far."""

    name: str
    until: float
    sizes: Sizes
    folder: Path
    rows: dict[str, str]
    raw: dict[str, Any] = field(default_factory=dict)

    def run(self, words: Sequence[str]) -> str:
        """Run a command in the part's folder until its time is over, and return what it printed.

        Raises: TimeoutError: the time is over. RuntimeError: the command failed.
        """
        environment = os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax", "COLUMNS": "120"}
        with tempfile.TemporaryFile("w+") as output:  # Not a pipe, which a process that is stopped leaves half read.
            process = subprocess.Popen(
                words, cwd=self.folder, env=environment, start_new_session=True, stdout=output, stderr=subprocess.STDOUT
            )
            try:
                process.wait(timeout=max(self.until - time.monotonic(), 1))
            except subprocess.TimeoutExpired as error:
                raise TimeoutError(f"stopped after its time: {' '.join(words[2:])[:120]}") from error
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # Its workers too: what is cut off gives no figure.
                process.wait()
            output.seek(0)
            printed = output.read()
        if process.returncode != 0:
            raise RuntimeError(f"exit code {process.returncode}: {' | '.join(printed.strip().splitlines()[-3:])[:400]}")
        return printed

    def train(self, *overrides: str, sweep: bool = False) -> str:
        """Run an experiment, or a sweep, on JAX."""
        multirun = ["-m"] if sweep else []
        words = ["mnist_exp.run", *multirun, *self.sizes.data, "trainer.backend=jax", *overrides]
        return self.run([sys.executable, "-m", *words])

    def stored(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        """Return what the part's store has."""
        with contextlib.closing(sqlite3.connect(self.folder / "mlflow.db")) as store:
            return store.execute(query, values).fetchall()

    def tell(self, row: str, found: str) -> None:
        """Note and print what was found."""
        self.rows[row] = found
        print(f"{self.name} | {row} | {found}", flush=True)


def record(part: Part) -> None:
    """Train the baseline twice, and compare what was recorded."""
    for _ in range(2):
        part.train("seed=7", *part.sizes.of_record)
    of_runs = "select run_uuid, status from runs order by start_time"
    runs = part.stored(of_runs)
    tag = "select value from tags where key = ? and run_uuid = ?"
    models = [part.stored(tag, "mnist_exp.model_uri", run_id) for run_id, _ in runs]
    weights = [part.stored(tag, "mnist_exp.weights_sha256", run_id)[0][0] for run_id, _ in runs]
    last = "select value from latest_metrics where key = 'test_accuracy' and run_uuid = ?"
    accuracy = [part.stored(last, run_id)[0][0] for run_id, _ in runs]
    part.raw |= {"runs": runs, "weights": weights, "test_accuracy": accuracy}
    is_done = all(status == "FINISHED" for _, status in runs) and all(models)
    part.tell(ROWS["record"][0], f"{'yes' if is_done else 'NO'}; test accuracy {accuracy[0]:.4f}")
    part.tell(ROWS["record"][1], "yes" if len(set(weights)) == 1 else f"NO: test accuracies {accuracy}")


def speed(part: Part) -> None:
    """Compare images/s with a plain script, model by model."""
    for row, (name, overrides) in zip(ROWS["speed"], MODELS.items(), strict=True):
        epochs = part.sizes.epochs_of_speed
        options = [*overrides, *part.sizes.of_speed, f"trainer.epochs={epochs}", "seed=7"]
        part.train(*options)
        asked = (
            "select value from metrics where key = 'images_per_s' and step > 1 and run_uuid = "
            "(select run_uuid from runs order by start_time desc limit 1)"
        )
        ours = [value for (value,) in part.stored(asked)]
        words = [sys.executable, __file__, "--plain", *part.sizes.data, "trainer.backend=jax", *options]
        theirs = json.loads(re.findall(r"^PLAIN (.*)$", part.run(words), re.MULTILINE)[-1])
        part.raw[name] = {"ours": ours, "plain": theirs}
        median = statistics.median(ours), statistics.median(theirs)
        part.tell(row, f"{median[0]:,.0f}; {median[1]:,.0f}; × {median[0] / median[1]:.2f}")


def plain(overrides: Sequence[str]) -> None:
    """Train the same model by `model.fit` on arrays, and print images/s of each epoch but the first."""
    import keras

    import mnist_exp
    from mnist_exp import data

    settings = mnist_exp.compose(list(overrides))
    dataset = data.load(settings)
    split = data.split(dataset, limit=settings.data.limit, validation=settings.data.validation, seed=settings.seed)
    keras.utils.set_random_seed(settings.seed)
    model = settings.model.build(input_shape=dataset.shape, classes=dataset.outputs)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, x_val = (each.astype("float32") / 255 for each in (split.x_train, split.x_val))
    taken: list[float] = []
    for _ in range(settings.trainer.epochs):
        began = time.perf_counter()
        model.fit(x, split.y_train, batch_size=settings.trainer.batch_size, verbose=0)
        taken.append(len(x) / (time.perf_counter() - began))
        model.evaluate(x_val, split.y_val, batch_size=1000, verbose=0)
    print(f"PLAIN {json.dumps(taken[1:])}")


def together(part: Part) -> None:
    """Time the same grid one by one and together."""
    rows = iter(
        ROWS["together"] if part.sizes is LARGE else ["one by one: s a job", *map(_row_of, part.sizes.together)]
    )
    alone = _seconds_a_job(part, part.sizes.alone, [])
    part.tell(next(rows), f"{alone:.2f} ({part.sizes.alone} jobs)")
    for count in part.sizes.together:
        row = next(rows)
        each = _seconds_a_job(part, count, [f"sweep.together={count}"])
        part.tell(row, f"{each:.3f}; × {alone / each:.1f}")


def _row_of(count: int) -> str:
    return f"together {count}: s a job, times as fast"


def _seconds_a_job(part: Part, jobs: int, how: list[str]) -> float:
    began = time.perf_counter()
    # Other seeds each time: a job that is done is not run again.
    first = len(part.raw) * 1000
    part.train(f"seed=range({first},{first + jobs})", *part.sizes.of_together, *how, sweep=True)
    taken = time.perf_counter() - began
    part.raw[" ".join([f"{jobs} jobs", *how])] = taken
    return taken / jobs


def best(part: Part) -> None:
    """Train five seeds of the best recipe, and put their models together."""
    output = part.train(f"seed={SEEDS}", *part.sizes.best, sweep=True)
    parent = re.findall(r"^parent +([0-9a-f]{32})", output, re.MULTILINE)[-1]
    asked = "select value from latest_metrics where key = 'test_accuracy' and run_uuid in " + (
        "(select run_uuid from tags where key = 'mlflow.parentRunId' and value = ?)"
    )
    accuracies = [value for (value,) in part.stored(asked, parent)]
    part.raw["test_accuracy"] = accuracies
    mean, spread = statistics.fmean(accuracies), statistics.stdev(accuracies)
    part.tell(ROWS["best"][0], f"{mean:.4f} ± {spread:.4f}")
    shown = part.run([sys.executable, "-m", "mnist_exp.evaluate", parent, "--ensemble", "--json"])
    found = json.loads(shown.strip().splitlines()[-1])
    part.raw["ensemble"] = {name: found[name] for name in ("accuracy", "interval", "images")}
    part.tell(ROWS["best"][1], f"{found['accuracy']:.4f}")


PARTS: dict[str, Callable[[Part], None]] = {"record": record, "speed": speed, "together": together, "best": best}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=570.0, help="for all parts")
    parser.add_argument("--small", action="store_true", help="tiny work, on whatever JAX finds")
    parser.add_argument("--output", type=Path, help="a JSON file for the raw numbers")
    parser.add_argument("--plain", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain is not None:
        plain(options.plain)
        return 0
    rows = {name: dict.fromkeys(ROWS[name], NOT_RUN) for name in PARTS}
    raw: dict[str, Any] = {"machine": _machine(), "small": options.small}
    print(raw["machine"], flush=True)
    left, end = list(options.parts), time.monotonic() + options.seconds
    while left:
        name = left.pop(0)
        share = SHARES[name] / (SHARES[name] + sum(SHARES[other] for other in left))
        raw[name] = done(name, time.monotonic() + share * (end - time.monotonic()), options.small, rows[name])
        if options.output is not None:
            options.output.write_text(json.dumps(raw, indent=1), encoding="utf-8")
    print(f"\n{raw['machine']}\n\n" + "\n".join(table(rows, options.small)))
    return 0


def done(name: str, until: float, is_small: bool, rows: dict[str, str]) -> dict[str, Any]:
    """Do one part; return its raw numbers. Whatever happens, the next part goes on."""
    with _folder() as folder:
        part, began = Part(name, until, SMALL if is_small else LARGE, folder, rows), time.monotonic()
        try:
            PARTS[name](part)
        except Exception as error:
            part.raw["error"] = f"{type(error).__name__}: {error}"
            print(f"{name} | {part.raw['error']}", flush=True)
            for row in [row for row, found in rows.items() if found == NOT_RUN]:
                rows[row] = f"{NOT_RUN}: {part.raw['error'][:200]}"
        return part.raw | {"seconds": time.monotonic() - began}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mnist_exp-gpu-") as name:
        yield Path(name)


def table(rows: dict[str, dict[str, str]], is_small: bool) -> list[str]:
    """Return the lines of the table in Markdown."""
    note = " (small sizes: no figure of a GPU)" if is_small else ""
    head = [f"| part | what | found{note} |", "| --- | --- | --- |"]
    return head + [f"| {name} | {row} | {found} |" for name, of_part in rows.items() for row, found in of_part.items()]


def _machine() -> str:
    """Return devices and versions, asked in another process: this one must not hold the GPU's memory."""
    asked = "import jax; print('; '.join(f'{d.platform} {d.device_kind}' for d in jax.devices()))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=False)
    devices = (done.stdout.strip().splitlines() or ["JAX cannot be imported"])[-1]
    found = [f"Python {platform.python_version()}"]
    for package in ("jax", "jaxlib", "keras", "tensorflow", "torch"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{package} {metadata.version(package)}")
    return f"{devices}; {os.cpu_count()} CPUs; {', '.join(found)}; {time.strftime('%Y-%m-%d')}"


if __name__ == "__main__":
    sys.exit(main())
