"""The Optuna study of a search. Any number of processes share it, and each job asks it for a trial when it starts.

A job asks when it starts, not when it is launched. So any Hydra launcher can run a search as one batch of jobs, and a
free worker starts the next trial at once, which takes all results so far into account.
"""

import contextlib
import shlex
import time
import warnings
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError, first_line
from mnist_exp.runtime import processes, start_folder
from mnist_exp.runtime.redaction import redact
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search import budget, distributions, ledger, next_trial, pausing, pruners, repeats, seeds, storage
from mnist_exp.search.attributes import (
    CARRIED,
    FIXED,
    INTERRUPTED,
    LOST,
    NUMBER,
    PROCESS,
    RESUMES,
    RUN,
    begun_run,
    counts,
    goes_on,
    is_interrupted,
    note,
    note_run,
    number,
    promoted_at,
)
from mnist_exp.search.conditions import Condition
from mnist_exp.search.ledger import Ledger
from mnist_exp.search.next_trial import Situation
from mnist_exp.search.rungs import Rungs
from mnist_exp.search.space import Axis
from mnist_exp.tracking import names, run_folder

if TYPE_CHECKING:
    import optuna

_LOOK_S = 1.0
_MOST_LOST = 3  # A trial fails after so many processes, and one more, have died at it before it came a step further.
_OWNER_IS_RECORDED_S = 60.0  # A process records itself as the owner of its trial within this time.


