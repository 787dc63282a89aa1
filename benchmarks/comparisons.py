"""The rows of the table: programs that do the same work, their command lines, and the figures that they report."""

import json
import shlex
import sqlite3
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from measuring import Measured

PEERS = Path(__file__).resolve().parent / "peers"
OURS = "mnist_exp"
FIRST_STEP_REACHED = 77  # As peers/first_step.py ends a process.
GRID = {"filters": [8, 16, 32, 64], "dropout": [0.1, 0.3, 0.5]}
SMALL_GRID = {"filters": [16, 32], "dropout": [0.1, 0.3]}
SPACE = [  # As in peers/optuna_loop.py.
    "model.filters=tag(log, int(interval(8, 64)))",
    "model.dropout=interval(0.0, 0.7)",
    "model.dense_units=tag(log, int(interval(32, 256)))",
    "optimizer.learning_rate=tag(log, interval(0.0001, 0.01))",
    "trainer.batch_size=100,200,400",
]
JOBS = "select runs.run_uuid from runs join tags using (run_uuid) where tags.key = 'mlflow.parentRunId'"

Facts = dict[str, float | str]


@dataclass(frozen=True)
class Options:
    """The options of the command line.

    Args:
        epochs: of each training of the grid.
        limit: training images, hold-out included; None takes all, in a search 6,000.
        trials: of a search.
        jobs: of the sweep of trainings that do nothing.
        again: jobs of the sweep that is issued again.
        stored: runs of the store whose page is asked for.
    """

    epochs: int = 1
    limit: int | None = None
    trials: int = 20
    jobs: int = 200
    again: int = 300
    stored: int = 16_000


@dataclass(frozen=True)
class Program:
    """One command to be measured.

    Args:
        words: program and arguments; `{data}` is the file with the images.
        read: returns figures beyond time and memory, from the measurement and the folder in which the program ran.
        needs: packages that it needs from the peers' folder; without them it is left out.
        is_alone: whether it gets a network of its own; it is left out if there can be none.
        before: a command that is run once, unmeasured, to create a store; then all rounds share a folder, else each
            round has a new one.
        exit_code: the expected exit code.
        says: a text that its output must contain, if the exit code alone does not show success.
    """

    words: list[str]
    read: Callable[[Measured, Path], Facts] | None = None
    needs: tuple[str, ...] = ()
    is_alone: bool = False
    before: list[str] | None = None
    exit_code: int = 0
    says: str = ""


@dataclass(frozen=True)
class Row:
    """One comparison.

    Args:
        title: what each program does.
        images: overrides that choose the images.
        programs: by name, this package first.
        rounds: how often by default.
    """

    title: str
    images: list[str]
    programs: dict[str, Program]
    rounds: int


def ours(*overrides: str) -> list[str]:
    return [sys.executable, "-m", "mnist_exp.run", *overrides]


def theirs(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(PEERS / script), "{data}", *map(str, arguments)]


def single(options: Options, epochs: int, rounds: int) -> Row:
    """One training in one process: what recording costs."""
    images = _images(options.limit, "test")
    one = ["trainer.epochs=1", "data.limit=200"]
    plain = theirs("plain.py", "--epochs", epochs)
    auto = theirs("plain.py", "--autolog")
    return Row(
        f"one training of {epochs} epoch{'s'[: epochs > 1]}, tested at the end",
        images,
        {
            OURS: Program(ours(*images, f"trainer.epochs={epochs}"), _fit_of_store, before=ours(*one)),
            "plain Keras script": Program(plain, _last_line),
            "the same with autolog": Program([*plain, "--autolog"], _last_line, needs=("tensorboard",), before=auto),
        },
        rounds,
    )


