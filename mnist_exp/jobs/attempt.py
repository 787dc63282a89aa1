"""One attempt at one job of a sweep: open its run, train, finish, and report to the sweep what happens."""

import contextlib
import dataclasses
import functools
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mnist_exp import data
from mnist_exp.composition import hydra_section
from mnist_exp.composition.compose import composer
from mnist_exp.composition.points import PointComposer
from mnist_exp.composition.preflight import check
from mnist_exp.config.nested import digest
from mnist_exp.config.schema import Settings
from mnist_exp.data import Dataset
from mnist_exp.errors import MnistExpError, SettingsError, TrackingError, first_line, plural
from mnist_exp.experiment import own_code, provenance, resume, runner
from mnist_exp.experiment.job_key import differences, job_key
from mnist_exp.experiment.provenance import Commit
from mnist_exp.experiment.record import Job
from mnist_exp.experiment.resume import Resumption
from mnist_exp.experiment.runner import Result, Run
from mnist_exp.inspection import cheap
from mnist_exp.jobs import events, sharing
from mnist_exp.jobs.assignment import Assignment
from mnist_exp.jobs.crew import Idle
from mnist_exp.runtime import retries
from mnist_exp.runtime.reasons import reason
from mnist_exp.runtime.redaction import redact
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search import attributes, budget
from mnist_exp.search.space import label, values_of
from mnist_exp.search.study import Study
from mnist_exp.tracking import names, store

if TYPE_CHECKING:
    import optuna

    from mnist_exp.training.fit import FitResult

NO_RESULT = float("nan")
# A step of 1 GFLOP takes 10 ms on two threads and 15 on one; one of 0.1 gains nothing (benchmarks/README.md).
_WORTH_THREADS_GFLOP = 0.5


