"""What came of a sweep as plain values, for other programs: `results/schemas/sweep-1.json` says what they are."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from mnist_exp.config.nested import flatten
from mnist_exp.experiment import as_data
from mnist_exp.pricing.price import Price
from mnist_exp.sweeps.calls.call import SweepCall
from mnist_exp.sweeps.outcome import leaderboard
from mnist_exp.sweeps.outcome.configurations import Configuration
from mnist_exp.sweeps.outcome.leaderboard import Row
from mnist_exp.sweeps.outcome.outcome import Outcome
from mnist_exp.sweeps.record import record
from mnist_exp.sweeps.record.parent_run import ParentRun, facts
from mnist_exp.sweeps.shown import spending
from mnist_exp.tracking import plain, store
from mnist_exp.tracking.runs import StoredRun
from mnist_exp.tracking.written import Written

PLANNED = "PLANNED"  # The status of a sweep that was only looked at.


def recorded(call: SweepCall, outcome: Outcome, status: str, parent: ParentRun | None, began_s: float) -> StoredRun:
    """Return the parent run of a sweep as the store has it; else as it would have it.

    Args:
        call: of the sweep.
        outcome: of it.
        status: of it.
        parent: its parent run; None if it is not recorded, or the store does not answer.
        began_s: when this call began, in s since 1970.
    """
    if parent is not None and (found := parent.history.look_up(parent.run_id)) is not None:
        return found
    written = Written(call.tracking)
    name, params, tags = facts(call)
    written.begin(name, flatten(params), tags, round(began_s * 1000))
    written.metrics |= record.metrics(outcome)
    written.end(status)
    return written.stored(outcome.parent)


def of_sweep(
    run: StoredRun, outcome: Outcome, errors: Sequence[str] = (), price: Price | None = None
) -> dict[str, Any]:
    """Return a sweep with its jobs, in the order of its leaderboard.

    Args:
        run: its parent run as it is recorded, or would be.
        outcome: of it.
        errors: why it is not finished; empty if all went well.
        price: of what is left, of a sweep that was only looked at.
    """
    settings = outcome.plan.settings
    best = outcome.ranked[0] if outcome.ranked else None
    jobs = [_job(row) for row in outcome.in_order]
    found = {
        "errors": list(errors),
        "tracking_uri": store.locate(settings.tracking.uri) if run.run_id else None,
        "objective": as_data.objective(settings, best.objective if best is not None else None),
        "minimize_too": outcome.how.minimize_too,
        "counts": {kind: outcome.count(kind) for kind in leaderboard.OUTCOMES},
        "configurations": [_configuration(one) for one in outcome.configurations],
        "jobs": jobs,
        "best": jobs[0] if best is not None else None,
        "front": len(outcome.front) if outcome.how.minimize_too else None,
        "chance": outcome.within_chance,
        "mattered": None if outcome.mattered is None else dataclasses.asdict(outcome.mattered),
        "selected": dataclasses.asdict(selected) if (selected := outcome.selected) else None,
        "budget": None if (spent := spending.of(outcome)) is None else spent.as_data(),
        "price": None if price is None else price.as_data(),
    }
    return as_data.document("sweep", run, found)


def _configuration(one: Configuration) -> dict[str, Any]:
    return {
        "options": {key: plain.typed(value) for key, value in one.values.items()},
        "seeds": len(one.jobs),
        "mean": plain.number(one.mean),
        "std": plain.number(one.std),
        "interval": None if one.interval is None else [plain.number(end) for end in one.interval],
        "run_ids": [job.run_id for job in one.jobs],
    }


def _job(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "options": {key: plain.typed(value) for key, value in row.values.items()},
        "outcome": row.outcome,
        "run_id": row.run_id,
        "objective": plain.number(row.objective),
        "metrics": {name: plain.number(value) for name, value in sorted(row.metrics.items())},
        "epochs": row.epochs,
        "duration_s": row.seconds,
        "reused": row.reused,
        "promoted_at": list(row.promotions),
        "error": row.reason or None,
        "command": row.command,
    }
