"""The summary of a sweep: printed on the screen, and recorded on its parent run."""

import contextlib
import importlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from omegaconf import OmegaConf

from mnist_exp.config.schema import Settings
from mnist_exp.evaluation import statistical_tests
from mnist_exp.experiment import own_code, recall
from mnist_exp.experiment.summary import board
from mnist_exp.jobs.crew import Crew
from mnist_exp.runtime.terminal import Screen
from mnist_exp.search import study
from mnist_exp.sweeps import choices, conclusion, configurations, description, leaderboard
from mnist_exp.sweeps.history import SweepHistory
from mnist_exp.sweeps.leaderboard import Row
from mnist_exp.sweeps.outcome import Outcome
from mnist_exp.sweeps.spending import of as spending_of
from mnist_exp.tracking import names, runs, tracker
from mnist_exp.tracking.runs import StoredRun

_LOOK_S = 1.0
_MOST_CURVES = 100
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
    before = [f"{outcome.count(kind)} {kind}" for kind in ("done", "pruned", "failed") if outcome.count(kind)]
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
        how = outcome.how
        pruner = "" if how.pruner == "none" else f", pruned by {how.pruner}"
        rows["search"] = f"{how.sampler or 'tpe'}, seed {how.seed}{pruner}; study {outcome.study.name}"
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
    screen: Screen, outcome: Outcome, experiment: str, history: SweepHistory | None, concluded: Mapping[str, str]
) -> None:
    """Print the leaderboard, the number of jobs by outcome, and the commands of the best job and of failed jobs.

    Args:
        screen: to print on.
        outcome: of the sweep at its end.
        experiment: name of the MLflow experiment.
        history: of the experiment; None if the sweep is not recorded.
        concluded: the tags of the conclusion; see `conclusion.tags`.
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
        if outcome.parent:
            screen.out.print(f"… and {more} more; {where}" if more > 0 else f"means over the seeds; {where}")
        return
    jobs = outcome.ranked
    screen.columns(*leaderboard.table(jobs, keys, outcome.objective, outcome.how.minimize_too))
    if len(jobs) > leaderboard.MOST_SHOWN:
        screen.out.print(f"… and {len(jobs) - leaderboard.MOST_SHOWN} more, in leaderboard.csv of the parent run")


def _result(outcome: Outcome, concluded: Mapping[str, str]) -> dict[str, str]:
    """Return what came of a sweep, for people."""
    ranked = outcome.ranked
    counts = [f"{outcome.count(kind)} {kind}" for kind in leaderboard.OUTCOMES if outcome.count(kind)]
    reused = sum(row.reused and row.outcome == "done" for row in outcome.rows)
    rows = {"sweep": ", ".join(counts) + (f"; {reused} of them done before" if reused else "")}
    if saved := _saved_epochs(outcome):
        rows["saved"] = f"{saved} of {saved + _spent_epochs(outcome)} epochs, by pruning"
    if means := outcome.configurations:
        rows["best"] = means[0].words(outcome.objective)
        rows["again"] = means[0].jobs[0].command
    elif ranked:
        job = ranked[0]
        rows["best"] = f"{job.name or 'the only job'}: {outcome.objective} {job.objective:.4f}"
        rows["again"] = job.command
    if names.BEST_CONFIGURATION in concluded:
        rows["verdict"] = _in_short(concluded[names.VERDICT], outcome)
    elif close := outcome.within_chance:
        rows["chance"] = close
    if selected := outcome.selected:
        rows["luck"] = selected.luck
        rows |= {"honest": selected.honest} if selected.honest else {}
    return rows


def _in_short(verdict: str, outcome: Outcome) -> str:
    """Return the first of the conclusions that the line of the best configuration does not say already."""
    first, *others = verdict.splitlines()
    said = outcome.selected.sentences if outcome.selected else []  # They have lines of their own.
    others = [sentence for sentence in others if sentence not in said]
    if not others or not outcome.configurations:
        return " ".join([first, *others])
    more = len(others) - 1
    return others[0] + (f" The report says {more} more." if more else "")


def record(history: SweepHistory, outcome: Outcome) -> dict[str, str]:
    """Record leaderboard, figures, the best job's configuration, counts and conclusion on the parent run.

    Returns: the tags of the conclusion; see `conclusion.tags`.
    """
    assert outcome.parent is not None
    keys, ranked = outcome.plan.space.keys, outcome.ranked
    with tracker.folder() as folder:
        leaderboard.write_csv(folder / "leaderboard.csv", outcome.in_order, keys, outcome.objective)
        if ranked:
            _write_best(folder / "best.yaml", outcome, history)
            _draw(folder, history, outcome)
        history.log(outcome.parent, metrics(outcome), folder)
    concluded = _conclude(history, outcome)
    if text := description.note(outcome, concluded, history.experiment_id):
        history.tag(outcome.parent, {names.NOTE: text, **concluded})
    return concluded


def metrics(outcome: Outcome) -> dict[str, float]:
    """Return the metrics of the parent run."""
    found = {names.jobs(kind): float(outcome.count(kind)) for kind in leaderboard.OUTCOMES}
    found[names.EPOCHS_SPENT] = float(_spent_epochs(outcome))
    found[names.EPOCHS_SAVED] = float(_saved_epochs(outcome))
    found[names.COMPUTE_TIME_S] = sum(row.seconds for row in outcome.rows)
    if selected := outcome.selected:
        found[names.EXPECTED_OPTIMISM] = selected.expected_optimism
        found |= {names.BEST_REPORTED: selected.reported} if selected.reported is not None else {}
    return found | ({names.BEST_OBJECTIVE: outcome.ranked[0].objective} if outcome.ranked else {})


@contextlib.contextmanager
def figures_prepared(outcome: Outcome, at_a_time: int) -> Iterator[None]:
    """Import what draws figures and compares seeds while the last jobs run, during a `with` block.

    The end of the sweep need not wait for it then. Not before: it takes 40 MB.

    Args:
        outcome: of the sweep so far.
        at_a_time: how many jobs run at a time.
    """
    over = threading.Event()
    is_over_seeds = names.SEED in outcome.plan.space.keys
    modules = ("mnist_exp.sweeps.figures", *(statistical_tests.LIBRARIES if is_over_seeds else ()))

    def prepare() -> None:
        while not over.wait(_LOOK_S):
            if sum(row.outcome in ("left", "running") for row in outcome.rows) <= at_a_time:
                for module in modules:
                    importlib.import_module(module)
                return

    thread = threading.Thread(target=prepare, name="figures", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _conclude(history: SweepHistory, outcome: Outcome) -> dict[str, str]:
    ranked = outcome.ranked
    stored = history.these([row.run_id for row in ranked if row.run_id])
    return conclusion.tags(
        ranked,
        stored,
        outcome.objective,
        outcome.plan.settings.direction,
        outcome.plan.space.raced_from,
        outcome.selected,
    )


def _draw(folder: Path, history: SweepHistory, outcome: Outcome) -> None:
    from mnist_exp.sweeps import figures

    settings = outcome.plan.settings
    with_run = [row for row in outcome.rows if row.run_id and row.outcome in ("done", "pruned")]
    best_first = [*outcome.ranked, *(row for row in with_run if row.outcome == "pruned")][:_MOST_CURVES]
    curves_of = runs.metric_histories(history.uri, [row.run_id for row in best_first if row.run_id], settings.objective)
    curves = [(row.name, list(curves_of[row.run_id].values())) for row in best_first if row.run_id]
    importances = study.importances(outcome.opened) if outcome.opened and outcome.how.minimize_too is None else {}
    figures.draw_all(
        folder,
        outcome.rows,
        outcome.plan.space.keys,
        settings.objective,
        settings.direction,
        [(name, values) for name, values in curves if values],
        importances,
        outcome.how.minimize_too,
    )


def _write_best(file: Path, outcome: Outcome, history: SweepHistory) -> None:
    """Write the configuration that the best job has recorded; over seeds, that of the best mean with its first seed."""
    means = outcome.configurations
    best = means[0].jobs[0] if means else outcome.ranked[0]
    assert best.run_id is not None
    text = OmegaConf.to_yaml(OmegaConf.create(history.get(best.run_id).config()))
    head = f"# {outcome.objective} {best.objective!r}, run {best.run_id}\n# {best.command}\n"
    if means:
        seeds = len(means[0].jobs)
        head = (
            f"# the best mean: {outcome.objective} {means[0].mean!r} over {seeds} seeds, of which this is one\n{head}"
        )
    file.write_text(head + text, encoding="utf-8")


def _spent_epochs(outcome: Outcome) -> int:
    return sum(row.epochs for row in outcome.rows)


def _saved_epochs(outcome: Outcome) -> int:
    return sum(max(row.planned_epochs - row.epochs, 0) for row in outcome.rows if row.outcome == "pruned")
