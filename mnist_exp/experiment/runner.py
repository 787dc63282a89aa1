"""One experiment from settings to record: `run` reads as the experiment."""

import contextlib
import dataclasses
import functools
import math
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mnist_exp.composition.preflight import load_data, resolved
from mnist_exp.config import wording
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset, Split
from mnist_exp.errors import TrainingError
from mnist_exp.experiment import as_data, curves, memory, notification, record, resume, summary
from mnist_exp.experiment.live_curve import LiveCurve
from mnist_exp.experiment.progress import TrainingProgress
from mnist_exp.experiment.record import Job
from mnist_exp.runtime import backends, imports, notebooks, signals
from mnist_exp.runtime.reasons import reason
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import names
from mnist_exp.tracking.mlflow_writes import TrainedModel
from mnist_exp.tracking.tracker import Tracker, folder, open_tracker
from mnist_exp.training import checkpoints
from mnist_exp.training.checkpoints import CheckpointPolicy
from mnist_exp.training.digests import Digests

if TYPE_CHECKING:
    import keras

    from mnist_exp.training.fit import FitResult, TrainingRequest
    from mnist_exp.training.prepare import Training


@dataclass(frozen=True)
class Result:
    """The result of a run, in memory.

    Args:
        run_id: of the MLflow run; None with tracking=none.
        objective: value of the objective, of the final weights.
        metrics: the last value of each, as MLflow shows it: of the last epoch, or logged at the end.
        history: each metric's values, epoch by epoch.
        model: takes raw pixels (n, height, width, channels), returns probabilities (n, classes), or numbers.
        pruned: whether a sweep stopped it early; it was not tested then.
        weights_sha256: SHA-256 of all weights, in hex.
        digests: of the weights, at moments of the training.
    """

    run_id: str | None
    objective: float
    metrics: dict[str, float]
    history: dict[str, list[float]] = field(repr=False)
    model: "keras.Model" = field(repr=False)
    pruned: bool = False
    weights_sha256: str = ""
    digests: Digests = field(default_factory=Digests, repr=False)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the curves, and the metrics of the end. IPython asks for it by this name."""
        ended = {name: value for name, value in self.metrics.items() if name not in self.history}
        rows = [[name, wording.number(value)] for name, value in ended.items()]
        drawing = curves.svg(self.history, len(self.history.get(names.LOSS, ())))
        title = f"run {self.run_id or 'that is not recorded'}"
        return f"<div><b>{title}</b><div>{drawing}</div>{notebooks.table(['metric', 'value'], rows)}</div>"


def run(settings: Settings, screen: Screen | None = None, job: Job | None = None) -> Result:
    """Train and test what the settings describe, and record it.

    Args:
        settings: from `compose` or `check`.
        screen: where to show it; the terminal if None.
        job: its part in a sweep; None for a run of its own.
    Raises:
        SettingsError: data, model or store are not as the settings need them; nothing was recorded.
        TrainingError: the loss became NaN or infinite.
        UploadError: the run is finished, but the store did not take all records; they wait on disk.
    """
    screen, job = screen or Screen(), job or Job()
    with signals.taken():
        with (
            notification.sent(settings.tracking.notify, job.on_end, screen.warn) as on_end,
            open_run(settings, screen, dataclasses.replace(job, on_end=on_end)) as opened,
        ):
            fitted = opened.fit()
            result = opened.finish(fitted)
        signals.check()  # It came when all was done, and waited for the record.
    return result


@contextlib.contextmanager
def open_run(settings: Settings, screen: Screen, job: Job) -> Iterator["Run"]:
    """Check the data, build the model and begin the record; close the run with the status that is true.

    That is FINISHED after `Run.finish`, KILLED where a signal ended it, and FAILED after any other error.

    Args:
        settings: from `compose` or `check`.
        screen: where to show it.
        job: its part in a sweep.
    Raises: SettingsError: data, model or store are not as the settings need them; nothing was recorded then.
        UploadError: all was done, but the store did not take all records; they wait on disk.
    """
    memory.forget_peak()
    dataset, split = load_data(settings, job.dataset)
    settings = resolved(settings, dataset)
    backends.choose(settings.trainer.backend)
    tracker = open_tracker(settings.tracking, screen.warn)
    with imports.quick_imports():
        from mnist_exp.training import checkpointing, devices, fit, prepare, readable, setup  # noqa: F401

        tracker.load()
        setup.set_up(settings.seed, settings.trainer)
        devices.check(settings.trainer, len(split.x_train), len(split.x_val))
        with memory.shortage_told(settings):
            training = prepare.prepare(settings, dataset, split)
    if settings.tracking.store != "none":
        readable.check(training.models.inference_model, settings.model.target, settings.trusted_modules)
    if job.start is not None:
        checkpointing.check_fits(training.models.training_model, job.start)
    opened = Run(settings, screen, job, dataset, split, tracker, training)
    summary.announce(screen, settings, dataset, split, opened.parameters, job.resumption)
    for remark in training.models.remarks:
        screen.warn(remark)
    with _told(opened), closed(tracker, settings, job, screen):
        record.begin(tracker, settings, dataset, job)
        with memory.shortage_told(settings):
            yield opened
    if opened.result is not None and not opened.result.pruned:
        summary.show_summary(screen, settings, dataset, tracker, opened.result.metrics)


@dataclass
class Run:
    """A run whose record has begun: to be trained, then finished. `open_run` makes one.

    Args:
        settings: of it.
        screen: where it is shown.
        job: its part in a sweep.
        dataset: all of it.
        split: what of it is trained and validated on.
        tracker: that records it.
        training: of it, prepared.
    """

    settings: Settings
    screen: Screen
    job: Job
    dataset: Dataset
    split: Split
    tracker: Tracker
    training: "Training"
    result: Result | None = field(default=None, init=False)
    epochs: list[dict[str, float]] = field(default_factory=list, init=False)  # The metrics of those that are done.

    def __post_init__(self) -> None:
        self.epochs = self.job.epochs_done

    @property
    def parameters(self) -> int:
        """How many numbers the model has."""
        return int(self.training.models.inference_model.count_params())

    @functools.cached_property
    def progress(self) -> TrainingProgress:
        """What a person sees of the training."""
        trainer, running = self.settings.trainer, self.dataset.task.running
        steps = trainer.steps(len(self.split.x_train))
        shown = LiveCurve if self.screen.is_notebook else TrainingProgress
        return shown(self.screen, trainer.epochs, steps, running, self.settings.objective)

    def training_request(self) -> "TrainingRequest":
        """Return what is to be trained, each epoch recorded and shown."""
        from mnist_exp.training import own_callbacks

        policy = None
        if self.tracker.folder is not None:
            every = self.settings.trainer.checkpoint_every
            kept = self.job.keeps_checkpoint
            policy = CheckpointPolicy(self.tracker.folder.path, every, self.job.start, self.screen.warn, kept)
        if self.tracker.run_id is not None:
            name = self.job.name or record.run_name(self.settings)
            own_callbacks.place(self.training.own.values(), self.tracker.run_id, name)
        return self.training.request(self._end_epoch, policy, shares_graph=self.job.shares_graph)

    def fit(self) -> "FitResult":
        """Train it alone, each step shown. Raises: TrainingError: the loss became NaN or infinite."""
        from mnist_exp.training.fit import fit

        with self.progress as progress:
            return fit(self.training_request(), progress.show_step if progress.has_steps else None)

    def finish(self, fitted: "FitResult") -> Result:
        """Test it, record what came of it, and return that; what a sweep stopped early is not tested.

        Args:
            fitted: by `fit`, or by a training of several runs together.
        Raises: TrainingError: the objective is not a number.
        """
        from mnist_exp.training import flops
        from mnist_exp.training.predict import weights_sha256

        model, tracker, history = self.training.models.inference_model, self.tracker, fitted.history
        sha256 = weights_sha256(model)
        tracker.log_tags({names.WEIGHTS_SHA256: sha256})
        metrics = _outcome(self.settings, history)
        metrics |= {names.FIT_TIME_S: fitted.seconds, names.PARAMETERS: float(self.parameters)}
        if (per_image := flops.forward(model)) is not None:
            metrics[names.FLOPS_PER_IMAGE] = float(per_image)
        pruned = fitted.stopped_by_callback
        if not pruned:
            outputs, tested = self.training.test()
            metrics |= {names.tested(name): value for name, value in tested.items()}
            if reported := self.training.report():
                metrics |= {names.reported(name): value for name, value in reported.items()}
                metrics[names.REPORT_IMAGES] = float(len(self.split.reported))
        metrics[names.MEMORY_PEAK_MB] = round(memory.peak_mb(), 1)
        tracker.log_metrics(metrics, step=len(history[names.LOSS]))
        record.own_code_again(tracker, self.settings, self.job)
        if pruned:
            tracker.log_tags({names.PRUNED: "true"})
            record.digests(tracker, fitted.digests)
        else:
            # The model first: a picture that fails must not cost it.
            if why_none := self._why_no_model(metrics[names.OBJECTIVE]):
                tracker.log_tags({names.NO_MODEL: why_none})
            else:
                trained = TrainedModel(model, functools.partial(record.numpy_model, self.dataset, outputs))
                tracker.log_model(trained, self.dataset)
                tracker.register_model()
            record.results(tracker, history, self.dataset, outputs, fitted.digests)
            if tracker.run_id is not None:
                self._measure_trust(model)
        if tracker.folder is not None:
            tracker.folder.keep(wanted=self.job.keeps_checkpoint)
            if self.job.keeps_checkpoint:
                checkpoints.keep_last(tracker.folder.path)
        latest = {name: values[-1] for name, values in history.items()} | metrics
        facts = latest, history, model, pruned, sha256, fitted.digests
        self.result = Result(tracker.run_id, metrics[names.OBJECTIVE], *facts)
        return self.result

    def _why_no_model(self, objective: float) -> str:
        """Return why the model is not recorded; empty if it is."""
        kept = self.settings.tracking.keep_models
        if kept == "none":
            return f"tracking.keep_models={kept}"
        if self.job.wants_model is not None and not self.job.wants_model(objective):
            return f"tracking.keep_models={kept}: its sweep had better ones as it ended"
        return ""

    def _measure_trust(self, model: "keras.Model") -> None:
        """Record how far the model's confidence is to be trusted; the run is whole without that."""
        from mnist_exp.training import trust

        try:
            known = trust.measure(model, self.dataset, self.split)
        except Exception as error:  # A model of the user's own, of layers that Keras cannot put together anew.
            self.screen.warn(f"how far its confidence is to be trusted could not be measured: {reason(error)}")
            return
        if known is not None:
            record.trust(self.tracker, known)

    def _end_epoch(self, epoch: int, metrics: dict[str, float]) -> bool:
        """Record and show an epoch, and tell whether to go on."""
        self.tracker.log_metrics(metrics, step=epoch)
        self.epochs.append(metrics)
        self.progress.show_epoch(epoch, metrics)
        return self.job.on_epoch is None or self.job.on_epoch(epoch, metrics)


