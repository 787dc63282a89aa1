"""A whole sweep: planned, launched, watched, summed up. `sweep` reads as what happens."""

import contextlib
import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from mnist_exp import fields, provenance, store
from mnist_exp.errors import RunError, SettingsError
from mnist_exp.screen import Screen
from mnist_exp.settings import SweepSettings, sweep_settings
from mnist_exp.sweeping import events, plan, summary
from mnist_exp.sweeping import study as studies
from mnist_exp.sweeping.board import Row
from mnist_exp.sweeping.job import Assignment, Task
from mnist_exp.sweeping.ledger import Ledger, Record
from mnist_exp.sweeping.plan import Plan
from mnist_exp.sweeping.space import Space, parse
from mnist_exp.sweeping.study import Study
from mnist_exp.sweeping.summary import Outcome
from mnist_exp.sweeping.watch import Watch

if TYPE_CHECKING:
    import optuna

_LOCAL = "hydra_plugins.mnist_exp_plugins.LocalLauncher"
_ORPHANS_END_S = 15.0


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
    space = parse(params, arguments, how)
    is_search = how.sampler is not None or any(axis.is_continuous for axis in space.axes)
    problems = _problems(how, config, space, is_search=is_search)
    if problems:
        raise SettingsError(problems)
    config_dir = next((p.path for p in loader.get_search_path().get_path() if p.provider == "command-line"), None)
    config_dir = config_dir.removeprefix("file://") if config_dir else None
    made = plan.make(space, config_dir, is_search=is_search)
    screen = Screen()
    _about_the_test_set(made, screen, is_search=is_search)
    return _Sweep(how, made, config, config_dir, screen, is_search).run(make_launcher)


