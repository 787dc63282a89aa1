"""A sweep from end to end: `sweep` plans it, launches its jobs, follows them and prints the summary."""

import contextlib
import copy
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import env_override
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from mnist_exp.composition import compose, hydra_section, swept_choices
from mnist_exp.composition.points import PointComposer
from mnist_exp.config.parse import sweep_settings
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import RunError, first_line
from mnist_exp.experiment import notification
from mnist_exp.experiment.as_data import Listener
from mnist_exp.jobs.job import Task
from mnist_exp.runtime import backends, signals
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search import storage
from mnist_exp.search.parsing import parse
from mnist_exp.search.space import Space
from mnist_exp.search.study import Study
from mnist_exp.sweeps import turns
from mnist_exp.sweeps.calls import finish, paused_trials, reuse, tidy
from mnist_exp.sweeps.calls.call import SweepCall, as_it_began, make_study, of_this_code
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.launch import Launch, launching, work_of
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.outcome.outcome import Outcome
from mnist_exp.sweeps.planning import choices, defaults, own_lists, plan, rules, seeds, start
from mnist_exp.sweeps.planning.start import Start
from mnist_exp.sweeps.record import finished, record, recovery
from mnist_exp.sweeps.record.parent_run import ParentRun, find_running, open_parent
from mnist_exp.sweeps.shown import as_data, preview, priced, summary
from mnist_exp.tracking import backlog, store
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import optuna


def sweep(
    params: Mapping[str, Any],
    arguments: Sequence[str],
    config: DictConfig,
    loader: ConfigLoader,
    make_launcher: Callable[[Task], Launcher],
    on_end: Listener | None = None,
) -> float | None:
    """Run the jobs of a sweep that are not done yet, and return the best objective.

    Args:
        params: the options that the preset sweeps over, with their values.
        arguments: the overrides of the command line.
        config: composed from the overrides that are the same in all jobs.
        loader: Hydra's config loader.
        make_launcher: returns the launcher for a task.
        on_end: called with what came of the sweep, as `as_data.of_sweep` has it, once its record is closed.
    Returns: the best objective; None if no job is done.
    Raises: SettingsError: a job has a mistake, or cannot be run. Then no job was started.
        RunError: a job failed or was killed.
    """
    arguments = [swept_choices.as_typed(text) for text in arguments]
    str(config.hydra.sweep.dir)  # From now on its `${now:…}` is this time, in every job.
    # As Hydra does for each job; the workers of the jobs get the environment of this process when they start.
    with env_override(_variables(config)), hydra_section.resolving(copy.deepcopy(config)):
        call = _check(params, arguments, config, loader)
        if call.how.dry_run:
            _show_plan(call, config, on_end)
            return None
        backends.choose(
            call.plan.settings.trainer.backend
        )  # For the processes of the jobs, which import Keras at once.
        with (
            notification.sent(call.tracking.notify, on_end, call.screen.warn) as hears,
            launching(make_launcher, call, at_once=not finished.seems(call)) as launch,
        ):
            return _run(call, launch, hears)


def _show_plan(call: SweepCall, config: DictConfig, on_end: Listener | None) -> None:
    """Show what would be done, and what that would cost."""
    rows = [] if call.study else call.rows_of_grid(_peek(call))
    decided = call.study.settings if call.study is not None else None
    finishing = finish.planned(call, SweepHistory(call.tracking)) if call.study and call.has_store else None
    words = {**call.start.words, **(finishing.words if finishing is not None else {})}
    preview.show_jobs(call.screen, rows, call.plan, call.how, words, decided)
    price = None
    if call.how.dry_run is True:
        if rows:
            call.screen.out.print()
        price = priced.of_sweep(call, rows, config, work_of(call), finishing)
        if price is not None:
            preview.show_price(call.screen, price)
    if on_end is not None:
        outcome = Outcome(call.plan, call.how, rows, None, call.study)
        run = as_data.recorded(call, outcome, as_data.PLANNED, None, time.time())
        on_end(as_data.of_sweep(run, outcome, price=price))


def _variables(config: DictConfig) -> dict[str, str]:
    """Return the environment variables that are the same in all jobs."""
    variables: dict[str, str] = {}
    for name in config.hydra.job.env_set:
        with contextlib.suppress(OmegaConfBaseException):
            variables[name] = str(config.hydra.job.env_set[name])
    return variables


