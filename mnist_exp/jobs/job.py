"""One job of a sweep, in whatever process a launcher starts it: what Hydra calls for each point or trial."""

import contextlib
import functools
import gc
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mnist_exp import data
from mnist_exp.composition import compose as composition
from mnist_exp.config.schema import Settings, check
from mnist_exp.data import Dataset
from mnist_exp.errors import MnistExpError, SettingsError, first_line
from mnist_exp.experiment import provenance, resume, runner
from mnist_exp.experiment.resume import Resumption
from mnist_exp.jobs import events
from mnist_exp.runtime import retries
from mnist_exp.runtime.redaction import redact
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search import storage, study
from mnist_exp.search.space import brief, short_names, values_of
from mnist_exp.search.study import Study
from mnist_exp.tracking import names, store

if TYPE_CHECKING:
    import optuna

NO_RESULT = float("nan")


@dataclass(frozen=True)
class Assignment:
    """What every job of a sweep is told; small and picklable, for it travels with each.

    Args:
        sweep_id: tells this sweep from any other that the process may have worked for.
        folder: where events are written.
        parent: run id of the sweep, if it is recorded.
        keys: the options that differ between jobs.
        study: where a search keeps its trials.
        deadline: no trial starts later, seconds since 1970.
        config_dir: a folder of the user's with groups of their own.
        fixed: overrides that all trials of a search have, as they were written.
        common: what decides the results of its trials, as `provenance.common` says.
        units: for each that a launcher starts, the jobs that it trains together: their numbers in the sweep, and their
            overrides; empty where a launcher starts each job by itself.
    """

    sweep_id: str
    folder: Path
    parent: str | None
    keys: tuple[str, ...]
    study: Study | None = None
    deadline: float | None = None
    config_dir: str | None = None
    fixed: tuple[str, ...] = ()
    common: Mapping[str, str | None] = field(default_factory=dict)
    units: tuple[tuple[tuple[int, tuple[str, ...]], ...], ...] = ()


@dataclass
class Task:
    """What a launcher calls for each job; told its assignment after the launcher was made, before it launches."""

    assignment: Assignment | None = None

    def __call__(self, config: DictConfig) -> float:
        """Run one job."""
        assert self.assignment is not None
        return run_job(self.assignment, config)


def run_job(assignment: Assignment, config: DictConfig) -> float:
    """Run one point, or the next trial, and return its objective; NaN where there is none.

    What goes wrong is told to the sweep and not raised: Hydra's launchers would give up the rest.
    """
    hydra = HydraConfig.get()
    number = int(hydra.job.num)
    unit = assignment.units[number] if assignment.units else ((number, tuple(hydra.overrides.task)),)
    attempts = [Attempt(assignment, events.Writer(assignment.folder, each), points) for each, points in unit]
    late = assignment.deadline is not None and time.time() > assignment.deadline
    # A trial that was begun in time may end, also where its machine was lost or it was put back into a queue.
    late = late and events.begun(assignment.folder, f"trial-{number}") is None
    if late or events.is_given_up(assignment.folder):
        for attempt in attempts:
            attempt.out.write("skipped")
        return NO_RESULT
    with _collected():
        if assignment.study is not None:
            # Not what Hydra has: there, what follows a searched option has its value already.
            opened = assignment.study.open(retries.PATIENCE_S)
            try:
                return _run_trial(assignment, assignment.study, opened, assignment.fixed, attempts[0].out)
            finally:
                storage.close(opened)
        if len(attempts) > 1:
            from mnist_exp.jobs import group

            group.run(attempts)
            return NO_RESULT
        return attempts[0].run(lambda: check(config, attempts[0].overrides))


def label(overrides: Sequence[str], keys: Sequence[str]) -> str:
    """Return what is special about a job: `filters=16 dropout=0.1`; long numbers to four digits."""
    names = short_names(keys)
    return redact(" ".join(f"{names[key]}={brief(value)}" for key, value in values_of(overrides, keys).items()))