def _outcome(settings: Settings, history: dict[str, list[float]]) -> dict[str, float]:
    """Return the final metrics of a history. Raises: TrainingError: the objective is not a finite number."""
    values = history[settings.objective]
    # Not a number is no best one: the area under a curve may have no value in one epoch.
    known = [value for value in values if not math.isnan(value)] or values
    best = values.index(max(known) if settings.direction == "maximize" else min(known))
    objective = values[best if settings.trainer.restore_best else -1]
    if not math.isfinite(objective):
        raise TrainingError(f"{settings.objective} ended as {objective}")
    return {
        names.OBJECTIVE: objective,
        **({names.BEST_VAL_ACCURACY: max(accuracies)} if (accuracies := history.get(names.VAL_ACCURACY)) else {}),
        names.BEST_EPOCH: float(best + 1),
        names.EPOCHS: float(len(values)),
    }


@contextlib.contextmanager
def _told(run: Run) -> Iterator[None]:
    """Hand on what came of a run, once its record is closed."""
    error: BaseException | None = None
    try:
        yield
    except BaseException as raised:
        error = raised
        raise
    finally:
        if run.job.on_end is not None:
            run.job.on_end(as_data.of_run(run.tracker.recorded(), run.settings, run.epochs, error))


@contextlib.contextmanager
def closed(tracker: Tracker, settings: Settings, job: Job, screen: Screen) -> Iterator[None]:
    """Close the run with the status that is true, whatever happens meanwhile."""
    try:
        yield
    except BaseException as error:
        if tracker.run_id is not None and not isinstance(error, TrainingError):
            screen.error(f"to go on with this run:  {resume.command(settings, tracker.run_id)}")
        if _is_interruption(error):
            with signals.held():
                tracker.end("KILLED")
            raise
        if tracker.run_id is not None:
            with contextlib.suppress(Exception):
                tracker.log_tags({names.FAILURE: reason(error)})
                with folder() as files:
                    (files / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
                    tracker.log_files(files)
        with contextlib.suppress(Exception):
            tracker.end("FAILED", job.patience_s)
        raise
    with signals.held():  # Cut off here, it would be FINISHED in the store and interrupted on the screen.
        tracker.end("FINISHED", job.patience_s)


def _is_interruption(error: BaseException) -> bool:
    """Tell whether a signal asked the run to stop: whatever error that caused, it is no failure."""
    return isinstance(error, KeyboardInterrupt | SystemExit) or signals.is_asked()
