"""The summary of a sweep, as the screen shows it."""

from collections.abc import Mapping, Sequence

from mnist_exp.analysis import words
from mnist_exp.config.schema import Settings
from mnist_exp.errors import plural
from mnist_exp.experiment import own_code, recall
from mnist_exp.experiment.summary import board
from mnist_exp.jobs.crew import Crew
from mnist_exp.runtime.terminal import Screen
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.outcome import configurations, leaderboard
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.outcome.outcome import Outcome
from mnist_exp.sweeps.planning import choices, rules
from mnist_exp.sweeps.record import record
from mnist_exp.sweeps.shown.spending import of as spending_of
from mnist_exp.tracking import names, tracker
from mnist_exp.tracking.runs import StoredRun

_MOST_FAILURES = 20


def announce(
    screen: Screen, outcome: Outcome, experiment: str, crew: Crew | None, start: Mapping[str, str] | None = None
) -> None:
    """Print what the sweep is going to run, and what is done already.

    Args:
        screen: to print on.
        outcome: of the sweep before its jobs start.
        experiment: name of the MLflow experiment.
        crew: the workers on this machine; None where there are none.
        start: what a search starts with, as `Start.words` has it.
    """
    total, left = len(outcome.rows), outcome.count("left")
    before = [f"{outcome.count(kind)} {kind}" for kind in ("done", "paused", "pruned", "failed") if outcome.count(kind)]
    word = "trial" if outcome.study else "job"
    jobs = f"{total} {word}{'s' * (total != 1)}: {outcome.plan.space.words}"
    if outcome.plan.repeated:
        jobs += f" ({outcome.plan.repeated} combinations repeat others)"
    begun = sum(row.begun for row in outcome.rows)
    to_do = [str(left), *([f"{begun} of them begun"] if begun else [])]
    to_do += [f"{' and '.join(before)} already"] if before else []
    rows = {"sweep": jobs, **choices.rows(outcome.plan.space, are_counted=outcome.study is None)}
    rows["to do"] = ", ".join(to_do)
    if outcome.study:
        words = rules.words_of_search(outcome.how, outcome.study.settings)
        rows["search"] = f"{words}; study {outcome.study.name}"
        rows |= start or {}
    if (spending := spending_of(outcome)) is not None:
        rows["budget"] = f"{spending.words} spent so far"
    if crew is not None and left:
        rows["run on"] = crew.words
    if outcome.parent:
        rows["parent"] = f"{outcome.parent} in experiment {experiment}"
    screen.table(rows)


def warn_of_reused(screen: Screen, rows: Sequence[Row], earlier: Sequence[StoredRun], settings: Settings) -> None:
    """Warn of reused jobs that ran with another version of the code, or whose models are not registered as asked now.

    Args:
        screen: to print on.
        rows: one for each job.
        earlier: earlier runs of the experiment.
        settings: of the sweep.
    """
    register_as = settings.tracking.register_as
    ids = {row.run_id for row in rows if row.reused and row.outcome == "done"}
    reused = [run for run in earlier if run.run_id in ids]
    others = len(recall.made_by_other_code(reused, settings))
    name = f"{register_as} version "
    elsewhere = sum(not run.tags.get(names.REGISTERED, "").startswith(name) for run in reused) if register_as else 0
    counts = {
        "done by another version of mnist_exp or Keras": others,
        f"done, but not registered as {register_as}": elsewhere,
    }
    for what, count in counts.items():
        if count:
            jobs = "1 job was" if count == 1 else f"{count} jobs were"
            screen.warn(f"{jobs} {what}; sweep.reuse=false runs all jobs again")


def warn_of_changed(screen: Screen, rows: Sequence[Row], earlier: Sequence[StoredRun]) -> None:
    """Tell which jobs are run again since the user's own code was changed, and which count though it may have been.

    Args:
        screen: to print on.
        rows: one for each job.
        earlier: earlier runs of the experiment.
    """
    again = [row for row in rows if row.changed and row.outcome == "left"]
    counted = [row for row in rows if row.changed and row.reused]
    for which, told, fix in (
        (again, "run again", "; sweep.reuse=any counts what is done, and goes on with what was begun"),
        (counted, "counted, though done by other code", ""),
    ):
        if which:
            files = own_code.words(sorted({file for row in which for file in row.changed}))
            screen.warn(f"{'1 job is' if len(which) == 1 else f'{len(which)} jobs are'} {told}: {files}{fix}")
    reused = {row.run_id for row in rows if row.reused}
    unknown = [run for run in earlier if run.run_id in reused and names.OWN_CODE not in run.tags]
    if count := sum(own_code.took_part(run) for run in unknown):
        jobs = "1 job was" if count == 1 else f"{count} jobs were"
        screen.warn(
            f"{jobs} done by code of your own that an earlier version of mnist_exp did not record: if it was changed "
            "since, run everything again with sweep.reuse=false"
        )


