"""One experiment from settings to record: `run` reads as the experiment."""

import contextlib
import functools
import math
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from omegaconf import OmegaConf

from mnist_exp.composition.preflight import load_data
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset, Split
from mnist_exp.errors import TrainingError, first_line
from mnist_exp.evaluation import predictions
from mnist_exp.experiment import provenance, resume
from mnist_exp.experiment.resume import Resumption
from mnist_exp.runtime import backends, imports, processes, retries, signals
from mnist_exp.runtime.redaction import redact, redact_config
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import names, store
from mnist_exp.tracking import tracker as tracking
from mnist_exp.tracking.tracker import Tracker
from mnist_exp.training.checkpoints import Saving

if TYPE_CHECKING:
    import keras

    from mnist_exp.training.fit import Fitted, Training

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Result:
    """What a run leaves in memory.

    Args:
        run_id: of the MLflow run; None with tracking=none.
        objective: the metric that selects, of the weights that were kept.
        metrics: those logged at the end.
        history: each metric's values, epoch by epoch.
        model: takes raw pixels (n, height, width, channels), returns probabilities (n, classes).
        pruned: whether a sweep stopped it early; it was not tested then.
        weights_sha256: of all weights of the model, in hex.
    """

    run_id: str | None
    objective: float
    metrics: dict[str, float]
    history: dict[str, list[float]]
    model: "keras.Model" = field(repr=False)
    pruned: bool = False
    weights_sha256: str = ""


@dataclass(frozen=True)
class Job:
    """What a sweep says of one of its runs.

    Args:
        name: of the run; None makes one from what was changed.
        command: that runs it alone.
        tags: more of them.
        dataset: if it is loaded already.
        on_start: called with the run's id.
        on_epoch: called with each epoch's number, from 1, and its metrics; false stops the run as pruned.
        resumption: the interrupted run that it goes on with; None begins a new one.
        patience_s: how long to wait at the end for a store that does not take records.
    """

    name: str | None = None
    command: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: Dataset | None = None
    on_start: Callable[[str | None], None] | None = None
    on_epoch: Callable[[int, dict[str, float]], bool] | None = None
    resumption: Resumption | None = None
    patience_s: float = retries.PATIENCE_S


@dataclass(frozen=True)
class Wanted:
    """What a run needs done before it can go on.

    Args:
        training: what is to be trained.
        dataset: that its split is of.
        screen: where it is shown.
        log_tags: adds tags to the run.
    """

    training: "Training"
    dataset: Dataset
    screen: Screen
    log_tags: Callable[[Mapping[str, str]], None]

    def fit(self) -> "Fitted":
        """Train it alone, each step shown."""
        from mnist_exp.training import fit as training

        wanted, screen = self.training, self.screen
        trainer = wanted.settings.trainer
        with screen.training(trainer.epochs, math.ceil(len(wanted.split.x_train) / trainer.batch_size)):
            on_step = screen.step if screen.is_live else None
            return training.fit(wanted.model, wanted.split, wanted.settings, wanted.on_epoch, on_step, wanted.saving)


Stages = Generator[Wanted, "Fitted", _Result]


def run(settings: Settings, screen: Screen | None = None, job: Job = Job()) -> Result:
    """Train and test what the settings describe, and record it.

    Args:
        settings: from `compose` or `check`.
        screen: where to show it; the terminal if None.
        job: its part in a sweep.
    Raises: as `stages`.
    """
    return go_through(stages(settings, screen or Screen(), job))


def go_through(experiment: Stages[_Result]) -> _Result:
    """Go through an experiment, or through what goes on around one, and train its model by itself."""
    go_on: Callable[[], Wanted] = functools.partial(next, experiment)
    with contextlib.closing(experiment):
        while True:
            try:
                wanted = go_on()
            except StopIteration as over:
                result: _Result = over.value
                return result
            try:
                go_on = functools.partial(experiment.send, wanted.fit())
            except BaseException as error:
                go_on = functools.partial(experiment.throw, error)


