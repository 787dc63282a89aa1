"""A whole sweep: planned, launched, watched, summed up. `sweep` reads as what happens."""

import contextlib
import functools
import itertools
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from mnist_exp.config.nested import digest, flatten
from mnist_exp.config.parse import sweep_settings
from mnist_exp.config.schema import SweepSettings, TrackingSettings
from mnist_exp.errors import BusyError, RunError
from mnist_exp.experiment import provenance
from mnist_exp.jobs import events
from mnist_exp.jobs.assignment import Assignment, NumberedJob
from mnist_exp.jobs.job import Task
from mnist_exp.jobs.worker import WorkersLauncher
from mnist_exp.runtime import backends
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search import storage
from mnist_exp.search.space import parse
from mnist_exp.search.study import Study
from mnist_exp.sweeps import grouping, plan, reuse, rules, summary
from mnist_exp.sweeps.history import SweepHistory
from mnist_exp.sweeps.identity import study_name, sweep_key
from mnist_exp.sweeps.leaderboard import Row
from mnist_exp.sweeps.plan import Plan
from mnist_exp.sweeps.progress import Watch
from mnist_exp.sweeps.summary import Outcome
from mnist_exp.tracking import backlog, names, run_folder, store, ui_view
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import optuna


def sweep(
    params: Mapping[str, Any],
    arguments: Sequence[str],
    config: DictConfig,
    loader: ConfigLoader,
    make_launcher: Callable[[Task], Launcher],
) -> float | None:
    """Run what of a sweep is not done yet, and return the best objective.

    Args:
        params: what a preset sweeps over.
        arguments: the overrides of the command line.
        config: composed, without what is swept.
        loader: Hydra's.
        make_launcher: returns the launcher that carries a task.
    Raises: SettingsError: any job of it is mistaken, or cannot be run; nothing was.
        RunError: a job failed.
    """
    how = sweep_settings(config)
    space = parse(params, arguments, how, loader)
    rules.check(how, space, config.hydra.launcher)
    search = rules.is_search(how, space)
    own_folder = _own_folder(loader)
    made = plan.make(space, own_folder, is_search=search, together=how.together > 1)
    screen = Screen()
    rules.check_together(how, made.settings)
    rules.check_selection(made.settings, screen, on_test=made.on_test, search=search, jobs=len(made.jobs))
    study = _study(made, how) if search else None
    if how.dry_run:
        rows = [] if study else _rows_of_grid(made, _peek(made, how), how)
        summary.show_jobs(screen, rows, made)
        return None
    # A folder of its own for each call: the one that Hydra names may have been used before.
    folder = Path(str(config.hydra.sweep.dir)).resolve() / "events" / f"{time.time_ns():x}"
    task = Task()
    backends.choose(made.settings.trainer.backend)  # For the processes of the jobs, which import Keras at once.
    with _launching(make_launcher, task, how) as launcher:
        return _Sweep(how, made, study, folder, own_folder, screen, task, launcher).run()