def _check(params: Mapping[str, Any], arguments: Sequence[str], config: DictConfig, loader: ConfigLoader) -> SweepCall:
    how, screen = sweep_settings(config), Screen()
    space = parse(params, arguments, how, loader)
    config_dir = _config_dir(loader)
    space = _with_choices(space, arguments, how, config, config_dir, screen)
    rules.check(how, space, config.hydra.launcher)
    is_search = rules.is_search(how, space)
    if is_search:
        rules.warn_of_lucky_seed(space, screen)
    space = seeds.added(space, how.seeds, config.get("seed"), is_search=is_search)
    if is_search:
        rules.warn_of_sampler(how, space, screen)
        how = rules.as_many_as_there_are(how, space, screen)
    made = plan.make(
        space, config_dir, config, is_search=is_search, together=how.together > 1, keep=how.dry_run is True
    )
    study = make_study(made, how) if is_search else None
    rules.warn_of_unused(how if study is None else study.settings, screen)
    if made.settings.tracking.store == "mlflow":  # Before the workers start.
        store.check(store.locate(made.settings.tracking.uri))
    rules.check_together(how, made.settings)
    rules.check_models(how, made.settings)
    varies_loss = any(key == "loss" or key.startswith("loss.") for key in made.space.keys)
    rules.check_selection(
        made.settings, screen, on_test=made.on_test, search=is_search, jobs=len(made.jobs), varies_loss=varies_loss
    )
    # Each call has its own folder: the one that Hydra names may have been used before.
    folder = Path(str(config.hydra.sweep.dir)).resolve() / "events" / f"{time.time_ns():x}"
    of_options = defaults.words(config, made.space.keys)
    given = start.read(how, made, config) if is_search else Start()
    return SweepCall(how, made, study, config_dir, folder, screen, tuple(arguments), start=given, defaults=of_options)


def _with_choices(
    space: Space,
    arguments: Sequence[str],
    how: SweepSettings,
    config: DictConfig,
    config_dir: str | None,
    screen: Screen,
) -> Space:
    """Return the space with what the choices of swept groups bring along, each option only for those that have it."""
    with compose.composer(config_dir) as loader:
        points = PointComposer(loader, config)
        every = choices.combinations(space, loader, points)
        if not every and how.where is None:
            return space
        space = own_lists.added(space, every, points.with_hydra(space.fixed), arguments, how)
        space = choices.conditioned(space, every)
        for hint in choices.hints(space, every):
            screen.warn(hint)
        return space


def _run(call: SweepCall, launch: Launch, on_end: Listener | None) -> float | None:
    began_s = time.time()
    call, opened, history = _opened(call)
    study = call.study
    earlier, parent = _open_record(call, history) if history is not None else ([], None)
    if study is None or opened is None:
        rows = call.rows_of_grid(earlier)
    else:
        recovery.complete(call, study, opened, parent, earlier)
        call.start.give(study.axes, opened, store.locate(call.tracking.uri))
        study.requeue_dead(opened)
        rows = parent.finished_trials() if parent is not None else []
        paused_trials.mark(study, rows)
        rows += paused_trials.begun(study, opened, rows)
        rows += [Row("", planned_epochs=study.epochs) for _ in range(study.left(opened))]
    summary.warn_of_reused(call.screen, rows, earlier, call.plan.settings)
    summary.warn_of_changed(call.screen, rows, earlier)
    parent_id = parent.run_id if parent is not None else None
    outcome = Outcome(call.plan, call.how, rows, parent_id, study, opened, call.defaults)
    if parent is not None and parent.concluded is not None:
        outcome = dataclasses.replace(outcome, look_up_mattered=parent.look_up_mattered)
    summary.announce(call.screen, outcome, call.tracking.experiment, launch.crew, call.start.words)

    lost = kept = ""  # Why the store cannot be used any more.
    status = "KILLED"
    try:
        with parent.heartbeat() if parent is not None else contextlib.nullcontext():
            if outcome.count("left") or (study is not None and opened is not None and study.to_go_on(opened)):
                with _figures_prepared(outcome, launch, parent):
                    lost = turns.run(call, launch, rows, earlier, parent, opened)
        status = "FAILED" if outcome.failed else "KILLED" if outcome.count("killed") else "FINISHED"
        tidy.remove_superseded(call.tracking, rows, earlier)
    finally:
        with signals.held():  # A second Ctrl-C must not leave the parent run, or the person, without the outcome.
            if study is not None and opened is not None:
                kept = _settled(call, study, opened, rows)
            concluded = parent.close(outcome, status) if parent is not None and not lost else {}
            history = parent.history if parent else None
            summary.show(call.screen, outcome, call.tracking.experiment, history, concluded, kept)
            if on_end is not None:
                run = as_data.recorded(call, outcome, status, None if lost else parent, began_s)
                problem = "interrupted" if signals.is_asked() else _problem(outcome, lost)
                on_end(as_data.of_sweep(run, outcome, [problem] if problem else []))
    signals.check()
    if problem := _problem(outcome, lost):
        raise RunError(problem)
    return outcome.ranked[0].objective if outcome.ranked else None