@dataclass
class Attempt:
    """One try at one job.

    Args:
        assignment: of the sweep.
        out: where it tells what happens.
        overrides: all that lead to its configuration.
        trial: of the search, asked after each epoch whether to go on.
        together: how many train at once, and share the seconds.
    """

    assignment: Assignment
    out: events.Writer
    overrides: Sequence[str]
    trial: "optuna.Trial | None" = None
    together: int = 1
    outcome: str = field(default="", init=False)
    second: float = field(default=NO_RESULT, init=False)
    _key: str = field(default="", init=False)  # Its job key, once it is known.

    def compose(self) -> Settings:
        """Return its settings, composed here and not by Hydra."""
        with composition.composer(self.assignment.config_dir):
            return check(compose("config", list(self.overrides)), self.overrides)

    def run(self, make_settings: Callable[[], Settings]) -> float:
        """Run it, and return its objective; NaN where there is none."""
        return runner.go_through(self.stages(make_settings))

    def stages(self, make_settings: Callable[[], Settings]) -> runner.Stages[float]:
        """Do all of it but the training, as `runner.stages`, and return its objective; NaN where there is none."""
        name = label(self.overrides, self.assignment.keys)
        # Not the overrides themselves: there may be a password in them.
        facts: dict[str, Any] = {"name": name, "values": values_of(self.overrides, self.assignment.keys)}
        facts["command"] = provenance.command_of(self.overrides, self.assignment.config_dir)
        try:
            settings = make_settings()
            if settings.tracking.store == "mlflow":  # It answered when the sweep began.
                store.check(store.locate(settings.tracking.uri), retries.PATIENCE_S)
            self._key = provenance.job_key(settings, _dataset(self.assignment.sweep_id, settings).sha256)
            self._check_planned(settings)
            if self.trial is not None and (earlier := self._earlier(events.DONE)):
                return self._take_over(earlier, facts, settings)
            screen = _Silent(self.out)
            # Begun by this job before its machine was lost, or in an earlier call.
            interrupted = events.begun(self.assignment.folder, self._key) or self._earlier(events.INTERRUPTED)
            if self.trial is not None:  # Or by another launching process, which is gone.
                interrupted = interrupted or study.begun_run(self.trial)
            with resume.of_job(interrupted, settings, screen) as resumption:
                result = yield from runner.stages(settings, screen, self._job(name, settings, facts, resumption))
        except (KeyboardInterrupt, SystemExit):
            self.outcome = "killed"
            self.out.write("killed", **facts)
            raise
        except Exception as error:
            self.outcome = "failed"
            if self._key:
                events.forget_begun(self.assignment.folder, self._key)
            trace = "" if isinstance(error, MnistExpError) else redact(traceback.format_exc())
            self.out.write("failed", reason=redact(first_line(error)), traceback=trace, **facts)
            return NO_RESULT
        self.outcome = "pruned" if result.pruned else "done"
        minimized = self.assignment.study.settings.minimize_too if self.assignment.study else None
        self.second = result.metrics[minimized] if minimized else NO_RESULT
        self.out.write(
            self.outcome,
            objective=result.objective,
            metrics=result.metrics,
            epochs=len(result.history[names.LOSS]),
            **facts,
        )
        return result.objective

    def _check_planned(self, settings: Settings) -> None:
        """Make sure that this is the job that was planned: each is composed from the files as they are when it starts.

        Raises: SettingsError: it is another one by now.
        """
        if self.trial is not None:
            changed = provenance.departures(settings, self.assignment.common)
        else:
            known = events.read_known(self.assignment.folder, events.PLANNED)
            planned = known.get(provenance.digest(list(self.overrides)))
            changed = [] if planned in (None, self._key) else ["this job would be another one than was planned"]
        if changed:
            raise SettingsError(
                f"the configuration files, or the data, were changed while the sweep ran: {'; '.join(changed)}; put "
                "them back, or issue the sweep again as it is now"
            )

    def _earlier(self, name: str) -> Any:
        """Return what the sweep knows of the same job from earlier calls: None if that is nothing."""
        return events.read_known(self.assignment.folder, name).get(self._key)

    def _take_over(self, earlier: dict[str, Any], facts: dict[str, Any], settings: Settings) -> float:
        assert self.trial is not None and self.assignment.study is not None
        study.note_run(self.trial, earlier["run_id"])
        self.outcome, objective = "done", float(earlier["metrics"][names.OBJECTIVE])
        minimized = self.assignment.study.settings.minimize_too
        self.second = earlier["metrics"][minimized] if minimized else NO_RESULT
        self.out.write("done", objective=objective, reused=True, **(facts | earlier))
        return objective

    def _job(self, name: str, settings: Settings, facts: dict[str, Any], resumption: Resumption | None) -> runner.Job:
        parent, epochs = self.assignment.parent, settings.trainer.epochs
        if resumption is not None and self.trial is not None and len(self.trial.study.directions) == 1:
            for epoch, metrics in enumerate(resumption.epochs(), start=1):
                self.trial.report(metrics[settings.objective], epoch)

        def on_start(run_id: str | None) -> None:
            if self.trial is not None:
                study.note_run(self.trial, run_id)
            facts["run_id"] = run_id
            if run_id is not None:
                events.note_begun(self.assignment.folder, self._key, run_id)
            self.out.write("started", of=epochs, done=resumption.done if resumption else 0, **facts)

        def on_epoch(epoch: int, metrics: dict[str, float]) -> bool:
            value, seconds = metrics[settings.objective], metrics[names.EPOCH_TIME_S] * self.together
            self.out.write("epoch", epoch=epoch, objective=value, seconds=seconds)
            return not (self.trial is not None and self._is_hopeless(epoch, epochs, value))

        return runner.Job(
            name=name,
            command=facts["command"],
            tags={names.POINT: json.dumps(facts["values"])} | ({names.PARENT: parent} if parent else {}),
            dataset=_dataset(self.assignment.sweep_id, settings),
            on_start=on_start,
            on_epoch=on_epoch,
            resumption=resumption,
        )

    def _is_hopeless(self, epoch: int, epochs: int, value: float) -> bool:
        assert self.trial is not None
        if len(self.trial.study.directions) > 1:
            return False
        self.trial.report(value, epoch)
        # After the last epoch there is nothing left to save.
        return epoch < epochs and self.trial.should_prune()


