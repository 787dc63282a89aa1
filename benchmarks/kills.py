"""Kill runs with -9 at random moments, resume them until they are done, and compare them with uninterrupted ones.

    python benchmarks/kills.py --runs 20 --sweep-kills 5 --code-kills 20

Every metric of every epoch, the metrics at the end and the SHA-256 of all weights must be the same to the last bit. The
runs differ in what a checkpoint has to keep: momentum, augmentation, schedules, early stopping, lowered rates,
the state of a callback of one's own; and in where the examples come from.

With --code-kills, a sweep over a model of the user's own is killed again and again, and its code is changed in between,
half of the times while it runs, to the first of two versions or to the second. At the end its leaderboard must be that
of the code as it is then.
"""

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from PIL import Image

DATA = ["data=mnist_5k", "data.validation=0.2", "trainer.epochs=4", "trainer.batch_size=50"]
KINDS = {
    "baseline": [],
    "momentum, affine": ["optimizer=sgd", "augment=affine"],
    "early stopping, best": ["trainer.early_stopping_patience=1", "trainer.restore_best=true"],
    "plateau": ["trainer.plateau_patience=1", "optimizer.learning_rate=0.02"],
    "one cycle, averages": ["schedule=one_cycle", "+optimizer.use_ema=true"],
    "focal, balanced": ["loss=focal", "trainer.class_weight=balanced", "objective=val_macro_f1", "metrics=ranking"],
    "mixup": ["augment=mixup", "augment.alpha=1.0"],
    "own callback": ["+callbacks.own={_target_: own_calls.Slower}", "trusted_modules=[own_calls]"],
    "streaming folder": ["data=image_folder", "data.path=photos", "data.channels=3", "data.in_memory_mb=1"],
}
GRID = ["-m", *DATA, "model.filters=4,8,12,16", "model.dropout=0.1,0.3,0.5", "hydra.launcher.n_workers=2"]
TIMES = ("epoch_time_s", "images_per_s", "fit_time_s")


CALLS = """
import keras
class Slower(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.losses = []
    def on_train_batch_end(self, batch, logs=None):
        self.losses = [*self.losses[-99:], float(logs["loss"])]
        self.model.optimizer.learning_rate = 1e-3 / (1 + sum(self.losses) / 100)
    def on_epoch_end(self, epoch, logs=None):
        logs["seen"] = sum(self.losses)
"""


def words_of(kind: str) -> list[str]:
    """Return the overrides of a kind; one with data of its own does without ours."""
    own = KINDS[kind]
    has_data = any(word.startswith("data=") for word in own)
    return [*(word for word in DATA if not (has_data and word.startswith("data="))), *own]


def prepared(folder: Path, kind: str) -> Path:
    """Put what a kind of run needs into its folder."""
    if kind == "own callback":
        (folder / "own_calls.py").write_text(CALLS)
    if kind == "streaming folder":
        rng = np.random.default_rng(0)
        for number in range(4000):
            file = folder / "photos" / f"class {number % 4}" / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 200, (32, 32, 3)) + 15 * (number % 4)
            Image.fromarray(pixels.astype(np.uint8)).save(file)
    return folder


def start(folder: Path, *arguments: str) -> subprocess.Popen:
    with (folder / "output.txt").open("ab") as output:
        command = [sys.executable, "-m", "mnist_exp.run", *arguments]
        return subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)


def finish(folder: Path, *arguments: str) -> float:
    """Run a command to its end and return the seconds from the moment at which its run had begun."""
    process = start(folder, *arguments)
    wait_for_begin(folder, process)
    began = time.perf_counter()
    if process.wait() != 0:
        sys.exit((folder / "output.txt").read_text() + f"\nexit code {process.returncode} of {arguments}")
    return time.perf_counter() - began


def wait_for_begin(folder: Path, process: subprocess.Popen) -> None:
    """Wait until a process has a run of its own, or the first of its workers has, or it has ended."""
    while process.poll() is None:
        owners = [file.read_text() for file in folder.glob("unfinished/*/owner") if file.exists()]
        for pid in (int(owner.split("/")[1]) for owner in owners if owner.count("/") == 2):
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(pid) == process.pid:
                    return
        time.sleep(0.02)