def stages(settings: Settings, screen: Screen, job: Job) -> Stages[Result]:
    """Do all of an experiment but the training itself: that is yielded, and what came of it, or went wrong, sent back.

    Args:
        settings: from `compose` or `check`.
        screen: where to show it.
        job: its part in a sweep.
    Raises: SettingsError: data, model or store are not as the settings need them; nothing was recorded then.
        TrainingError: the loss became NaN or infinite.
        UndeliveredError: all was done, but the store did not take all records; they wait on disk.
    """
    dataset, split = load_data(settings, job.dataset)
    backends.choose(settings.trainer.backend)
    tracker = tracking.open_tracker(settings.tracking, screen.warn)
    with imports.quick_imports():
        from mnist_exp.training import devices, flops
        from mnist_exp.training import fit as training

        tracker.load()
        training.set_up(settings.seed, settings.trainer)
        devices.check(settings.trainer, len(split.x_train), len(split.x_val))
        model = training.build(settings, dataset.image_shape, dataset.classes, len(split.x_train))
    start = job.resumption.checkpoint if job.resumption else None
    if start is not None:
        training.check_fits(model.trained, start)
    parameters = model.kept.count_params()
    _announce(screen, settings, dataset, split, parameters, job.resumption)

    with _recorded(tracker, settings, dataset, job, screen):
        fitted = yield _wanted(model.trained, split, dataset, settings, tracker, screen, job)
        weights_sha256 = training.weights_sha256(model.kept)
        tracker.log_tags({names.WEIGHTS_SHA256: weights_sha256})
        history = fitted.history
        metrics = _outcome(settings, history) | {
            names.FIT_TIME_S: fitted.seconds,
            names.PARAMETERS: float(parameters),
        }
        if (an_image := flops.forward(model.kept)) is not None:
            metrics[names.FLOPS_PER_IMAGE] = float(an_image)
        if fitted.is_refused:
            tracker.log_metrics(metrics, step=len(history[names.LOSS]))
            tracker.log_tags({names.PRUNED: "true"})
            return Result(tracker.run_id, metrics[names.OBJECTIVE], metrics, history, model.kept, True, weights_sha256)

        probabilities = training.predict(model.kept, dataset.x_test)
        test = training.score(probabilities, dataset.y_test)
        metrics |= {names.TEST_LOSS: test[names.LOSS], names.TEST_ACCURACY: test[names.ACCURACY]}
        tracker.log_metrics(metrics, step=len(history[names.LOSS]))
        # The model first: a picture that fails must not cost it.
        tracker.log_model(model.kept, dataset, settings.trusted_modules)
        tracker.register_model()
        _record_results(tracker, history, dataset, probabilities)

    _summarise(screen, settings, dataset, tracker, metrics)
    return Result(tracker.run_id, metrics[names.OBJECTIVE], metrics, history, model.kept, False, weights_sha256)


def _wanted(
    model: "keras.Model",
    split: Split,
    dataset: Dataset,
    settings: Settings,
    tracker: Tracker,
    screen: Screen,
    job: Job,
) -> Wanted:
    """Return the training that a run needs, each epoch recorded and shown."""
    from mnist_exp.training.fit import Training

    start = job.resumption.checkpoint if job.resumption else None
    saving = None
    if tracker.folder is not None:
        saving = Saving(tracker.folder.path, settings.trainer.checkpoint_every, start, screen.warn)

    def on_epoch(epoch: int, metrics: dict[str, float]) -> bool:
        tracker.log_metrics(metrics, step=epoch)
        screen.epoch(epoch, metrics)
        return job.on_epoch is None or job.on_epoch(epoch, metrics)

    return Wanted(Training(model, split, settings, on_epoch, saving), dataset, screen, tracker.log_tags)


def _outcome(settings: Settings, history: dict[str, list[float]]) -> dict[str, float]:
    """Return what the epochs came to. Raises: TrainingError: the objective is no number."""
    values = history[settings.objective]
    best = values.index(max(values) if settings.direction == "maximize" else min(values))
    objective = values[best if settings.trainer.restore_best else -1]
    if not math.isfinite(objective):
        raise TrainingError(f"{settings.objective} ended as {objective}")
    return {
        names.OBJECTIVE: objective,
        names.BEST_VAL_ACCURACY: max(history[names.VAL_ACCURACY]),
        names.BEST_EPOCH: float(best + 1),
        names.EPOCHS: float(len(values)),
    }


@contextlib.contextmanager
def _recorded(tracker: Tracker, settings: Settings, dataset: Dataset, job: Job, screen: Screen) -> Iterator[None]:
    """Open the run, and close it with the status that is true, whatever happens in it."""
    try:
        _open(tracker, settings, dataset, job)
        yield
    except BaseException as error:
        if tracker.run_id is not None and not isinstance(error, TrainingError):
            screen.error(f"to go on with this run:  {resume.command(settings, tracker.run_id)}")
        if _is_interruption(error):
            tracker.end("KILLED")
            raise
        if tracker.run_id is not None:
            with contextlib.suppress(Exception):
                tracker.log_tags({names.FAILURE: redact(first_line(error))})
                with tracking.folder() as folder:
                    (folder / "traceback.txt").write_text(redact(traceback.format_exc()), encoding="utf-8")
                    tracker.log_files(folder)
        with contextlib.suppress(Exception):
            tracker.end("FAILED", job.patience_s)
        raise
    tracker.end("FINISHED", job.patience_s)


