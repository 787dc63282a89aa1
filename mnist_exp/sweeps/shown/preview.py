"""What `sweep.dry_run` shows: the jobs of a sweep, what is done of them, and what the rest will cost."""

from collections.abc import Mapping, Sequence

from mnist_exp.config import wording
from mnist_exp.config.schema import SweepSettings
from mnist_exp.experiment import own_code
from mnist_exp.pricing.price import Price
from mnist_exp.runtime.terminal import Screen
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.planning import choices, rules
from mnist_exp.sweeps.planning.plan import Plan


def show_jobs(
    screen: Screen,
    rows: Sequence[Row],
    plan: Plan,
    how: SweepSettings,
    start: Mapping[str, str] | None = None,
    decided: SweepSettings | None = None,
) -> None:
    """Print the table of jobs; of a search, which has no jobs beforehand, its space.

    Args:
        screen: to print on.
        rows: one for each job; empty for a search.
        plan: of the sweep.
        how: the options `sweep.*`.
        start: what a search starts with, as `Start.words` has it.
        decided: of a search, its options with the pruner that it has.
    """
    nothing_run = f"nothing was run (sweep.dry_run={wording.text(how.dry_run)})"
    if not rows:
        search = {
            "search": plan.space.words,
            **choices.rows(plan.space, are_counted=False),
            "by": f"{rules.words_of_search(how, decided or how)}, {how.n_trials} trials",
            **(start or {}),
            "checked": f"the corners of the space; {nothing_run}",
        }
        screen.table(search)
        return
    if told := choices.rows(plan.space, are_counted=True):
        screen.table(told)
    states = {"left": "to do"}
    lines = [
        [
            str(number),
            row.name or "-",
            ("begun" if row.begun else states.get(row.outcome, row.outcome)) + _why(row),
            row.run_id or "-",
        ]
        for number, row in enumerate(rows, start=1)
    ]
    screen.columns(["job", "what differs", "state", "run"], lines, left=("what differs", "state", "run"))
    left = sum(row.outcome == "left" for row in rows)
    screen.out.print(f"\n{len(rows)} job{'s' * (len(rows) != 1)}, {left} to do; {nothing_run}")


def show_price(screen: Screen, price: Price) -> None:
    """Print what the jobs that are left will cost.

    Args:
        screen: to print on.
        price: of them.
    """
    screen.table(price.words)
    if not price.disk.fits:
        disk = price.disk
        fix = "tracking.keep_models=best:5 keeps the best models only" if disk.bytes_of_models else "free some"
        needed, free = wording.size(disk.bytes_kept + disk.bytes_meanwhile), wording.size(disk.free or 0)
        screen.warn(f"these jobs will not fit on the disk: they take {needed}, and {free} are free: {fix}")


def _why(row: Row) -> str:
    return f": {own_code.words(row.changed)}" if row.changed else ""