class _Sweep:
    """One call of a sweep, which is checked."""

    def __init__(
        self,
        how: SweepSettings,
        made: Plan,
        config: DictConfig,
        config_dir: str | None,
        screen: Screen,
        is_search: bool,
    ) -> None:
        self._how, self._plan, self._screen = how, made, screen
        self._config_dir, self._is_search = config_dir, is_search
        self._folder = Path(str(config.hydra.sweep.dir)).resolve()
        settings = made.settings
        self._objective, self._direction = settings.objective, settings.direction
        self._key = _identity(made, how, is_search=is_search)
        self._study: Study | None = None
        if is_search:
            name = how.study or f"mnist_exp-{self._key[:16]}"
            file = store.sqlite_file(store.locate(settings.tracking.uri))
            directions = [settings.direction] + ["minimize"] * (how.minimize_too is not None)
            self._study = Study(
                name,
                how.storage or studies.default_storage(file, name),
                made.space.axes,
                how,
                tuple(directions),
                settings.trainer.epochs,
            )

    def run(self, make_launcher: Callable[[Task], Launcher]) -> float | None:
        if self._how.dry_run:
            summary.show_jobs(self._screen, self._rows([]) if self._is_search else self._rows(self._peek()), self._plan)
            return None
        task = Task()
        launcher = make_launcher(task)
        workers = getattr(launcher, "workers", None)
        if workers is not None:
            workers.job_timeout_s = self._how.job_timeout_s
            workers.start()  # They import while the store is opened.
        try:
            return self._record(task, launcher)
        finally:
            if workers is not None:
                workers.stop()

    def _record(self, task: Task, launcher: Launcher) -> float | None:
        tracking = self._plan.settings.tracking
        ledger = Ledger(tracking) if tracking.store == "mlflow" else None
        parent, records, owns = None, [], True
        opened = self._study.open() if self._study else None
        if self._study and opened:
            self._study.revive(opened)
        if ledger is not None:
            records = ledger.records()
            found = ledger.find_parent(self._key)
            owns = not (found and found.lives)
            if found is not None and not owns and not self._is_search:
                raise SettingsError(_running_already(found))
            records = self._without_orphans(ledger, records)
            children = ledger.children(found.run_id) if found and self._is_search else []
            rows = self._rows(records if self._how.reuse else [], children)
            parent = ledger.open_parent(found, *self._parent_facts()) if owns or not found else found.run_id
        else:
            rows = self._rows([])
        if self._study and opened:
            rows += [Row("", planned_epochs=self._study.epochs) for _ in range(self._study.left(opened))]
        outcome = Outcome(self._plan, self._how, rows, parent, self._config_dir, self._study, opened)
        summary.announce(self._screen, outcome, tracking.experiment)
        self._warn_of_other_commits(rows, records)
        status = "KILLED"
        try:
            self._launch(task, launcher, ledger, outcome, records)
            status = "FAILED" if outcome.failed else "FINISHED"
        finally:
            if ledger is not None and parent is not None:
                self._settle(ledger, outcome, opened)
                summary.record(ledger, outcome)
                if owns or not ledger.get(parent).lives:
                    ledger.end(parent, status)
            summary.show(self._screen, outcome, tracking)
        if outcome.failed:
            raise RunError(f"{len(outcome.failed)} of {len(outcome.rows)} jobs failed")
        return outcome.ranked[0].objective if outcome.ranked else None

    def _launch(
        self, task: Task, launcher: Launcher, ledger: Ledger | None, outcome: Outcome, records: Sequence[Record]
    ) -> None:
        to_run = [position for position, row in enumerate(outcome.rows) if row.outcome == "left"]
        if not to_run:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._is_search and self._how.reuse:
            done = {r.key: {"run_id": r.run_id, "metrics": r.metrics} for r in records if r.is_done}
            (self._folder / "done.json").write_text(json.dumps(done), encoding="utf-8")
        task.assignment = Assignment(
            sweep_id=f"{self._key}/{time.time()}",
            folder=self._folder,
            parent=outcome.parent,
            keys=self._plan.space.keys,
            study=self._study,
            deadline=time.time() + self._how.timeout_s if self._how.timeout_s else None,
            config_dir=self._config_dir,
        )

        watch = Watch(
            self._folder,
            self._screen,
            outcome.rows,
            to_run,
            self._direction,
            self._objective,
            functools.partial(self._note_failure, ledger, outcome),
        )
        workers = getattr(launcher, "workers", None)
        if workers is not None:
            workers.on_lost = lambda job, error: watch.lost(job, str(error))
        jobs = [list(outcome.rows[position].overrides or self._plan.space.fixed) for position in to_run]
        with watch:
            returned = launcher.launch(jobs, initial_job_idx=0)
            for number, job in enumerate(returned):
                if job.status.name == "FAILED":
                    watch.lost(number, str(job._return_value))

    def _rows(self, records: Sequence[Record], children: Sequence[Record] = ()) -> list[Row]:
        """Return a row for each job, with what earlier calls have made of it."""
        if self._is_search:
            known = [r for r in children if r.status in ("FINISHED", "FAILED")]
            return [summary.row_of(record, self._plan.space.keys) for record in reversed(known)]
        by_key: dict[str, Record] = {}
        for record in records:  # Newest first; one that is done beats any other.
            if record.key not in by_key or (record.is_done and not by_key[record.key].is_done):
                by_key[record.key] = record
        rows = []
        for job in self._plan.jobs:
            row = Row(job.name, _values(job.overrides, self._plan), job.overrides, job.commanded)
            row.planned_epochs, row.key = job.epochs, job.key
            earlier = by_key.get(job.key)
            if earlier and (earlier.is_done or (earlier.status == "FAILED" and not self._how.retry_failed)):
                summary.fill(row, earlier)
            rows.append(row)
        return rows

    def _peek(self) -> list[Record]:
        """Return what is recorded, without making a store that is not there."""
        tracking = self._plan.settings.tracking
        file = store.sqlite_file(store.locate(tracking.uri))
        if tracking.store != "mlflow" or not self._how.reuse or (file is not None and not file.exists()):
            return []
        return Ledger(tracking).records()

    def _without_orphans(self, ledger: Ledger, records: list[Record]) -> list[Record]:
        """Wait for jobs of a sweep that was killed: they end by themselves soon after it."""
        keys = {job.key for job in self._plan.jobs}
        until = time.monotonic() + _ORPHANS_END_S
        while living := [r for r in records if r.lives and r.key in keys]:
            if time.monotonic() > until:
                raise SettingsError(_running_already(living[0]))
            time.sleep(0.5)
            records = ledger.records()
        return records

    def _settle(self, ledger: Ledger, outcome: Outcome, opened: "optuna.Study | None") -> None:
        """Set right what jobs whose process was ended could not record themselves."""
        for row in outcome.rows:
            if row.outcome == "killed" and row.run_id and not row.reused:
                with contextlib.suppress(Exception):  # The rest of the summary is worth more.
                    if ledger.get(row.run_id).status == "RUNNING":
                        ledger.end(row.run_id, "KILLED")
        if self._study and opened:
            lost = {row.run_id for row in outcome.rows if row.outcome == "failed" and row.run_id}
            self._study.fail(opened, lost)
            self._study.revive(opened)

    def _note_failure(self, ledger: Ledger | None, outcome: Outcome, row: Row) -> None:
        """Record a job that failed, and give the sweep up if it was one too many."""
        if ledger is not None:
            tags = {"mnist_exp.failure": row.reason, "mlflow.parentRunId": outcome.parent or ""}
            tags |= {"mnist_exp.command": row.command, "mnist_exp.point": json.dumps(dict(row.values))}
            if row.key:
                tags["mnist_exp.job_key"] = row.key
            with contextlib.suppress(Exception):  # A store that is gone must not end the sweep.
                row.run_id = ledger.record_failure(row.run_id, row.name, tags, row.traceback)
        failures = sum(each.outcome == "failed" and not each.reused for each in outcome.rows)
        rate = self._how.max_failure_rate
        if self._how.fail_fast or (rate is not None and failures > rate * len(outcome.rows)):
            events.give_up(self._folder, f"{failures} jobs failed")

    def _parent_facts(self) -> tuple[str, dict[str, Any], dict[str, str]]:
        space, tracking = self._plan.space, self._plan.settings.tracking
        params: dict[str, Any] = {axis.key: axis.words for axis in space.axes}
        if space.points != ((),):
            for key in space.keys:
                values = [_values(point, self._plan).get(key) for point in space.points]
                params.setdefault(key, ",".join(dict.fromkeys(v for v in values if v is not None)))
        if self._is_search:
            params["sweep.sampler"] = self._how.sampler or "tpe"
            params["sweep.pruner"] = self._how.pruner
        commit = provenance.commit()
        tags = {
            "mnist_exp.sweep": self._key,
            "mnist_exp.command": provenance.command(),
            "mnist_exp.data_sha256": self._plan.data_sha256,
            "mnist_exp.git_commit": commit.sha if commit else "none",
            "mnist_exp.git_dirty": str(commit.is_dirty).lower() if commit else "unknown",
        }
        if self._study:
            tags["mnist_exp.study"] = self._study.name
        return tracking.run_name or f"sweep {space.words}"[:200], params, tags

    def _warn_of_other_commits(self, rows: Sequence[Row], records: Sequence[Record]) -> None:
        commit = provenance.commit()
        reused = {row.run_id for row in rows if row.reused and row.outcome == "done"}
        commits = [r.tags.get("mnist_exp.git_commit") for r in records if r.run_id in reused]
        others = [sha for sha in commits if commit is not None and sha != commit.sha]
        if others:
            jobs = "1 job was" if len(others) == 1 else f"{len(others)} jobs were"
            self._screen.warn(f"{jobs} done by another commit of the code; sweep.reuse=false runs all again")