def _open(tracker: Tracker, settings: Settings, dataset: Dataset, job: Job) -> None:
    """Begin a run, or go on with one, and record all that is known of it beforehand."""
    config = redact_config(settings.to_config())
    params = provenance.flatten(config)
    commit = provenance.commit()
    tags = {
        names.JOB_KEY: provenance.job_key(settings, dataset.sha256),
        names.DATA_SHA256: dataset.sha256,
        names.CODE_SHA256: provenance.code_sha256(settings),
        names.PROCESS: processes.identify(),
        **job.tags,
    }
    if dataset.fallback:
        tags[names.DATA_FALLBACK] = redact(dataset.fallback)
    if job.resumption is not None:
        tracker.resume(job.resumption.folder, params, tags | job.resumption.tags())
    else:
        tags |= {
            names.COMMAND: job.command or provenance.command(),
            names.OVERRIDES: " ".join(map(redact, settings.overrides)),
            **provenance.commit_tags(commit),
        }
        tracker.start(job.name or _run_name(settings), params, tags)
    if job.on_start is not None:
        job.on_start(tracker.run_id)
    suffix = f"-resumed-{job.resumption.number}" if job.resumption else ""
    with tracking.folder() as folder:
        files = {
            "config": config,
            f"environment{suffix}": provenance.environment(),
        }
        for name, content in files.items():
            text = OmegaConf.to_yaml(OmegaConf.create(content))
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        # Names are the user's, and no interpolations.
        classes = yaml.safe_dump({"classes": list(dataset.class_names)}, allow_unicode=True)
        (folder / "classes.yaml").write_text(classes, encoding="utf-8")
        if commit and commit.is_dirty:
            (folder / f"uncommitted{suffix}.diff").write_text(redact(commit.diff), encoding="utf-8")
        tracker.log_files(folder)
    tracker.log_data(dataset)
    if job.resumption is not None:
        for epoch, metrics in enumerate(job.resumption.epochs(), start=1):
            tracker.log_metrics(metrics, step=epoch)


def _is_interruption(error: BaseException) -> bool:
    """Tell whether someone asked the run to stop; what a signal broke off is no failure, whatever it came out as."""
    return isinstance(error, KeyboardInterrupt | SystemExit) or signals.is_asked()


def _record_results(tracker: Tracker, history: dict[str, list[float]], dataset: Dataset, probabilities: Any) -> None:
    """Record what it read on the test set, image by image and in pictures."""
    if tracker.run_id is None:
        return
    from mnist_exp.evaluation import figures

    # Drawing makes many objects and little garbage: collecting meanwhile takes a third of the time.
    with imports.paused_collection(), tracking.folder() as folder:
        predictions.of(probabilities, dataset.y_test).write(folder / predictions.FILE)
        figures.draw_all(folder, history, dataset.x_test, dataset.y_test, probabilities, dataset.class_names)
        tracker.log_files(folder)


def _run_name(settings: Settings) -> str:
    """Return the name asked for, or what was changed: `dropout=0.5`, or the model's name if nothing was."""
    shown = [o for o in settings.overrides if not o.startswith(("hydra", "tracking", "~"))]
    named = " ".join(o.lstrip("+").removeprefix("model.") for o in shown)
    return redact(settings.tracking.run_name or named)[:200] or settings.model.name


def _announce(
    screen: Screen,
    settings: Settings,
    dataset: Dataset,
    split: Split,
    parameters: int,
    resumption: "Resumption | None",
) -> None:
    height, width, channels = dataset.image_shape
    watched = f"the {len(split.x_val):,} test images" if split.validated_on_test else f"{len(split.x_val):,} held out"
    rate = settings.optimizer.arguments.get("learning_rate", "its own")
    augment = "" if settings.augment.name == "none" else f", augmented by {settings.augment.name}"
    trainer = settings.trainer
    resumed = {"resumes": f"run {resumption.run_id}, {resumption.where}"} if resumption else {}
    screen.table(
        resumed
        | {
            "model": f"{settings.model.name}, {parameters:,} parameters",
            "data": f"{settings.data.name}, {len(split.x_train):,} training images {height}×{width}×{channels}{augment}"
            f", validated on {watched}; from {dataset.place}",
            "optimizer": f"{settings.optimizer.name}, learning rate {rate} ({settings.schedule.name}), "
            f"{trainer.epochs} epoch{'s' * (trainer.epochs > 1)}, batch {trainer.batch_size}, seed {settings.seed}",
        }
    )
    if dataset.fallback:
        screen.warn(f"{_fallback_words(dataset)} {dataset.fallback}")


def _summarise(
    screen: Screen, settings: Settings, dataset: Dataset, tracker: Tracker, metrics: dict[str, float]
) -> None:
    rows = {
        "test": f"accuracy {metrics[names.TEST_ACCURACY]:.4f}, loss {metrics[names.TEST_LOSS]:.4f} "
        f"on {len(dataset.y_test):,} images",
        "time": f"{metrics[names.FIT_TIME_S]:.1f} s of training",
    }
    if tracker.run_id is not None:
        rows["run"] = f"{tracker.run_id} in experiment {settings.tracking.experiment}"
        if tracker.registered:
            rows["model"] = tracker.registered
        rows["next"] = tracking.how_to("evaluate", [tracker.run_id], store.locate(settings.tracking.uri))
        rows["look"] = tracker.how_to_look
    screen.table(rows)
    if dataset.fallback:
        screen.warn(_fallback_words(dataset))


def _fallback_words(dataset: Dataset) -> str:
    return (
        f"these are not the data asked for, but {dataset.place}: {len(dataset.y_test):,} test images, another accuracy."
    )