@dataclass(frozen=True)
class Study:
    """Describes a search: where its trials are stored, and how new ones are drawn.

    It is small, because it is sent to every job.

    Args:
        name: of the Optuna study.
        storage: a journal file, or the address of a database.
        axes: the options that are searched.
        settings: the options `sweep.*`: sampler, pruner, seed and number of trials.
        directions: maximize or minimize, for each objective.
        epochs: largest number of epochs of a trial; a pruner compares trials at certain numbers of epochs.
        unfinished: the folder of all unfinished runs.
        metrics: the names of the objectives; empty to number them.
        seeds: that a point may be tried with, in this order; empty if there is one only.
        partly: overrides that the trials have with which they apply; as in `Space`.
    """

    name: str
    storage: str
    axes: tuple[Axis, ...]
    settings: SweepSettings
    directions: tuple[str, ...]
    epochs: int
    unfinished: Path
    metrics: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    partly: tuple[tuple[str, Condition], ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether it was created before; looking does not create it."""
        return storage.has_study(self.storage, self.name)

    def open(
        self, patience_s: float = 0.0, tell: Callable[[str], None] | None = None, *, in_job: bool = False
    ) -> "optuna.Study":
        """Open the study; create it if it is new.

        Args:
            patience_s: how long to wait for a database that does not answer.
            tell: called with a sentence when the end of its journal file was mended, now or at a later record; None
                warns on the terminal.
            in_job: whether it is a job of the search that opens it: the search has checked it, and the next job in this
                process will open it again.
        Raises: SettingsError: the storage cannot be used, or the study in it belongs to another search.
            DamagedError: it is a journal file that Optuna cannot read.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # Optuna marks parts that we use as experimental; the user can do nothing about it.
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)

        def create(kept: "optuna.storages.BaseStorage") -> "optuna.Study":
            return optuna.create_study(
                study_name=self.name,
                storage=kept,
                sampler=self._sampler(),
                pruner=self._pruner(),
                directions=list(self.directions),
                load_if_exists=True,
            )

        study: optuna.Study = storage.opened(self.storage, create, patience_s, tell or Screen().warn, reads_on=in_job)
        if not in_job:
            self._check(study)
            self._name_metrics(study)
        return study

    def _sampler(self) -> "optuna.samplers.BaseSampler":
        from mnist_exp.search.one_result import OneResultEach
        from mnist_exp.search.samplers import SeededSampler

        is_conditional = any(axis.when is not None for axis in self.axes)
        drawn = SeededSampler(self.settings.sampler or "tpe", self.settings.seed, is_conditional=is_conditional)
        return OneResultEach(drawn) if self.settings.pruner == "asha" else drawn

    @property
    def how_to_look(self) -> str:
        """The command that shows the study in a browser."""
        file = storage.journal_file(self.storage)
        near = file is not None and file.is_relative_to(start_folder.start_folder())
        place = file.relative_to(start_folder.start_folder()) if file is not None and near else self.storage
        return shlex.join(["optuna-dashboard", redact(str(place))])

    def _name_metrics(self, study: "optuna.Study") -> None:
        """Let pages show the names of the objectives: Optuna numbers them else. Done once."""
        if self.metrics and study.metric_names is None:
            study.set_metric_names(list(self.metrics))

    def left(self, study: "optuna.Study") -> int:
        """Return how many trials can still be started; interrupted ones, and those of other sweeps, do not count."""
        return self._left(ledger.read(study))

    def _left(self, known: Ledger) -> int:
        return max(self.settings.n_trials - known.started, 0)

    @property
    def rungs(self) -> Rungs | None:
        """Where trials are paused, to go on when they turn out to deserve it; None if what is stopped stays stopped."""
        if self.settings.pruner != "asha" or not self.settings.keep_paused:
            return None
        return Rungs(self.settings.prune_after, self.epochs, self.maximizes)

    @property
    def maximizes(self) -> bool:
        """Whether a larger objective is better."""
        return self.directions[0] == "maximize"

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether checkpoints of trials that have ended are kept, some of them: see `kept`."""
        return self.rungs is not None or self.settings.finish_best > 0

    def claim(
        self, study: "optuna.Study", is_over: Callable[[], bool] = lambda: False, *, new: bool = True
    ) -> "tuple[optuna.Trial, list[str]] | None":
        """Start the next trial in this process, or go on with one.

        Several processes may see that one trial is left, or that one is to go on, and each starts it. No storage can
        look and start a trial in one step, but every storage numbers its trials: a process whose number is too high
        gives its trial up again.

        Args:
            study: opened.
            is_over: asked while this waits for other trials, whether it shall no longer.
            new: whether it may be one more trial; else only one that goes on with an earlier one.
        Returns: the trial and its overrides; None if there is nothing to do now, or the budget is spent.
        """
        repeated = 0
        while True:
            known = ledger.read(study)
            now = self._budget(known)
            if now == "over" or (now == "wait" and is_over()):
                return None
            if now == "wait":
                if not self.requeue_dead(study):
                    time.sleep(_LOOK_S)
                continue
            left = self._left(known)
            trial = next_trial.begin(self._situation(study, known, has_room=new and left > 0, is_full=left == 0))
            if trial is None:
                if self.requeue_dead(study, is_going_on=True):
                    continue
                return None
            overrides = self._owned(trial)
            known = ledger.read(study)
            *before, kept = known.trials[: trial.number + 1]
            if seeds.is_taken(before, kept):
                self.interrupt(study, kept, again=False)
                continue
            if self._budget(known, before=trial.number) != "open":
                self.interrupt(study, kept)  # Another process was quicker; it is for whoever comes next.
                continue
            if self._is_repeat(study, known, kept, repeated):
                repeated += 1
                continue
            if not self._is_too_many(known, kept):
                return trial, overrides
            self.interrupt(study, kept, again=FIXED in kept.system_attrs and counts(kept))

    def _budget(self, known: Ledger, before: int | None = None) -> budget.State:
        return budget.state(known.spent(before), known.running(before), self.settings, self.epochs)

    def _is_repeat(self, study: "optuna.Study", known: Ledger, trial: "optuna.trial.FrozenTrial", so_far: int) -> bool:
        """End a trial that would only give what an earlier one gives, and tell whether another is to be asked for.

        Args:
            study: opened.
            known: all trials.
            trial: that this process has started.
            so_far: how many such were ended in a row.
        """
        same = repeats.earlier(known, trial)
        if same is None or repeats.are_all_tried(known, self.axes):
            return False
        if so_far % repeats.MOST == repeats.MOST - 1:
            if (point := repeats.untried(known, self.axes, self.settings.seed + trial.number)) is None:
                return False
            study.enqueue_trial(point)
        repeats.end(study, trial, same)
        return True

    def _is_too_many(self, known: Ledger, trial: "optuna.trial.FrozenTrial") -> bool:
        """Tell whether other processes were quicker.

        Args:
            known: all trials.
            trial: that this process has started.
        """
        before = known.trials[: trial.number]
        if (epoch := promoted_at(trial)) is None:
            most = self.settings.n_trials
            return known.counted > most and sum(map(counts, before)) >= most
        if not pausing.is_kept(self.unfinished, begun_run(trial)) and FIXED not in trial.system_attrs:
            return True  # Its checkpoint was just removed.
        same = [each for each in before if number(each) == number(trial) and not is_interrupted(each)]
        # One that ended where it began had no process any more that could go on with it.
        begun = [each for each in same if each.state.name != "PRUNED" or (each.last_step or 0) > epoch]
        return any(promoted_at(each) == epoch for each in begun)

    def ask(self, study: "optuna.Study") -> "tuple[optuna.Trial, list[str]]":
        """Start a trial in this process, however many there are, and return it with its overrides."""
        trial = next_trial.begin(self._situation(study, ledger.read(study), has_room=True, is_full=False))
        assert trial is not None
        return trial, self._owned(trial)

    def _pruner(self) -> "optuna.pruners.BasePruner":
        from mnist_exp.search.pausing_pruner import PausingPruner

        return pruners.pruner(self.settings, self.epochs) if self.rungs is None else PausingPruner(self.rungs)

    def _situation(self, study: "optuna.Study", known: Ledger, *, has_room: bool, is_full: bool) -> Situation:
        decided = self.rungs, self.unfinished, self.seeds
        return Situation(study, known, self.axes, self.settings, has_room, is_full, *decided)

    def _owned(self, trial: "optuna.Trial") -> list[str]:
        """Record this process as the owner of a trial, and return the overrides of the trial."""
        trial.set_user_attr(PROCESS, processes.identify())
        found = distributions.of_trial(self.axes, trial.params)
        choices = {axis.key: str(value) for axis, value in found}
        shared = [text for text, when in self.partly if when.holds(choices)]
        seed = [f"{names.SEED}={seeds.seed_of(trial, self.seeds)}"] if self.seeds else []
        return [*shared, *(axis.override(value) for axis, value in found), *seed]

    def requeue_dead(self, study: "optuna.Study", *, is_going_on: bool = False) -> int:
        """Queue the trials of dead processes again, and return how many there were.

        Args:
            study: opened.
            is_going_on: whether the search runs meanwhile. Then what kills its process again and again, as a model that
                is too large for this machine, fails at last.
        """
        import optuna

        dead = self.dead_trials(study)
        for trial in dead:
            before, epoch = trial.user_attrs.get(LOST, (0, 0))
            reached = trial.last_step or 0
            losses = 1 if reached > epoch else before + 1
            if is_going_on and losses > _MOST_LOST:
                with contextlib.suppress(RuntimeError, ValueError):  # Another process was quicker.
                    study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                continue
            self.interrupt(study, trial, lost=(losses, reached) if is_going_on else None)
        return len(dead)

    def dead_trials(self, study: "optuna.Study") -> "list[optuna.trial.FrozenTrial]":
        """Return the trials that a process began which has ended since."""
        import optuna

        dead = []
        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            owner = trial.user_attrs.get(PROCESS, "")
            # A process that was killed before it recorded itself as the owner will never do so.
            has_no_owner = not owner and time.time() - trial.datetime_start.timestamp() > _OWNER_IS_RECORDED_S
            if has_no_owner or processes.is_gone(owner) or self._is_silent(trial):
                dead.append(trial)
        return dead

    def is_spent(self, study: "optuna.Study") -> bool:
        """Tell whether the budget is spent, so that no trial may start or go on."""
        return self._budget(ledger.read(study)) == "over"

    def to_go_on(self, study: "optuna.Study") -> int:
        """Return how many trials this machine can go on with now: interrupted ones, and paused ones that deserve it."""
        known = ledger.read(study)
        if self._budget(known) == "over":
            return 0
        waiting = [trial for trial in known.waiting if goes_on(trial)]
        now = self._situation(study, known, has_room=False, is_full=self._left(known) == 0)
        return len(waiting) + next_trial.paused_to_go_on(now)

    def give_back(self, study: "optuna.Study", number: int) -> None:
        """Queue a trial again whose machine is lost, unless the trial has ended.

        Args:
            study: opened.
            number: of the trial.
        """
        trial = study.get_trials(deepcopy=False)[number]
        if not trial.state.is_finished():
            self.interrupt(study, trial)

    def fail(self, study: "optuna.Study", run_ids: Container[str | None]) -> None:
        """Mark running trials as failed.

        Args:
            study: opened.
            run_ids: runs of these trials, whose processes were killed.
        """
        import optuna

        for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
            if trial.user_attrs.get(RUN) in run_ids:
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

    def interrupt(
        self,
        study: "optuna.Study",
        trial: "optuna.Trial | optuna.trial.FrozenTrial",
        *,
        again: bool = True,
        lost: tuple[int, int] | None = None,
    ) -> None:
        """End a trial without a result.

        Args:
            study: opened.
            trial: of it.
            again: whether the next process tries its values again, and resumes its run.
            lost: how many processes in a row have died at it while the search went on, and its epochs since then.
        """
        import optuna

        try:
            note(study, trial, INTERRUPTED, True)
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        except (RuntimeError, ValueError):  # Another process was quicker.
            return
        if again:
            run = trial.user_attrs.get(RUN) or trial.user_attrs.get(RESUMES)
            carried = {name: trial.user_attrs[name] for name in CARRIED if name in trial.user_attrs}
            carried |= {LOST: lost} if lost else {}
            study.enqueue_trial(
                dict(trial.params), user_attrs=carried | {NUMBER: number(trial)} | ({RESUMES: run} if run else {})
            )

    def _is_silent(self, trial: "optuna.trial.FrozenTrial") -> bool:
        run = trial.user_attrs.get(RUN)
        process = trial.user_attrs.get(PROCESS, "")
        is_elsewhere = run is not None and not processes.is_here(process)
        return is_elsewhere and run_folder.is_silent(self.unfinished, run, process)

    def _check(self, study: "optuna.Study") -> None:
        """Check that the trials in the study belong to this search; Optuna would mix them with those of another one."""
        from optuna.distributions import check_distribution_compatibility

        theirs = [direction.name.lower() for direction in study.directions]
        if theirs != list(self.directions):
            raise SettingsError(
                f"sweep.study={self.name} was made to {' and '.join(theirs)}, not to {' and '.join(self.directions)}: "
                "choose another name"
            )
        for trial in study.get_trials(deepcopy=False):
            for axis in self.axes:
                try:
                    if axis.parameter in trial.distributions:
                        check_distribution_compatibility(trial.distributions[axis.parameter], distributions.of(axis))
                except ValueError as error:
                    raise SettingsError(
                        f"sweep.study={self.name} was made for other values of {axis.key} ({first_line(error)}): "
                        "choose another name"
                    ) from error


def known(study: "optuna.Study", trial: "optuna.Trial") -> list[float] | None:
    """Return the objectives of an earlier trial with the same values and seed; None if there is none.

    Its run is noted in this trial.
    """
    for other in ledger.read(study).tried(trial):
        if other.state.name == "COMPLETE":
            note_run(trial, other.user_attrs.get(RUN))
            return list(other.values)
    return None