def _problems(how: SweepSettings, config: DictConfig, space: Space, *, is_search: bool) -> list[str]:
    """Return the problems that show when the options of a sweep meet."""
    problems = []
    launcher = config.hydra.launcher
    if is_search:
        if how.zip or how.points:
            problems.append("sweep.zip and sweep.points are combinations to try; a search makes up its own")
        if not space.axes:
            problems.append(f"sweep.sampler={how.sampler} has nothing to search: sweep over an option")
    else:
        for name, value in (("pruner", how.pruner), ("minimize_too", how.minimize_too), ("timeout_s", how.timeout_s)):
            if value not in (None, "none"):
                problems.append(f"sweep.{name}={value} needs a search: add sweep.sampler=tpe")
    if how.minimize_too and how.pruner != "none":
        problems.append(f"sweep.pruner={how.pruner} cannot tell poor trials by two objectives: leave one of both away")
    if how.job_timeout_s and launcher._target_ != _LOCAL:
        problems.append(f"sweep.job_timeout_s={how.job_timeout_s} needs hydra/launcher=local")
    if launcher._target_ == _LOCAL:
        _, problem = fields.check("hydra.launcher.n_workers", launcher.get("n_workers"), fields.Count)
        problems += [problem] if problem else []
    return problems


def _about_the_test_set(made: Plan, screen: Screen, *, is_search: bool) -> None:
    if not made.on_test or not made.settings.objective.startswith("val_"):
        return
    fix = "hold training images out with data.validation=5000 or data.validation=0.1"
    if is_search:
        raise SettingsError(
            "a search would select on the test set (data.validation=test), and its score would no longer be honest: "
            + fix
        )
    screen.warn(f"these jobs are validated on the test set: to choose the best of them, {fix}")


def _identity(made: Plan, how: SweepSettings, *, is_search: bool) -> str:
    if not is_search:
        return provenance.digest([sorted(job.key for job in made.jobs), sorted(made.space.keys)])
    told = [(axis.key, axis.words, axis.values) for axis in made.space.axes]
    first = provenance.job_key(made.settings, made.data_sha256)
    sampling = [how.sampler or "tpe", how.pruner, how.prune_after, how.seed, how.minimize_too, how.study]
    return provenance.digest([told, sampling, first])


def _values(overrides: Sequence[str], made: Plan) -> dict[str, str]:
    from mnist_exp.sweeping.space import values_of

    return values_of(overrides, made.space.keys)


def _running_already(record: Record) -> str:
    process = record.tags.get("mnist_exp.process", "unknown")
    return (
        f"this sweep runs already (run {record.run_id}, process {process}): wait for it or stop it; if that process is "
        "gone for good, run everything with sweep.reuse=false"
    )