def _run_trial(
    assignment: Assignment, search: Study, opened: "optuna.Study", fixed: Sequence[str], out: events.Writer
) -> float:
    from optuna.trial import TrialState

    job = f"trial-{HydraConfig.get().job.num}"
    if (lost := events.begun(assignment.folder, job)) is not None:
        # This job was started before, and its machine is gone: whoever asks next goes on with that trial.
        search.give_back(opened, int(lost))
    claimed = search.claim(opened)
    if claimed is None:
        out.write("skipped")
        return NO_RESULT
    trial, suggested = claimed
    events.note_begun(assignment.folder, job, trial.number)
    overrides = [*fixed, *suggested]
    attempt = Attempt(assignment, out, overrides, trial)

    try:
        value = study.known(opened, trial)
        if value is not None:
            out.write("repeated", name=label(overrides, assignment.keys))
            opened.tell(trial, value)
            return value[0]
        reached = attempt.run(attempt.compose)
    except (KeyboardInterrupt, SystemExit):
        search.interrupt(opened, trial)
        raise
    if attempt.outcome == "failed":
        opened.tell(trial, state=TrialState.FAIL)
    elif attempt.outcome == "pruned":
        opened.tell(trial, state=TrialState.PRUNED)
    else:
        opened.tell(trial, [reached, attempt.second] if search.settings.minimize_too else reached)
    return reached


class _Silent(Screen):
    """A job's screen: the sweep shows what there is to show; warnings are passed on to it."""

    def __init__(self, out: events.Writer) -> None:
        super().__init__()
        self._warn_to = out
        self.out.quiet = self.err.quiet = True

    @property
    def is_live(self) -> bool:
        """Never: many jobs cannot share a line."""
        return False

    def warn(self, text: str) -> None:
        """Pass it on."""
        self._warn_to.write("warning", text=text)


@contextlib.contextmanager
def _collected() -> Iterator[None]:
    """Give the memory of a job back before the next one."""
    try:
        yield
    finally:
        if "keras" in sys.modules:
            from mnist_exp.training import fit

            fit.forget()
            _freeze_once()


@functools.cache
def _freeze_once() -> None:
    """Let later collections pass over what the first job made and left: a third of their time."""
    gc.freeze()


_loaded: dict[tuple[Any, ...], Dataset] = {}


def _dataset(sweep_id: str, settings: Settings) -> Dataset:
    """Return the data set, kept from job to job while they are of one sweep and use the same."""
    loader = settings.data.loader
    key = (sweep_id, settings.data.name, loader.target, repr(sorted(loader.arguments.items())))
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = data.load(settings.data)
    return _loaded[key]