@dataclass
class Attempt:
    """One attempt at one job: `run` does all of it; `open` and `close` are for jobs that are trained together.

    Errors are reported to the sweep and not raised. Signals that end the process are reported and raised.

    Args:
        assignment: of the sweep.
        out: writes its events.
        overrides: of its configuration, all of them.
        trial: of the search, asked after each epoch whether to continue.
        trained_together: how many train at once, and share the seconds.

    Attributes:
        outcome: done, paused, pruned, failed, killed, or `no store` if its run could not begin, once it is over.
        objective: of its run; NaN where there is none.
        second_objective: of a search for two; NaN where there is none.
    """

    assignment: Assignment
    out: events.Writer
    overrides: Sequence[str]
    trial: "optuna.Trial | None" = None
    trained_together: int = 1
    outcome: str = field(default="", init=False)
    objective: float = field(default=NO_RESULT, init=False)
    second_objective: float = field(default=NO_RESULT, init=False)
    _key: str = field(default="", init=False)  # Its job key, once it is known.
    _awaited: str | None = field(default=None, init=False)  # The run with which another process was at the job.
    _settings: Settings | None = field(default=None, init=False)
    _facts: dict[str, Any] = field(default_factory=dict, init=False)
    _ending: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, init=False)

    def __post_init__(self) -> None:
        # Not the overrides themselves: there may be a password in them.
        self._facts = {
            "name": label(self.overrides, self.assignment.keys),
            "values": values_of(self.overrides, self.assignment.keys),
            "command": provenance.command_of(
                self.assignment.alone.overrides(self.overrides, self._number), self.assignment.config_dir
            ),
        }
        if self.trial is not None:
            self._facts |= {"trial": self._number, "promoted": attributes.promoted_at(self.trial)}

    def compose(self) -> Settings:
        """Return its settings, composed here and not by Hydra. Raises: SettingsError: with every problem."""
        of_hydra: Any = HydraConfig.instance().cfg
        with composer(self.assignment.config_dir) as loader:
            settings, problems = PointComposer(loader, of_hydra).check(self.overrides, self._number)
        if settings is None or problems:
            raise SettingsError(problems)
        return settings

    def check(self, config: DictConfig) -> Settings:
        """Return its settings, which Hydra has composed. Raises: SettingsError: with every problem."""
        with hydra_section.numbered(self._number):
            return check(config, self.overrides)

    @property
    def _number(self) -> int:
        """Its number in the sweep; that of the launcher counts only what is left to do."""
        if self.trial is not None:
            return attributes.number(self.trial)
        return int(self._planned.get("number", self.out.job))

    @property
    def _search(self) -> "Study | None":
        return self.assignment.study if self.trial is not None else None

    @property
    def _planned(self) -> Mapping[str, Any]:
        known = events.read_known(self.assignment.folder, events.PLANNED)
        return known.get(digest(list(self.overrides)), {})  # type: ignore[no-any-return]

    def run(self, make_settings: Callable[[], Settings]) -> float:
        """Run it, and return its objective; NaN where there is none."""
        opened = self.open(make_settings)
        if opened is not None:
            self.close(opened, Run.fit)
        return self.objective

    def open(self, make_settings: Callable[[], Settings]) -> Run | None:
        """Return its run, built and its record begun; None where that went wrong, or an earlier run has its result."""
        with self._reporting():
            self._settings = settings = make_settings()
            if settings.tracking.store == "mlflow":  # It answered when the sweep began.
                store.check(store.locate(settings.tracking.uri), retries.PATIENCE_S, must_exist=True)
            self._key = job_key(settings, _dataset(self.assignment.sweep_id, settings).sha256)
            self._check_planned(settings)
            if self.trial is not None and (earlier := self._earlier(events.DONE)):
                self._take_over(earlier)
                return None
            while True:
                try:
                    return self._begin(settings)
                except sharing.DoneError as done:
                    self._take_over({"run_id": done.run.run_id, "metrics": done.run.metrics})
                    return None
                except sharing.HeldError as held:
                    self._awaited = held.run.run_id
                    if self.trial is None:  # It comes again later, after the other jobs.
                        self.outcome = "held"
                        self.out.write("skipped", held_by=held.run.run_id)
                        return None
                time.sleep(sharing.LOOK_S)
        return None

    def _begin(self, settings: Settings) -> Run:
        """Return its run, built and its record begun. Raises: HeldError, DoneError: another process was quicker."""
        with contextlib.ExitStack() as ending:
            screen = _Silent(self.out)
            # Begun by this job before its machine was lost, or in an earlier call, or by another process.
            own = events.begun(self.assignment.folder, self._key)
            wanted = settings.tracking, self._key, own, self._earlier(events.DONE_BEFORE) or ()
            sharing.check(*wanted, reuse=self.assignment.reuse)
            interrupted, paused_at = own or self._earlier(events.INTERRUPTED), None
            if self.trial is not None:
                paused_at, begun = attributes.promoted_at(self.trial), attributes.begun_run(self.trial)
                interrupted = begun if paused_at else interrupted or begun or self._awaited
            resumption = ending.enter_context(resume.of_job(interrupted, self._key, settings, screen, paused_at))
            claimed = functools.partial(sharing.claimed, *wanted, reuse=self.assignment.reuse)
            job = dataclasses.replace(self._job(settings, resumption, screen), claimed=claimed)
            opened = ending.enter_context(runner.open_run(settings, screen, job))
            self._ending = ending.pop_all()
        if (idle := self.assignment.idle) is not None and not self.assignment.groups:
            _tell_of_idle_cpus(idle, opened)
        return opened

    def close(self, opened: Run, train: "Callable[[Run], FitResult]") -> None:
        """Train a run that is open, and finish it.

        Args:
            opened: by `open`.
            train: returns what came of the training, or raises what went wrong.
        """
        with self._reporting():
            with self._ending:
                result = opened.finish(train(opened))
            self._report_result(result)

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        """Report errors to the sweep."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            self.outcome = "killed"
            self.out.write("killed", **self._facts)
            raise
        except Exception as error:
            if isinstance(error, TrackingError) and "run_id" not in self._facts:
                self.outcome = "no store"
                self.out.write("no store", reason=first_line(error), **self._facts)
                return
            self.outcome = "failed"
            events.note_failed(self.assignment.folder, self.out.job, self.assignment.most_failures)
            if self._key:
                events.forget_begun(self.assignment.folder, self._key)
            trace = "" if isinstance(error, MnistExpError) else traceback.format_exc()
            own = own_code.to_text(own_code.record(self._settings, after_error=True)) if self._settings else ""
            self.out.write("failed", reason=reason(error), traceback=trace, own_code=own, **self._facts)

    def _report_result(self, result: Result) -> None:
        pauses = self._search is not None and self._search.rungs is not None
        self.outcome = ("paused" if pauses else "pruned") if result.pruned else "done"
        if self.outcome == "paused":  # Another trial of the same values would be a run of its own.
            events.forget_begun(self.assignment.folder, self._key)
        self._note_values(result.objective, result.metrics)
        epochs = len(result.history[names.LOSS])
        # The launching process keeps those of thousands of jobs.
        metrics = {name: value for name, value in result.metrics.items() if name not in result.history}
        self.out.write(self.outcome, objective=result.objective, metrics=metrics, epochs=epochs, **self._facts)

    def _note_values(self, objective: float, metrics: dict[str, float]) -> None:
        minimized = self.assignment.study.settings.minimize_too if self.assignment.study else None
        self.objective = objective
        self.second_objective = metrics[minimized] if minimized else NO_RESULT

    def _check_planned(self, settings: Settings) -> None:
        """Make sure that this is the job that was planned: each is composed from the files as they are when it starts.

        Raises: SettingsError: it is another one by now.
        """
        if self.trial is not None:
            changed = differences(settings, self.assignment.common)
        else:
            planned = self._planned.get("key", self._key)
            changed = [] if planned == self._key else ["this job would be another one than was planned"]
        if changed:
            raise SettingsError(
                "the configuration files, the data, or a file that a builder reads, were changed while the sweep ran: "
                f"{'; '.join(changed)}; put them back, or issue the sweep again as it is now"
            )

    def _earlier(self, name: str) -> Any:
        """Return what the sweep knows of the same job from earlier calls: None if that is nothing."""
        return events.read_known(self.assignment.folder, name).get(self._key)

    def _take_over(self, earlier: dict[str, Any]) -> None:
        """Count the run of an earlier call, or of another process, which had the same job key."""
        if self.trial is not None:
            attributes.note_run(self.trial, earlier["run_id"])
        self.outcome = "done"
        self._note_values(float(earlier["metrics"][names.OBJECTIVE]), earlier["metrics"])
        epochs = int(earlier["metrics"].get(names.EPOCHS, 0))
        self.out.write("done", objective=self.objective, epochs=epochs, reused=True, **(self._facts | earlier))

    def _job(self, settings: Settings, resumption: Resumption | None, screen: Screen) -> Job:
        sha256, origin = _dataset(self.assignment.sweep_id, settings).sha256, None
        if self.trial is not None and (run_id := self.trial.user_attrs.get(attributes.STARTS)) is not None:
            origin = resume.origin(run_id, settings, sha256, screen)
        facts, parent, epochs = self._facts, self.assignment.parent, settings.trainer.epochs
        start = (resumption.checkpoint if resumption else None) or (origin.checkpoint if origin else None)
        done = start.epochs() if start else []
        if self.trial is not None and self._is_judged:
            for epoch, metrics in enumerate(done, start=1):
                self.trial.report(metrics[settings.objective], epoch)

        def on_start(run_id: str | None) -> None:
            if self.trial is not None:
                attributes.note_run(self.trial, run_id)
            facts["run_id"] = run_id
            if run_id is not None:
                events.note_begun(self.assignment.folder, self._key, run_id)
            self.out.write("started", of=epochs, done=len(done), **facts)

        def on_epoch(epoch: int, metrics: dict[str, float]) -> bool:
            value, seconds = metrics[settings.objective], metrics[names.EPOCH_TIME_S] * self.trained_together
            self.out.write("epoch", epoch=epoch, objective=value, seconds=seconds)
            if self.trial is not None:
                budget.note_epoch(self.trial, seconds)
            return not (self.trial is not None and self._is_hopeless(epoch, epochs, value))

        def wants_model(objective: float) -> bool:
            bar = events.bar(self.assignment.folder)
            maximizes = settings.direction == "maximize"
            wanted = bar is None or (objective >= bar if maximizes else objective <= bar)
            facts["has_model"] = wanted
            return wanted

        return Job(
            name=self._run_name(settings),
            command=facts["command"],
            tags={names.POINT: json.dumps(facts["values"])} | ({names.PARENT: parent} if parent else {}),
            dataset=_dataset(self.assignment.sweep_id, settings),
            on_start=on_start,
            on_epoch=on_epoch,
            wants_model=wants_model if settings.tracking.best_models else None,
            resumption=resumption,
            origin=origin,
            shares_graph=True,
            keeps_checkpoint=self._search is not None and self._search.keeps_checkpoints,
            commit=functools.partial(_commit, self.assignment.sweep_id),
        )

    def _run_name(self, settings: Settings) -> str:
        """Return what differs from other jobs; where `tracking.run_name` differs from job to job, that."""
        own = settings.tracking.run_name
        return str(self._facts["name"]) if own is None or own == self.assignment.run_name else redact(own)[:200]

    @property
    def _is_judged(self) -> bool:
        """Whether a pruner compares it after each epoch.

        Not another seed of a point: its mean would be without the unlucky ones, and others would be judged by its luck.
        """
        trial = self.trial
        return trial is not None and len(trial.study.directions) == 1 and attributes.SEED not in trial.user_attrs

    def _is_hopeless(self, epoch: int, epochs: int, value: float) -> bool:
        assert self.trial is not None
        if not self._is_judged:
            return False
        self.trial.report(value, epoch)
        if attributes.FINISHES in self.trial.user_attrs:
            return False
        # After the last epoch there is nothing left to save.
        return epoch < epochs and self.trial.should_prune()


def _tell_of_idle_cpus(idle: Idle, opened: Run) -> None:
    """Say that a large model is trained on fewer threads than there are."""
    from mnist_exp.training import flops

    per_image = flops.forward(opened.training.models.inference_model)
    step = 3e-9 * (per_image or 0) * opened.settings.trainer.batch_size
    if step >= _WORTH_THREADS_GFLOP:
        opened.screen.warn(
            f"{plural(idle.cpus, 'CPU')} idle while steps take {step:.1f} GFLOP each: {idle.fix} shares all CPUs among "
            "the workers; the last digits of results depend on the number of threads"
        )


class _Silent(Screen):
    """A job's screen: the sweep shows what there is to show; warnings are passed on to it."""

    def __init__(self, out: events.Writer) -> None:
        super().__init__()
        self._warn_to = out
        self.out.quiet = self.err.quiet = True
        self.is_notebook = False

    @property
    def is_live(self) -> bool:
        """Never: many jobs cannot share a line."""
        return False

    def warn(self, text: str) -> None:
        """Pass it on."""
        self._warn_to.write("warning", text=text)


@functools.lru_cache(maxsize=1)
def _commit(sweep_id: str) -> "Commit | None":
    """Return the commit when the first job of a sweep began in this process: later ones run what it imported."""
    return provenance.commit()


_loaded: dict[tuple[Any, ...], Dataset] = {}


def _dataset(sweep_id: str, settings: Settings) -> Dataset:
    """Return the data set, kept from job to job while they are of one sweep and use the same."""
    loader = settings.data.loader
    arguments = [sorted(each.arguments.items()) for each in (loader, settings.task)]
    key = (sweep_id, settings.data.name, loader.target, settings.task.target, repr(arguments))
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = cheap.warned(data.load(settings))
    return _loaded[key]