def kill(folder: Path, after_s: float, *arguments: str) -> bool:
    """Start a command and kill it some time after its run began; tell whether it was still running then."""
    before = resumptions(folder)
    process = start(folder, *arguments)
    wait_for_begin(folder, process)
    while arguments[0].startswith("resume=") and process.poll() is None and resumptions(folder) == before:
        time.sleep(0.02)  # It has the run, but is still importing.
    try:
        process.wait(after_s)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def resumptions(folder: Path) -> int:
    output = folder / "output.txt"
    return output.read_text().count("resumes    run") if output.exists() else 0


def client(folder: Path) -> tuple[MlflowClient, list]:
    found = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = found.get_experiment_by_name("mnist_exp")
    return found, found.search_runs([experiment.experiment_id]) if experiment else []


def result(folder: Path, run) -> dict:
    """Return everything of a run that must not depend on interruptions; check that no step is recorded twice."""
    store, _ = client(folder)
    facts = {"status": run.info.status, "weights": run.data.tags.get("mnist_exp.weights_sha256")}
    for name in sorted(set(run.data.metrics) - set(TIMES)):
        points = store.get_metric_history(run.info.run_id, name)
        facts[name] = [(point.step, point.value) for point in sorted(points, key=lambda point: point.step)]
    return facts | {name: value for name, value in run.data.metrics.items() if name not in TIMES}


NETS = """
import keras
import helper
def net(input_shape, classes, units: int = 4):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(units, "relu"),
        keras.layers.Dropout(helper.DROPOUT), keras.layers.Dense(classes, "softmax")])
"""
OWN = [
    "--config-dir",
    "conf",
    "-m",
    *DATA,
    "model=own",
    "model.units=4,8,12,16",
    "seed=1,2",
    "hydra.launcher.n_workers=2",
]


def own_project(folder: Path, version: int) -> Path:
    """Make a folder with a package of a user's own, and a helper module beside it that has two versions."""
    for name, text in {
        "shop/__init__.py": "",
        "shop/nets.py": NETS,
        "conf/model/own.yaml": "_target_: shop.nets.net\nunits: 4\ntrusted_modules: [shop]\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    change_code(folder, version)
    return folder


def change_code(folder: Path, version: int) -> None:
    (folder / "helper.py").write_text(f"DROPOUT = 0.{version}\n")


def board(folder: Path) -> dict[str, dict]:
    """Return the results of the runs on the sweep's leaderboard, by point."""
    store, runs = client(folder)
    (parent,) = (run for run in runs if "mnist_exp.sweep" in run.data.tags)
    text = Path(store.download_artifacts(parent.info.run_id, "leaderboard.csv")).read_text()
    listed = [run for run in runs if run.info.run_id in text and "mnist_exp.point" in run.data.tags]
    return {run.data.tags["mnist_exp.point"]: result(folder, run) for run in listed}


def check_changed_code(work: Path, kills: int, rng: random.Random) -> int:
    """Kill a sweep while its own code is changed; return how many jobs differ from those of the code at the end."""
    whole = {version: own_project(work / f"code-{version}", version) for version in (1, 2)}
    seconds = {version: finish(folder, *OWN) for version, folder in whole.items()}
    cut, version, told = own_project(work / "code-cut", 1), 1, []
    for number in range(kills):
        process = start(cut, *OWN)
        wait_for_begin(cut, process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, seconds[version] / 4))
        during = bool(number % 2)
        version = rng.choice([1, 2])
        if during:
            change_code(cut, version)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0, seconds[version] / 4))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        change_code(cut, version)
        told.append(f"{version}{'d' if during else ''}")
    finish(cut, *OWN)
    expected, found = board(whole[version]), board(cut)
    same = sum(expected[point] == found.get(point) for point in expected)
    runs = client(cut)[1]
    words = ", ".join(f"{sum(run.info.status == s for run in runs)} {s}" for s in ("FINISHED", "KILLED", "RUNNING"))
    print(f"code   version after each kill (d: changed during it): {' '.join(told)}; {words}", flush=True)
    print(f"code   {same} of {len(expected)} jobs of the leaderboard are those of version {version}", flush=True)
    return len(expected) - same


