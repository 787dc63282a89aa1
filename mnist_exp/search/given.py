"""What a search is given before its sampler draws: results of earlier sweeps, and points to try first.

Both stand in the study as trials of Optuna. A result of an earlier sweep is no trial of this one: it has the attribute
`FROM`, does not count as one of `sweep.n_trials`, and is on no leaderboard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mnist_exp.composition.overrides import read
from mnist_exp.config import wording
from mnist_exp.errors import SettingsError
from mnist_exp.search import distributions
from mnist_exp.search.attributes import FIRST, FROM, INTERRUPTED, RUN, note
from mnist_exp.search.space import Axis

if TYPE_CHECKING:
    import optuna

_CLOSE = 1e-9  # of a number to a step of its range, as a share of that step


@dataclass(frozen=True)
class Known:
    """One result of an earlier sweep.

    Args:
        run_id: of its run.
        params: the value that Optuna has of each searched option.
        values: of the objectives; of one that was pruned, the last.
        epochs: of one that was pruned, its objective after each epoch; else empty.
    """

    run_id: str
    params: Mapping[str, Any]
    values: Sequence[float]
    epochs: Mapping[int, float] = field(default_factory=dict)


def value_of(axis: Axis, value: Any) -> Any:
    """Return the value that Optuna has for one of a configuration.

    Raises: ValueError: it is not in the space; the message says what is.
    """
    row = axis.interval
    if row is None:
        for text in axis.values:
            if _is_same(_parsed(axis, text), value):
                return text
        raise ValueError(f"it must be one of {wording.listed(axis.values, 10, str)}")
    is_whole = isinstance(row.low, int) and isinstance(row.high, int)
    words = f"{'a whole number' if is_whole else 'a number'} from {row.low} to {row.high}"
    words += f" in steps of {row.step}" if row.step is not None and row.step != 1 else ""
    if isinstance(value, bool) or not isinstance(value, int | float) or not row.low <= value <= row.high:
        raise ValueError(f"it must be {words}")
    steps = (value - row.low) / (row.step or 1)
    if (is_whole or row.step is not None) and abs(steps - round(steps)) > _CLOSE:
        raise ValueError(f"it must be {words}")
    return distributions.read(axis, str(int(value) if is_whole else value))


def add_known(axes: Sequence[Axis], study: "optuna.Study", known: Sequence[Known]) -> None:
    """Give a study the results of earlier sweeps that it does not have yet. Two callers must not do so at once."""
    from optuna.trial import TrialState, create_trial

    there = {trial.user_attrs.get(FROM) for trial in study.get_trials(deepcopy=False)}
    for one in known:
        if one.run_id not in there:
            study.add_trial(
                create_trial(
                    state=TrialState.PRUNED if one.epochs else TrialState.COMPLETE,
                    values=list(one.values),
                    params=dict(one.params),
                    distributions={
                        axis.parameter: distributions.of(axis) for axis in axes if axis.parameter in one.params
                    },
                    intermediate_values=dict(one.epochs),
                    user_attrs={FROM: one.run_id},
                )
            )


def queue_first(study: "optuna.Study", points: Sequence[Mapping[str, Any]]) -> None:
    """Queue points that are to be tried first, unless they are, or were tried.

    Processes of several machines may do so at once: of equal ones, the trial with the lowest number stays.
    """
    from optuna.trial import TrialState

    for point in points:
        own = [trial for trial in study.get_trials(deepcopy=False) if FROM not in trial.user_attrs]
        if any(trial.user_attrs.get(FIRST) == point or point.items() <= trial.params.items() for trial in own):
            continue
        study.enqueue_trial(dict(point), user_attrs={FIRST: dict(point)})
        queued = [t for t in study.get_trials(deepcopy=False) if t.user_attrs.get(FIRST) == point]
        for later in queued[1:]:
            if later.state == TrialState.WAITING:
                note(study, later, INTERRUPTED, True)
                # Optuna's `tell` refuses a trial that waits.
                study._storage.set_trial_state_values(later._trial_id, state=TrialState.FAIL)


def queued_runs(study: "optuna.Study") -> set[str | None]:
    """Return the runs of the points that were to be tried first."""
    return {trial.user_attrs.get(RUN) for trial in study.get_trials(deepcopy=False) if FIRST in trial.user_attrs}


def _parsed(axis: Axis, text: str) -> Any:
    try:
        return read(f"{axis.key}={text}").value()
    except SettingsError:
        return text


def _is_same(one: Any, other: Any) -> bool:
    """Tell whether two values of a configuration are the same: 1e-3 and 0.001 are, 1 and true are not."""
    are_numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (one, other))
    return bool(one == other) if are_numbers else wording.text(one) == wording.text(other)