def grid(options: Options, values: Mapping[str, Sequence[float]], rounds: int) -> Row:
    """Every combination of two options."""
    images = _images(options.limit, 0.1)
    swept = [f"model.{name}={','.join(map(str, each))}" for name, each in values.items()]
    sweep = ours("-m", *swept, *images, f"trainer.epochs={options.epochs}")
    filters, dropouts = values["filters"], values["dropout"]
    epochs = ["--epochs", options.epochs]
    of_grid = ["grid", *epochs, "--filters", *filters, "--dropouts", *dropouts]
    script = shlex.join(theirs("plain.py", *epochs, "--autolog"))
    inner = f"for d in {' '.join(map(str, dropouts))}; do {script} --filters $f --dropout $d || exit 1; done"
    loop = f"for f in {' '.join(map(str, filters))}; do {inner}; done"
    return Row(
        f"a grid of {len(filters) * len(dropouts)} trainings, {options.epochs} epoch{'s'[: options.epochs > 1]} each",
        images,
        {
            OURS: Program(sweep, _sweep_of_store),
            f"{OURS}, one worker": Program([*sweep, "hydra.launcher.n_workers=1"], _sweep_of_store),
            "KerasTuner": Program(theirs("tuner.py", *of_grid), _last_line, needs=("keras_tuner",)),
            "Optuna loop": Program(theirs("optuna_loop.py", *of_grid), _last_line),
            "Ray Tune": Program(theirs("ray_tune.py", *of_grid), _last_line, needs=("ray",), is_alone=True),
            "shell loop over autolog": Program(["sh", "-c", loop], needs=("tensorboard",)),
        },
        rounds,
    )


def search(options: Options) -> Row:
    """A search that stops poor trials."""
    limit = options.limit or 6000
    images = _images(limit, 1000 if limit >= 4000 else 0.2)
    most = ["--epochs", 5]
    trials = ["--trials", options.trials]
    how = ["sweep.sampler=tpe", "sweep.pruner=asha", "trainer.epochs=5", f"sweep.n_trials={options.trials}"]
    sweep = ours("-m", *SPACE, *images, *how)
    # An iteration of Hyperband is about 30 epochs; 20 trials under ASHA are about 50.
    iterations = ["--iterations", max(1, round(options.trials / 12))]
    return Row(
        f"a search, {options.trials} trials of at most 5 epochs on {limit:,} images, poor ones stopped",
        images,
        {
            OURS: Program(sweep, _sweep_of_store),
            f"{OURS}, one worker": Program([*sweep, "hydra.launcher.n_workers=1"], _sweep_of_store),
            "Optuna loop (TPE, ASHA)": Program(theirs("optuna_loop.py", "asha", *most, *trials), _last_line),
            "KerasTuner (Hyperband)": Program(
                theirs("tuner.py", "hyperband", *most, *iterations), _last_line, needs=("keras_tuner",)
            ),
            "Ray Tune (random, ASHA)": Program(
                theirs("ray_tune.py", "asha", *most, *trials), _last_line, needs=("ray",), is_alone=True
            ),
        },
        1,
    )


def start(options: Options) -> Row:
    """From the command to the first step of the training; both end there."""
    images = _images(options.limit, "test")
    ending = ["schedule._target_=first_step.ending", "trusted_modules=[first_step]"]
    one = ["trainer.epochs=1", "data.limit=200"]
    return Row(
        "until the first training step is done",
        images,
        {
            OURS: Program(ours(*images, *ending), before=ours(*one), exit_code=FIRST_STEP_REACHED),
            "plain Keras script": Program(theirs("plain.py", "--until-first-step"), exit_code=FIRST_STEP_REACHED),
        },
        3,
    )


def reject(options: Options) -> Row:
    """From the command to the message that an option does not exist."""
    return Row(
        "until a misspelt option is reported",
        _images(options.limit, "test"),
        {
            OURS: Program(ours("model.dorpout=0.5"), exit_code=2, says="did you mean model.dropout?"),
            "plain Keras script": Program(theirs("plain.py", "--mistake"), exit_code=1, says="nose_shape"),
        },
        3,
    )


