"""The parent run of a sweep: it is created or opened again, gets the results of the sweep, and is closed."""

import contextlib
import functools
import json
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp.analysis import stored
from mnist_exp.analysis.mattered import Mattered
from mnist_exp.config.nested import flatten
from mnist_exp.errors import BusyError, SettingsError, TrackingError
from mnist_exp.experiment import own_code, provenance
from mnist_exp.sweeps.calls import reuse
from mnist_exp.sweeps.calls.call import SweepCall
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.outcome.outcome import Outcome
from mnist_exp.sweeps.planning.plan import Plan
from mnist_exp.sweeps.record import kept_models, record
from mnist_exp.sweeps.record.kept_models import KeptModels
from mnist_exp.tracking import mlflow_log, mlflow_writes, names, query_statistics, run_folder, store, tracker, ui_view
from mnist_exp.tracking.runs import StoredRun

_GROWTH = 1.2  # of a store since its rows were counted: then a sweep that ends has them counted anew


@dataclass(frozen=True)
class ParentRun:
    """The parent run of one call of a sweep.

    Args:
        call: of the sweep.
        history: the runs of its experiment.
        earlier: runs of the experiment, from before this call.
        run_id: of the parent.
        is_new: whether this call created it.
        is_ours: whether this process owns it; else this process has joined a search that another one began.
        concluded: the tags of the conclusion, if all is recorded already: see `finished`.
    """

    call: SweepCall
    history: SweepHistory
    earlier: Sequence[StoredRun]
    run_id: str
    is_new: bool
    is_ours: bool
    concluded: dict[str, str] | None = None

    @functools.cached_property
    def models(self) -> KeptModels | None:
        """What keeps the best models of the sweep; None where all stay."""
        return kept_models.opened(self.call, self.history, self.run_id, self.earlier)

    def look_up_mattered(self) -> Mattered | None:
        """Return what mattered, as the run has it already; None if that is nothing, or damaged."""
        with contextlib.suppress(SettingsError):
            return stored.of_run(self.history.uri, self.run_id)
        return None

    @contextlib.contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Keep a heartbeat for the sweep during a `with` block, if the parent run is ours."""
        with run_folder.sweep_heartbeat(self.call.tracking, self.run_id) if self.is_ours else contextlib.nullcontext():
            yield

    def finished_trials(self) -> list[Row]:
        """Return a row for each trial of a search that earlier calls, or other processes, have finished."""
        if self.is_new:
            return []
        children = self.history.children(self.run_id)
        return reuse.rows_of_search(children, self.call.plan.space.keys, self.call.changes)

    def record_failure(self, row: Row) -> None:
        """Record that a job failed; a job that failed before its run was created gets one."""
        tags = {names.FAILURE: row.reason, names.PARENT: self.run_id}
        tags |= {names.COMMAND: row.command, names.POINT: json.dumps(dict(row.values))}
        if row.key:
            tags[names.JOB_KEY] = row.key
        with contextlib.suppress(Exception), tracker.folder() as folder:  # The sweep goes on without the store.
            if row.run_id is None:
                own = own_code.from_text(row.own_code)
                tags |= own_code.tags(own)
                own_code.write(own, folder)
            if row.traceback:
                (folder / "traceback.txt").write_text(row.traceback, encoding="utf-8")
            row.run_id = self.history.record_failure(row.run_id, row.name, tags, folder)

    def close(self, outcome: Outcome, status: str) -> dict[str, str]:
        """Complete the run and set its status, unless another living process owns it. Errors become warnings.

        Returns: the tags of the conclusion; none if it could not be drawn.
        """
        if self.concluded is not None:
            if self.models is not None and not self.models.are_settled:
                self._try(self.models.settle)
            self._open_view(outcome)
            return self.concluded
        try:
            store.check(self.history.uri, must_exist=True)
        except TrackingError as error:
            self.call.screen.warn(
                f"the parent run is not complete: {error}; repair that and run the same command again"
            )
            return {}
        concluded: dict[str, str] = {}

        def write() -> None:
            concluded.update(record.write(self.history, outcome))

        def end() -> None:
            now = self.history.get(self.run_id)
            if self.is_ours or (now.status != "FINISHED" and not now.lives):
                self.history.end(self.run_id, status)
                query_statistics.refresh(self.history.uri, growth=_GROWTH)
                run_folder.remove_sweep_heartbeat(self.call.tracking, self.run_id)

        settle = functools.partial(self._settle, outcome)
        view = functools.partial(self._open_view, outcome)
        steps: list[Callable[[], None]] = [settle, write, view, end]
        if self.models is not None:
            steps.insert(1, self.models.settle)
        for step in steps:
            self._try(step)
        return concluded

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except mlflow_writes.write_errors() as error:
            self.call.screen.warn(f"the parent run is not complete: {mlflow_log.reason(error)}")
        except Exception:  # The jobs are done: an error here must not look like a failure of theirs.
            self.call.screen.warn(f"the parent run is not complete:\n{traceback.format_exc()}")

    def _open_view(self, outcome: Outcome) -> None:
        """Let MLflow's page show the jobs, also those that an earlier sweep did and that belong to its parent."""
        plan, settings = self.call.plan, self.call.plan.settings
        ids = [row.run_id for row in [*outcome.ranked, *outcome.rows] if row.run_id]
        others = {run.run_id for run in self.earlier if run.tags.get(names.PARENT) != self.run_id}
        replaced = any(row.changed and not row.reused for row in outcome.rows)
        are_ours = others.isdisjoint(ids) and not replaced
        which = ui_view.children(self.run_id) if are_ours else ui_view.among(list(dict.fromkeys(ids)))
        limited = plan.space.limited
        # The first job may lack an option that applies to some only.
        params = dict.fromkeys(key for keys in limited for key in keys) | flatten(settings.to_config())
        found = {run.run_id: run for run in self.earlier}
        if names.SEED in plan.space.keys:  # Then it shows configurations, and which there are.
            found |= {run.run_id: run for run in self.history.these([each for each in ids if each not in found])}
        configurations = [found[each].params for each in ids if each in found]
        view = ui_view.of_jobs(
            which,
            plan.space.keys,
            params,
            settings.objective,
            settings.direction,
            self.call.how.minimize_too,
            configurations,
            limited,
        )
        self.history.open_view(view)

    def _settle(self, outcome: Outcome) -> None:
        """Set the status of jobs whose process was killed before it could do so."""
        study = self.call.study
        ended = [row for row in outcome.rows if row.outcome in ("killed", "failed") and not row.reused]
        for row in ended:
            if row.outcome == "killed" and row.run_id:
                with contextlib.suppress(Exception):  # The rest of the summary must be recorded all the same.
                    now = self.history.get(row.run_id)
                    if now.status == "RUNNING":
                        self.history.end(row.run_id, "KILLED")
                    elif now.is_done:  # Its process was killed before it could say so.
                        reuse.take_result(row, now)
        if ended or study:
            self.history.mark_killed()  # Also the trials of other calls of a search.
        if study and outcome.opened:
            study.fail(outcome.opened, {row.run_id for row in ended if row.outcome == "failed" and row.run_id})
            study.requeue_dead(outcome.opened)


