"""What a sweep's parent run records at the end: leaderboard, figures, what mattered, and what may be concluded."""

import contextlib
import importlib
import threading
from collections.abc import Iterator
from pathlib import Path

from omegaconf import OmegaConf

from mnist_exp.evaluation import statistical_tests
from mnist_exp.sweeps.calls.history import SweepHistory
from mnist_exp.sweeps.outcome import leaderboard, mattered
from mnist_exp.sweeps.outcome.outcome import Outcome
from mnist_exp.sweeps.record import conclusion, description
from mnist_exp.tracking import names, runs, tracker

_LOOK_S = 1.0
_MOST_CURVES = 100


def write(history: SweepHistory, outcome: Outcome) -> dict[str, str]:
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
        mattered.write(folder, outcome.mattered)
        history.log(outcome.parent, metrics(outcome), folder)
    concluded = _conclude(history, outcome)
    if text := description.note(outcome, concluded, history.experiment_id):
        history.tag(outcome.parent, {names.NOTE: text, **concluded})
    return concluded


def metrics(outcome: Outcome) -> dict[str, float]:
    """Return the metrics of the parent run."""
    found = {names.jobs(kind): float(outcome.count(kind)) for kind in leaderboard.OUTCOMES}
    found[names.EPOCHS_SPENT] = float(spent_epochs(outcome))
    found[names.EPOCHS_SAVED] = float(saved_epochs(outcome))
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
    modules = ("mnist_exp.sweeps.outcome.figures", *(statistical_tests.LIBRARIES if is_over_seeds else ()))
    if outcome.study is not None and outcome.how.minimize_too is None:
        modules += ("sklearn.ensemble",)

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
    from mnist_exp.sweeps.outcome import figures

    settings = outcome.plan.settings
    with_run = [row for row in outcome.rows if row.run_id and row.outcome in ("done", *leaderboard.STOPPED)]
    best_first = [*outcome.ranked, *(row for row in with_run if row.outcome in leaderboard.STOPPED)][:_MOST_CURVES]
    curves_of = runs.metric_histories(history.uri, [row.run_id for row in best_first if row.run_id], settings.objective)
    curves = [(row.name, list(curves_of[row.run_id].values())) for row in best_first if row.run_id]
    figures.draw_all(
        folder,
        outcome.rows,
        outcome.plan.space.keys,
        settings.objective,
        settings.direction,
        [(name, values) for name, values in curves if values],
        outcome.mattered,
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


def spent_epochs(outcome: Outcome) -> int:
    """Return how many epochs the jobs trained."""
    return sum(row.epochs for row in outcome.rows)


def saved_epochs(outcome: Outcome) -> int:
    """Return how many epochs pruning has saved."""
    return sum(max(row.planned_epochs - row.epochs, 0) for row in outcome.rows if row.outcome in leaderboard.STOPPED)