def show(
    screen: Screen,
    outcome: Outcome,
    experiment: str,
    history: SweepHistory | None,
    concluded: Mapping[str, str],
    kept: str = "",
) -> None:
    """Print the leaderboard, the number of jobs by outcome, and the commands of the best job and of failed jobs.

    Args:
        screen: to print on.
        outcome: of the sweep at its end.
        experiment: name of the MLflow experiment.
        history: of the experiment; None if the sweep is not recorded.
        concluded: the tags of the conclusion; see `conclusion.tags`.
        kept: what is kept on disk of trials that have ended, in words.
    """
    ranked = outcome.ranked
    if ranked:
        _show_leaderboard(screen, outcome)
        if marked := sorted({file for row in ranked if row.by_other_code for file in row.changed}):
            screen.out.print(f"* done by other code: {own_code.words(marked)}")
        screen.out.print()
    rows = _result(outcome, concluded)
    spending = spending_of(outcome)
    if spending is not None:
        rows["budget"] = f"{spending.words} spent"
    if spending is not None and spending.ended:
        rows["rest"] = spending.fix
    elif outcome.count("left") or outcome.count("killed"):
        rows["rest"] = "run the same command again to finish"
    if kept:
        rows["kept"] = kept
    if outcome.study is not None and ranked:
        rows["study"] = outcome.study.how_to_look
    if outcome.parent and history is not None:
        rows["parent"] = f"{outcome.parent} in experiment {experiment}"
        if ranked:
            rows["next"] = tracker.how_to("report", ["--sweep", outcome.parent], history.uri)
        if history.how_to_look:
            rows["look"] = history.how_to_look
        rows |= board(outcome.plan.settings)
    screen.table(rows)
    for row in outcome.failed[:_MOST_FAILURES]:
        fix = "" if outcome.study else "; sweep.retry_failed=true runs it again"
        before = f" (in an earlier call{fix})" if row.reused else ""
        screen.error(f"failed: {row.name}: {row.reason}{before}\n  {row.command}")
    if len(outcome.failed) > _MOST_FAILURES:
        screen.error(f"… and {len(outcome.failed) - _MOST_FAILURES} more failed, in leaderboard.csv of the parent run")


def _show_leaderboard(screen: Screen, outcome: Outcome) -> None:
    """Print the best jobs; of a sweep over seeds the best configurations."""
    keys = outcome.plan.space.keys
    if ranked := outcome.configurations:
        screen.columns(*configurations.table(ranked, keys, outcome.objective))
        more, where = len(ranked) - leaderboard.MOST_SHOWN, "each job is in leaderboard.csv of the parent run"
        means = "means over the seeds"
        if outcome.plan.space.seeds:
            means += ", ranked on those that all of the final have"
        if outcome.parent:
            screen.out.print(f"… and {more} more; {where}" if more > 0 else f"{means}; {where}")
        return
    jobs = outcome.ranked
    screen.columns(*leaderboard.table(jobs, keys, outcome.objective, outcome.how.minimize_too))
    if len(jobs) > leaderboard.MOST_SHOWN:
        screen.out.print(f"… and {len(jobs) - leaderboard.MOST_SHOWN} more, in leaderboard.csv of the parent run")


def _result(outcome: Outcome, concluded: Mapping[str, str]) -> dict[str, str]:
    """Return what came of a sweep, for people."""
    ranked = outcome.ranked
    counts = [f"{outcome.count(kind)} {kind}" for kind in leaderboard.OUTCOMES if outcome.count(kind)]
    reused = sum(row.reused and row.outcome in ("done", *leaderboard.STOPPED) for row in outcome.rows)
    rows = {"sweep": ", ".join(counts) + (f"; {reused} of them done before" if reused else "")}
    if promoted := sum(bool(row.promotions) for row in outcome.rows):
        rows["sweep"] += f"; {promoted} promoted after a pause"
    if saved := record.saved_epochs(outcome):
        rows["saved"] = f"{saved} of {saved + record.spent_epochs(outcome)} epochs, by pruning"
    if means := outcome.configurations:
        rows["best"] = means[0].words(outcome.objective)
        rows["again"] = means[0].jobs[0].command
    elif ranked:
        job = ranked[0]
        rows["best"] = f"{job.name or 'the only job'}: {outcome.objective} {job.objective:.4f}"
        rows["again"] = job.command
    if sentence := leaderboard.front_in_words(outcome.front, outcome.objective, outcome.how.minimize_too):
        rows["front"] = sentence
    if names.BEST_CONFIGURATION in concluded:
        rows["verdict"] = _in_short(concluded[names.VERDICT], outcome)
    elif close := outcome.within_chance:
        rows["chance"] = close
    if selected := outcome.selected:
        rows["luck"] = selected.luck
        rows |= {"honest": selected.honest} if selected.honest else {}
    if outcome.mattered is not None:
        rows |= words.lines(outcome.mattered)
    return rows


def _in_short(verdict: str, outcome: Outcome) -> str:
    """Return the first of the conclusions that the line of the best configuration does not say already."""
    first, *others = verdict.splitlines()
    said = outcome.selected.sentences if outcome.selected else []  # They have lines of their own.
    others = [sentence for sentence in others if sentence not in said]
    if not others or not outcome.configurations:
        return " ".join([first, *others])
    more = len(others) - 1
    return others[0] + (f" The report has {plural(more, 'further conclusion')}." if more else "")