def find_running(call: SweepCall, history: SweepHistory) -> StoredRun | None:
    """Return the parent run of an earlier call; None if there is none, or with `sweep.reuse=false`.

    Raises: BusyError: it is a grid, and another process runs it. A search is joined instead.
    """
    parent = history.find_parent(call.key) if call.how.reuse else None
    if parent is not None and parent.lives and call.study is None:
        raise BusyError(reuse.running_already(parent))
    return parent


def open_parent(call: SweepCall, history: SweepHistory, earlier: Sequence[StoredRun]) -> ParentRun:
    """Create the parent run, open that of an earlier call again, or join a search that another process runs.

    Raises: BusyError: it is a grid, and another process runs it.
    """
    with store.lock(history.uri):
        parent = find_running(call, history)
        if parent is not None and parent.lives:
            return ParentRun(call, history, earlier, parent.run_id, is_new=False, is_ours=False)
        run_id = history.open_parent(parent, *facts(call))
    if parent is None and call.how.reuse and (other := history.yield_to_other_parent(call.key, run_id)):
        if call.study is None:
            raise BusyError(reuse.running_already(other))
        return ParentRun(call, history, earlier, other.run_id, is_new=True, is_ours=False)
    return ParentRun(call, history, earlier, run_id, is_new=parent is None, is_ours=True)


def _own_tags(plan: Plan) -> dict[str, str]:
    """Return the tags of the user's own that all jobs have."""
    tags = {name: text for name, text in plan.settings.tags.items() if f"tags.{name}" not in plan.space.keys}
    described = plan.settings.tracking.description
    return tags | ({names.NOTE: described} if described else {})


def facts(call: SweepCall) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Return name, params and tags of the parent run."""
    plan, study = call.plan, call.study
    params: dict[str, Any] = dict(plan.space.words_of)
    tags = {
        **_own_tags(plan),
        names.SWEEP: call.key,
        names.COMMAND: provenance.command(["-m", *call.words]),
        names.DATA_SHA256: plan.data_sha256,
        names.PLANNED_JOBS: str(call.how.n_trials if study is not None else len(plan.jobs)),
        **provenance.commit_tags(provenance.commit()),
    }
    if study is not None:
        params |= {names.SAMPLER: call.how.sampler or "tpe", names.PRUNER: study.settings.pruner}
        tags[names.STUDY] = study.name
        tags |= {names.FINISHES: call.finishes} if call.finishes else {}
        if plan.space.raced_from:
            tags[names.RACED_FROM] = plan.space.raced_from
    return plan.run_name or f"sweep {plan.space.words}"[:200], params, tags