def _opened(call: SweepCall) -> "tuple[SweepCall, optuna.Study | None, SweepHistory | None]":
    """Return the call as it is to be done, the study of its search, and the runs of its experiment."""
    study, history = call.study, None
    # Before MLflow is imported: a storage that cannot be used is told at once.
    opened = recovery.open_study(call, study) if study is not None else None
    if call.tracking.store == "mlflow":
        backlog.upload_waiting(call.tracking, call.screen.warn)
        history = SweepHistory(call.tracking)
        call = of_this_code(as_it_began(call, history), history)
    if opened is not None and call.study is not None and call.study is not study:
        storage.close(opened)
        opened = recovery.open_study(call, call.study)
    if opened is not None and history is not None:
        call = finish.begun(call, opened, history)
    return call, opened, history


def _settled(call: SweepCall, study: Study, opened: "optuna.Study", rows: list[Row]) -> str:
    try:
        return paused_trials.settle(study, opened, rows, may_be_longer=finish.may_be_longer(call.plan.settings))
    except Exception as error:  # As of a database that is away: the same command again does it.
        call.screen.warn(f"checkpoints of paused trials stay as they are: {first_line(error)}")
        return ""


def _problem(outcome: Outcome, lost: str) -> str:
    """Return why the sweep did not come to a good end; empty if it did."""
    jobs = len(outcome.rows)
    if lost:
        left = outcome.count("left")
        return f"{lost}: {left} of {jobs} jobs were not started; repair that, then run the same command again"
    if outcome.failed:
        return f"{len(outcome.failed)} of {jobs} jobs failed"
    if killed := outcome.count("killed"):
        return f"{killed} of {jobs} jobs were killed: run the same command again to continue"
    return ""


def _figures_prepared(
    outcome: Outcome, launch: Launch, parent: ParentRun | None
) -> contextlib.AbstractContextManager[None]:
    if parent is None:
        return contextlib.nullcontext()
    return record.figures_prepared(outcome, launch.crew.count if launch.crew is not None else 1)


def _open_record(call: SweepCall, history: SweepHistory) -> tuple[list[StoredRun], ParentRun]:
    """Return the earlier runs of the experiment, and the parent run."""
    earlier = history.jobs(call.job_keys)
    history.tidy(earlier)
    if (parent := finished.find(call, history, earlier)) is not None:
        return earlier, parent
    if call.how.reuse and call.study is None:
        find_running(call, history)
        # A search need not wait: its next jobs resume the trials that orphaned jobs leave.
        earlier = reuse.without_orphans(history, earlier, call.job_keys or ())
    return earlier, open_parent(call, history, earlier)


def _peek(call: SweepCall) -> list[StoredRun]:
    """Return the earlier runs of the experiment, without creating a store."""
    return SweepHistory(call.tracking).jobs(call.job_keys) if call.how.reuse and call.has_store else []


def _config_dir(loader: ConfigLoader) -> str | None:
    """Return the user's folder of configuration files."""
    paths = [element.path for element in loader.get_search_path().get_path() if element.provider == "command-line"]
    return paths[0].removeprefix("file://") if paths else None