def jobs(options: Options) -> Row:
    """Many trainings of nothing: what is around each, and whether it grows."""
    images = _images(200, "test")
    sweep = [f"seed=range(1,{options.jobs + 1})", "model=mlp", "model.hidden_units=[1]", "trainer.epochs=1"]
    return Row(
        f"{options.jobs} trainings of a net with one hidden unit on 200 images, validated on 10,000",
        images,
        {
            OURS: Program(ours("-m", *sweep, *images), _jobs_of_store),
            "Optuna loop": Program(theirs("optuna_loop.py", "nothing", "--trials", options.jobs), _jobs_printed),
        },
        1,
    )


def around(options: Options) -> Row:
    """What a job takes beside its training in a warm worker, part by part."""
    words = [sys.executable, str(PEERS.parent / "around.py"), "--json", "--jobs", str(min(options.jobs, 40))]
    title = "jobs of next to nothing in one warm worker: the time around fit and evaluate"
    return Row(title, _images(200, "test"), {OURS: Program(words, _parts)}, 1)


def predict(options: Options) -> Row:
    """One image, answered by the model of a run; the process from its start to its end."""
    images = _images(6000, 0.1)
    train = [*ours(*images, "trainer.epochs=1", "tracking.register_as=digits")]
    digit = [sys.executable, str(PEERS / "one_image.py"), "{data}"]
    ask = [sys.executable, "-m", "mnist_exp.predict", "models:/digits@champion", "digit.png"]
    made = f"{shlex.join(train)} && {shlex.join([*digit, 'draw'])}"
    return Row(
        "one image predicted by a recorded model",
        images,
        {
            OURS: Program(ask, before=["sh", "-c", made], says="digit.png  7"),
            f"{OURS}, by Keras": Program(
                ask, before=["sh", "-c", f"{made} && {shlex.join([*digit, 'forget'])}"], says="digit.png  7"
            ),
            "plain Keras script": Program([*digit, "predict"], before=["sh", "-c", made], says="digit.png 7"),
        },
        5,
    )


def again(options: Options) -> Row:
    """A sweep that is finished, issued again, and the report of it; the sweep itself is not measured."""
    images = _images(200, 0.2)
    seeds = f"seed=range(1,{options.again + 1})"
    sweep = ours("-m", seeds, *images, "model=mlp", "model.hidden_units=[1]", "trainer.epochs=1")
    report = [sys.executable, "-m", "mnist_exp.report", "--experiment", "mnist_exp"]
    return Row(
        f"a finished sweep of {options.again} jobs",
        images,
        {
            f"{OURS}: the same command": Program(sweep, before=sweep, says=f"0, {options.again} done already"),
            f"{OURS}: report": Program(report, before=sweep, says="index.html"),
        },
        3,
    )


def page(options: Options) -> Row:
    """MLflow's table of runs sorted by a metric, in a store of many runs."""
    words = [sys.executable, str(PEERS.parent / "store_growth.py"), str(options.stored)]
    title = f"MLflow's table of {options.stored:,} runs: CPU seconds of a page, before and after ANALYZE"
    return Row(title, _images(200, "test"), {"MLflow": Program(words, _asked_of_store)}, 1)


ROWS: dict[str, Callable[[Options], Row]] = {
    "run-1": lambda options: single(options, 1, 3),
    "run-10": lambda options: single(options, 10, 2),
    "grid-4": lambda options: grid(options, SMALL_GRID, 2),
    "grid": lambda options: grid(options, GRID, 1),
    "search": search,
    "start": start,
    "reject": reject,
    "jobs": jobs,
    "around": around,
    "predict": predict,
    "again": again,
    "page": page,
}


def _images(limit: int | None, validation: str | float) -> list[str]:
    return [f"data.limit={'null' if limit is None else limit}", f"data.validation={validation}"]


def _last_line(measured: Measured, folder: Path) -> Facts:
    """Return the last line that a peer's program printed."""
    facts: Facts = json.loads(measured.output.strip().splitlines()[-1])
    return _in_order(facts)


