"""Give a study what its storage lost, from the runs of its search in the store: they have all that its trials had."""

import contextlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mnist_exp.search import distributions
from mnist_exp.search.attributes import RESUMES, RUN, SEED, note
from mnist_exp.search.study import Study
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

if TYPE_CHECKING:
    import optuna


def is_empty(opened: "optuna.Study") -> bool:
    """Tell whether a study has no trials."""
    return not opened.get_trials(deepcopy=False)


def end_trials(search: Study, opened: "optuna.Study", runs: Sequence[StoredRun]) -> None:
    """End the trials of dead processes whose run has ended: only the study missed it.

    Args:
        search: that the runs belong to.
        opened: its study.
        runs: of the search.
    """
    ended = {run.run_id: run for run in runs if run.status in ("FINISHED", "FAILED")}
    named = {trial.user_attrs.get(RUN) for trial in opened.get_trials(deepcopy=False)}
    unnamed = [run for run in ended.values() if run.run_id not in named]
    for trial in search.dead_trials(opened):
        run = ended.get(trial.user_attrs.get(RUN))
        if RUN not in trial.user_attrs:
            run = next((each for each in unnamed if _is_of(search, each, trial)), None)
        values = _values(search, run) if run is not None else []
        if run is None or None in values:
            continue
        with contextlib.suppress(RuntimeError, ValueError):  # Another process was quicker.
            note(opened, trial, RUN, run.run_id)
            if values:
                opened.tell(trial.number, values)
            else:
                opened.tell(trial.number, state=_state(run))


def add_trials(search: Study, opened: "optuna.Study", runs: Sequence[StoredRun], objective: str) -> int:
    """Add a trial for each finished run that no trial names; to an empty study also those that failed, or are to go on.

    Args:
        search: that the runs belong to.
        opened: its study.
        runs: oldest first; read before the study, so that no trial that others just end is missed.
        objective: name of the metric, whose values after each epoch the pruner asks for.
    Returns: how many trials were added.
    """
    trials = opened.get_trials(deepcopy=False)
    known = {trial.user_attrs.get(name) for trial in trials for name in (RUN, RESUMES)}
    counted = ("FINISHED",) if trials else ("FINISHED", "FAILED", "KILLED")
    # Of several runs of one job, one that has ended counts, or else the last that was interrupted.
    ended = {run.key for run in runs if run.status in ("FINISHED", "FAILED")}
    interrupted = {run.key: run.run_id for run in runs if run.status == "KILLED" and run.key not in ended}
    count = 0
    for run in runs:
        params = params_of(search, run)
        if run.run_id in known or run.status not in counted or params is None:
            continue
        if run.status != "KILLED":
            count += _add(search, opened, run, params, objective)
        elif interrupted.get(run.key) == run.run_id:
            opened.enqueue_trial(params, user_attrs={RESUMES: run.run_id} | _seed(search, run))
            count += 1
    return count


def _is_of(search: Study, run: StoredRun, trial: "optuna.trial.FrozenTrial") -> bool:
    seed = {name: value for name, value in trial.user_attrs.items() if name == SEED}
    return params_of(search, run) == trial.params and _seed(search, run) == seed


def _seed(search: Study, run: StoredRun) -> dict[str, int]:
    """Return the attribute of a trial with another seed than the first; none of any other."""
    written = run.params.get(names.SEED, "")
    is_another = bool(search.seeds) and written.isdecimal() and int(written) != search.seeds[0]
    return {SEED: int(written)} if is_another else {}


def params_of(search: Study, run: StoredRun) -> dict[str, Any] | None:
    """Return the params of a trial with the values of a run; None if it lacks one."""
    try:
        values = json.loads(run.tags.get(names.POINT, "{}"))
        return distributions.params_of(search.axes, values)
    except (ValueError, LookupError, TypeError):
        return None


def _add(search: Study, opened: "optuna.Study", run: StoredRun, params: dict[str, Any], objective: str) -> bool:
    """Add the trial of a run that has ended, unless its record lacks what a trial needs."""
    from optuna.trial import create_trial

    epochs: dict[int, float] = {}
    if len(search.directions) == 1 and (run.is_pruned or search.settings.prunes):
        epochs = run.history(objective)
    values: Sequence[float | None] = _values(search, run)
    if run.is_pruned:
        values = [*epochs.values()][-1:]  # As Optuna has it of a trial that was pruned.
    if None in values:
        return False
    try:
        trial = create_trial(
            state=_state(run),
            values=values or None,
            params=params,
            distributions={axis.parameter: distributions.of(axis) for axis in search.axes if axis.parameter in params},
            intermediate_values=epochs,
            user_attrs={RUN: run.run_id} | _seed(search, run),
        )
    except ValueError:
        return False
    opened.add_trial(trial)
    return True


def _values(search: Study, run: StoredRun) -> list[float | None]:
    """Return the objectives of a run that is done, None for each that its record lacks; nothing of any other run."""
    second = search.settings.minimize_too
    return [run.metrics.get(name) for name in (names.OBJECTIVE, second) if name] if run.is_done else []


def _state(run: StoredRun) -> "optuna.trial.TrialState":
    from optuna.trial import TrialState

    if run.is_done:
        return TrialState.COMPLETE
    return TrialState.PRUNED if run.is_pruned else TrialState.FAIL