@dataclass
class _Sweep:
    """One call of a sweep, which is checked.

    Args:
        how: it goes.
        plan: what is to be done.
        study: of a search.
        folder: where jobs tell what happens.
        own_folder: of the user's, with groups of their own.
        screen: where it is shown.
        task: what the launcher carries.
        launcher: Hydra's, or ours.
    """

    how: SweepSettings
    plan: Plan
    study: Study | None
    folder: Path
    own_folder: str | None
    screen: Screen
    task: Task
    launcher: Launcher
    history: SweepHistory | None = field(default=None, init=False)
    opened: "optuna.Study | None" = field(default=None, init=False)
    earlier: list[StoredRun] = field(default_factory=list, init=False)

    def run(self) -> float | None:
        tracking = self.plan.settings.tracking
        outcome, owns_parent = self._open(tracking)
        summary.announce(self.screen, outcome, tracking.experiment)
        status, ending = "KILLED", contextlib.ExitStack()
        try:
            if outcome.parent is not None and owns_parent:
                ending.enter_context(run_folder.sweep_heartbeat(tracking, outcome.parent))
            if outcome.count("left"):
                self._launch(outcome)
            status = "FAILED" if outcome.failed else "KILLED" if outcome.count("killed") else "FINISHED"
        finally:
            if self.history is not None and outcome.parent is not None:
                self._close(self.history, outcome, outcome.parent, status, owns=owns_parent)
            ending.close()
            summary.show(self.screen, outcome, tracking.experiment, self.history)
        if outcome.failed:
            raise RunError(f"{len(outcome.failed)} of {len(outcome.rows)} jobs failed")
        if killed := outcome.count("killed"):
            raise RunError(f"{killed} of {len(outcome.rows)} jobs were ended from outside: the same command goes on")
        return outcome.ranked[0].objective if outcome.ranked else None

    def _open(self, tracking: TrackingSettings) -> tuple[Outcome, bool]:
        """Open store and study, and return the sweep as far as earlier calls came, and whether the parent is ours.

        A search whose parent another living process owns is joined; a grid is refused.
        """
        how, parent, owns, rows, earlier = self.how, None, True, [], []
        if self.study is not None:
            self.opened = self.study.open()
            self.study.requeue_dead(self.opened)
        if tracking.store == "mlflow":
            backlog.upload_waiting(tracking, self.screen.warn)
            self.history = history = SweepHistory(tracking)
            earlier = history.jobs()
            if how.reuse and self.study is None:
                self._refuse_if_running(history)
                # Of a search, whoever asks next goes on with what they leave.
                earlier = reuse.without_orphans(history, earlier, {job.key for job in self.plan.jobs})
            found, parent, owns = self._open_parent(history)
            if self.study is not None and found is not None:
                rows = reuse.rows_of_search(history.children(found.run_id), self.plan.space.keys)
        if self.study is None or self.opened is None:
            rows = _rows_of_grid(self.plan, earlier if how.reuse else [], how)
        else:
            rows += [Row("", planned_epochs=self.study.epochs) for _ in range(self.study.left(self.opened))]
        self.earlier = earlier
        summary.warn_of_reused(self.screen, rows, earlier, self.plan.settings.tracking.register_as)
        return Outcome(self.plan, how, rows, parent, self.own_folder, self.study, self.opened), owns

    def _open_parent(self, history: SweepHistory) -> tuple[StoredRun | None, str, bool]:
        """Return the parent run that was there, the one that is used, and whether it is ours."""
        with store.lock(history.uri):
            found = self._refuse_if_running(history)
            if found is not None and found.lives:
                return found, found.run_id, False
            parent = history.open_parent(found, *self._parent_facts())
        if found is None and self.how.reuse and (quicker := history.quicker_parent(self._key, parent)):
            if self.study is None:
                raise BusyError(reuse.running_already(quicker))
            return quicker, quicker.run_id, False
        return found, parent, True

    def _refuse_if_running(self, history: SweepHistory) -> StoredRun | None:
        """Return the parent run of an earlier call. Raises: BusyError: another process is at it; a search is joined."""
        found = history.find_parent(self._key) if self.how.reuse else None
        if found is not None and found.lives and self.study is None:
            raise BusyError(reuse.running_already(found))
        return found

    def _prepare(self, parent: str | None, units: Sequence[Sequence[Row]]) -> None:
        """Tell the jobs what they need to know.

        Args:
            parent: run id of the sweep, if it is recorded.
            units: what the launcher starts: jobs that are trained together.
        """
        how = self.how
        self.folder.mkdir(parents=True, exist_ok=True)
        planned = {digest(list(job.overrides)): job.key for job in self.plan.jobs}
        events.write_known(self.folder, events.PLANNED, planned)
        if how.reuse:
            events.write_known(self.folder, events.INTERRUPTED, _begun(self.plan, self.earlier, how))
        if self.study is not None and how.reuse:
            done = {r.key: {"run_id": r.run_id, "metrics": r.metrics} for r in self.earlier if r.is_done}
            events.write_known(self.folder, events.DONE, done)
        self.task.assignment = Assignment(
            sweep_id=f"{self._key}/{time.time()}",
            folder=self.folder,
            parent=parent,
            keys=self.plan.space.keys,
            study=self.study,
            deadline=time.time() + how.timeout_s if how.timeout_s else None,
            config_dir=self.own_folder,
            fixed=self.plan.space.fixed,
            common=self.plan.common,
            groups=_numbered(units) if self.how.together > 1 else (),
        )

    def _launch(self, outcome: Outcome) -> None:
        positions = {id(row): position for position, row in enumerate(outcome.rows)}
        units = self._units([row for row in outcome.rows if row.outcome == "left"])
        self._prepare(outcome.parent, units)
        to_run = [positions[id(row)] for unit in units for row in unit]
        on_failure = functools.partial(self._note_failure, outcome)
        settings = self.plan.settings
        watch = Watch(
            self.folder, self.screen, outcome.rows, to_run, settings.direction, settings.objective, on_failure
        )
        numbers = [[job.number for job in unit] for unit in _numbered(units)]

        def lost(unit: int, error: object) -> None:
            for number in numbers[unit]:
                watch.lost(number, str(error))

        if isinstance(self.launcher, WorkersLauncher):
            workers = self.launcher.workers
            workers.on_lost = lost
            # A search may be joined by other launching processes, so each has a name of its own.
            workers.name = f"mnist_exp-{self._key[:12]}" + (f"-{time.time_ns():x}" if self.study else "")
        jobs = [list(unit[0].overrides or self.plan.space.fixed) for unit in units]
        with watch:
            for number, job in enumerate(self.launcher.launch(jobs, initial_job_idx=0)):
                if job.status.name == "FAILED":
                    lost(number, job._return_value)  # `return_value` would raise it.

    def _units(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Return the jobs to run as they are started: by themselves, or those of one program together."""
        at_most = self.how.together
        if at_most == 1:
            return [[row] for row in rows]
        planned = {job.key: job for job in self.plan.jobs}
        units = grouping.groups(rows, [planned[row.key].program for row in rows], at_most)
        alone = [planned[row.key] for unit in units if len(unit) == 1 for row in unit]
        reasons = dict.fromkeys(job.why_alone for job in alone if job.why_alone is not None)
        if alone:
            why = ", ".join(reasons) or f"only jobs that differ in nothing but {grouping.MAY_DIFFER} can be together"
            self.screen.warn(f"sweep.together={at_most}: {len(alone)} of {len(rows)} jobs are trained alone: {why}")
        return units

    def _close(self, history: SweepHistory, outcome: Outcome, parent: str, status: str, *, owns: bool) -> None:
        """Complete the parent run, and end it unless another living process owns it; what fails is told, not raised."""

        def end() -> None:
            now = history.get(parent)
            if owns or (now.status != "FINISHED" and not now.lives):
                history.end(parent, status)
                run_folder.remove_sweep_heartbeat(self.plan.settings.tracking, parent)

        steps = (self._settle, summary.record, self._open_view)
        settle, record, view = (functools.partial(step, history, outcome) for step in steps)
        for step in (settle, record, view, end):
            try:
                step()
            except Exception:  # The jobs are done; they must not look as if they were not.
                self.screen.warn(f"the parent run is not complete:\n{traceback.format_exc()}")

    def _open_view(self, history: SweepHistory, outcome: Outcome) -> None:
        """Let MLflow's page show the jobs, also those that belong to another sweep, which did them before."""
        parent = outcome.parent or ""
        ids = [row.run_id for row in [*outcome.ranked, *outcome.rows] if row.run_id]
        others = {r.run_id for r in self.earlier if r.tags.get(names.PARENT) != parent}
        which = ui_view.children(parent) if others.isdisjoint(ids) else ui_view.among(list(dict.fromkeys(ids)))
        settings = self.plan.settings
        params = flatten(settings.to_config())
        history.open_view(ui_view.of_jobs(which, self.plan.space.keys, params, settings.objective, settings.direction))

    def _settle(self, history: SweepHistory, outcome: Outcome) -> None:
        """Set right what jobs whose process was ended could not record themselves."""
        ended = [row for row in outcome.rows if row.outcome in ("killed", "failed") and not row.reused]
        for row in ended:
            if row.outcome == "killed" and row.run_id:
                with contextlib.suppress(Exception):  # The rest of the summary is worth more.
                    if history.get(row.run_id).status == "RUNNING":
                        history.end(row.run_id, "KILLED")
        if ended or self.study:
            history.mark_killed()  # Those that were ended before they could tell; also another call's of a search.
        if self.study and self.opened:
            self.study.fail(self.opened, {row.run_id for row in ended if row.outcome == "failed" and row.run_id})
            self.study.requeue_dead(self.opened)

    def _note_failure(self, outcome: Outcome, row: Row) -> None:
        """Record a job that failed, and give the sweep up if it was one too many."""
        if self.history is not None:
            tags = {names.FAILURE: row.reason, names.PARENT: outcome.parent or ""}
            tags |= {names.COMMAND: row.command, names.POINT: json.dumps(dict(row.values))}
            if row.key:
                tags[names.JOB_KEY] = row.key
            with contextlib.suppress(Exception):  # A store that is gone must not end the sweep.
                row.run_id = self.history.record_failure(row.run_id, row.name, tags, row.traceback)
        failures = sum(each.outcome == "failed" and not each.reused for each in outcome.rows)
        rate = self.how.max_failure_rate
        if self.how.fail_fast or (rate is not None and failures > rate * len(outcome.rows)):
            events.give_up(self.folder, f"{failures} jobs failed")

    def _parent_facts(self) -> tuple[str, dict[str, Any], dict[str, str]]:
        space = self.plan.space
        params: dict[str, Any] = dict(space.words_of)
        if self.study is not None:
            params |= {names.SAMPLER: self.how.sampler or "tpe", names.PRUNER: self.how.pruner}
        tags = {
            names.SWEEP: self._key,
            names.COMMAND: provenance.command(),
            names.DATA_SHA256: self.plan.data_sha256,
            **provenance.commit_tags(provenance.commit()),
        }
        name = self.plan.settings.tracking.run_name or f"sweep {space.words}"[:200]
        return name, params, tags | ({names.STUDY: self.study.name} if self.study else {})

    @functools.cached_property
    def _key(self) -> str:
        return sweep_key(self.plan, self.how, is_search=self.study is not None)


@contextlib.contextmanager
def _launching(make_launcher: Callable[[Task], Launcher], task: Task, how: SweepSettings) -> Iterator[Launcher]:
    """Make the launcher; workers of ours start at once, to import while the store is opened, and end with it."""
    launcher = make_launcher(task)
    if not isinstance(launcher, WorkersLauncher):
        yield launcher
        return
    workers = launcher.workers
    workers.job_timeout_s = how.job_timeout_s
    workers.start()
    try:
        yield launcher
    finally:
        workers.stop()


def _study(made: Plan, how: SweepSettings) -> Study:
    settings = made.settings
    name = study_name(made, how)
    place = how.storage or storage.default(store.sqlite_file(store.locate(settings.tracking.uri)), name)
    directions = (settings.direction, *(["minimize"] if how.minimize_too else []))
    return Study(
        name, place, made.space.axes, how, directions, settings.trainer.epochs, run_folder.root(settings.tracking)
    )


def _numbered(units: Sequence[Sequence[Row]]) -> tuple[tuple[NumberedJob, ...], ...]:
    """Return the jobs of each unit, counted through all of them."""
    numbers = itertools.count()
    return tuple(tuple(NumberedJob(next(numbers), tuple(row.overrides)) for row in unit) for unit in units)


def _rows_of_grid(made: Plan, earlier: Sequence[StoredRun], how: SweepSettings) -> list[Row]:
    return reuse.rows_of_grid(made, earlier, retry_failed=how.retry_failed, begun=_begun(made, earlier, how))


def _begun(made: Plan, earlier: Sequence[StoredRun], how: SweepSettings) -> dict[str, str]:
    """Return the runs to go on with, by job key."""
    return reuse.interrupted(earlier, made.settings.tracking, retry_failed=how.retry_failed)


def _peek(made: Plan, how: SweepSettings) -> list[StoredRun]:
    """Return what is recorded, without making a store that is not there."""
    tracking = made.settings.tracking
    file = store.sqlite_file(store.locate(tracking.uri))
    if tracking.store != "mlflow" or not how.reuse or (file is not None and not file.exists()):
        return []
    return SweepHistory(tracking).jobs()


def _own_folder(loader: ConfigLoader) -> str | None:
    paths = [element.path for element in loader.get_search_path().get_path() if element.provider == "command-line"]
    return paths[0].removeprefix("file://") if paths else None