def _ask(folder: Path, question: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as store:
        return store.execute(question).fetchall()


def _fit_of_store(measured: Measured, folder: Path) -> Facts:
    newest = "(select run_uuid from runs order by start_time desc limit 1)"
    values = dict(_ask(folder, f"select key, value from latest_metrics where run_uuid = {newest}"))
    return _in_order({"fit": values["fit_time_s"], "epochs": values["epochs"], "best": values["best_val_accuracy"]})


def _sweep_of_store(measured: Measured, folder: Path) -> Facts:
    of_jobs = f"from metrics where key = 'val_accuracy' and run_uuid in ({JOBS})"
    [(trials, epochs, best)] = _ask(folder, f"select count(distinct run_uuid), count(*), max(value) {of_jobs}")
    return _in_order({"trials": trials, "epochs": epochs, "best": best})


def _in_order(facts: Facts) -> Facts:
    return {name: facts[name] for name in ("fit", "trials", "epochs", "best") if name in facts}


def _asked_of_store(measured: Measured, folder: Path) -> Facts:
    """Return the seconds of each question, without and with what ANALYZE tells the planner."""
    lines = [line.split(" | ") for line in measured.output.splitlines() if line.count(" | ") == 3]
    return {question: f"{before} → {after}" for _, question, before, after in lines[1:]}


def _jobs_of_store(measured: Measured, folder: Path) -> Facts:
    times = _ask(folder, f"select start_time, end_time from runs where run_uuid in ({JOBS}) order by start_time")
    fits = _ask(folder, f"select value from latest_metrics where key = 'fit_time_s' and run_uuid in ({JOBS})")
    starts, end = [start / 1000 for start, _ in times], max(end for _, end in times) / 1000
    return _jobs(measured, starts, end, [value for (value,) in fits])


def _jobs_printed(measured: Measured, folder: Path) -> Facts:
    printed = json.loads(measured.output.strip().splitlines()[-1])
    return _jobs(measured, printed["starts"], printed["end"], printed["fits"])


def _parts(measured: Measured, folder: Path) -> Facts:
    """Return the seconds of a job, and of its largest parts."""
    table = json.loads(measured.output.strip().splitlines()[-1])
    whole = {name: table.pop(name) for name in ("from job to job", "framework: all but fit and evaluate")}
    largest = sorted(table.items(), key=lambda part: -part[1])[:12]
    return {name: f"{seconds:.3f}" for name, seconds in [*whole.items(), *largest]}


def _jobs(measured: Measured, starts: Sequence[float], end: float, fits: Sequence[float]) -> Facts:
    """Return seconds from one job's start to the next one's, early and late, and memory early and late."""
    seconds = [later - earlier for earlier, later in zip(starts, [*starts[1:], end], strict=True)]
    # The first one has TensorFlow's own beginnings in it.
    parts = {"jobs 2–11": seconds[1:11]}
    hundreds = range(0, len(seconds), 100) if len(seconds) >= 200 else ()
    parts |= {
        f"{first + 1}–{first + len(seconds[first : first + 100])}": seconds[first : first + 100] for first in hundreds
    }
    parts["last 10"] = seconds[-10:]
    means = ", ".join(f"{name} {statistics.mean(part):.2f}" for name, part in parts.items() if part)
    facts: Facts = {"s a job": means, "of it in fit": f"{statistics.mean(fits):.2f}"}
    tenth = starts[min(10, len(starts) - 1)]
    # The last moments are those of the summary, and of workers that end.
    early, late = ([s for s in measured.samples if s.at >= moment][:1] for moment in (tenth, starts[-1]))
    if early and late:
        grown = f"launching process {early[0].launching:.0f} → {late[0].launching:.0f}"
        if late[0].largest_child:
            grown += f", its largest child {early[0].largest_child:.0f} → {late[0].largest_child:.0f}"
        facts["MB from the 11th to the last job"] = grown
    return facts