def only_run(folder: Path) -> str:
    """Return the id of the run that a killed command left on disk."""
    return next(path.name for path in (folder / "unfinished").iterdir() if re.fullmatch("[0-9a-f]{32}", path.name))


def check_runs(work: Path, names: list[str], runs: int, kills: int, rng: random.Random) -> int:
    same = 0
    whole, seconds = {}, {}
    for number in range(runs):
        name = names[number % len(names)]
        arguments = words_of(name)
        trusted = [word for word in arguments if word.startswith("trusted_modules=")]
        if name not in whole:
            folder = work / f"whole-{len(whole)}"
            folder.mkdir()
            prepared(folder, name)
            seconds[name] = finish(folder, *arguments)
            whole[name] = result(folder, client(folder)[1][0])
        moments: list[str] = []
        while not moments:  # It may be done before the first moment, on a busy machine: then it does not count.
            folder = prepared(Path(tempfile.mkdtemp(prefix=f"run-{number}-", dir=work)), name)
            command = arguments
            for _ in range(kills):
                after_s = rng.uniform(0, 0.95) * seconds[name]
                still_ran = kill(folder, after_s, *command)
                if not still_ran or not (folder / "unfinished").exists():
                    break  # It was done, but for its last line.
                moments.append(f"{after_s:.1f}")
                command = [f"resume={only_run(folder)}", *trusted]
        # Killed while it tidied up, it is done though its folder is left.
        is_done = any(run.info.status == "FINISHED" for run in client(folder)[1])
        if (folder / "unfinished").exists() and not is_done:
            finish(folder, *command)
        done = [run for run in client(folder)[1] if run.info.status == "FINISHED"]
        equal = len(done) == 1 and result(folder, done[0]) == whole[name]
        resumed = done[0].data.tags.get("mnist_exp.resumed", "0") if done else "-"
        same += equal
        word = "identical" if equal else "DIFFERENT"
        print(
            f"{number + 1:>3}  {name:<22} killed after {', '.join(moments)} s, resumed {resumed} times: {word}",
            flush=True,
        )
    print(f"runs   {same} of {runs} identical to the uninterrupted ones", flush=True)
    return runs - same


def check_sweep(work: Path, kills: int, rng: random.Random) -> int:
    whole, cut = work / "sweep-whole", work / "sweep-cut"
    whole.mkdir()
    cut.mkdir()
    seconds = finish(whole, *GRID)
    moments = []
    for _ in range(kills):
        after_s = rng.uniform(0, seconds / 3)
        if not kill(cut, after_s, *GRID):
            break
        moments.append(f"{after_s:.1f}")
    finish(cut, *GRID)
    results = []
    for folder in (whole, cut):
        jobs = [run for run in client(folder)[1] if "mnist_exp.point" in run.data.tags]
        finished = [run for run in jobs if run.info.status == "FINISHED"]
        results.append({run.data.tags["mnist_exp.point"]: result(folder, run) for run in finished})
        resumed = sum(int(run.data.tags.get("mnist_exp.resumed", 0)) for run in jobs)
        words = ", ".join(sorted({run.info.status for run in jobs}))
        print(f"sweep  {len(jobs)} runs ({words}), {len(finished)} FINISHED, {resumed} resumptions", flush=True)
    same = sum(results[0][point] == results[1].get(point) for point in results[0])
    print(f"sweep  killed after {', '.join(moments)} s: {same} of {len(results[0])} jobs identical", flush=True)
    return len(results[0]) - same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="of runs, in turn")
    parser.add_argument("--kills", type=int, default=2, help="of each run, at the most")
    parser.add_argument("--sweep-kills", type=int, default=5)
    parser.add_argument("--code-kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        different = check_runs(Path(name), options.kinds, options.runs, options.kills, rng) if options.runs else 0
        different += check_sweep(Path(name), options.sweep_kills, rng) if options.sweep_kills else 0
        different += check_changed_code(Path(name), options.code_kills, rng) if options.code_kills else 0
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
