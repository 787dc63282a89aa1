"""Repeat a recorded run, and compare the results: `python -m mnist_exp.rerun RUN_ID`."""

import argparse
import copy
import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mnist_exp import commands
from mnist_exp.config.schema import Settings
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import own_code, provenance, recall, runner
from mnist_exp.experiment.record import Job
from mnist_exp.experiment.runner import Result
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import names, runs
from mnist_exp.tracking.runs import StoredRun
from mnist_exp.training import digests
from mnist_exp.training.digests import Parting

SCHEMA = "mnist_exp.rerun/1"
WEIGHTS = "weights"


@dataclass(frozen=True)
class Compared:
    """One metric in the recorded run and in its repetition.

    Args:
        name: name of the metric.
        old: last value in the recorded run; None if it has none.
        new: last value in the repetition; None if it has none.
        difference: largest absolute difference over all epochs; NaN if a value is missing in one of the runs.
    """

    name: str
    old: float | str | None
    new: float | str | None
    difference: float

    def is_within(self, tolerance: float) -> bool:
        """Return whether the difference is allowed. A metric that the old run does not have is always allowed."""
        is_new = self.old is None and self.new is not None
        return is_new or self.difference <= tolerance


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: rerun(read(sys.argv[1:])))


def read(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line."""
    return _parser().parse_args(list(words))


def rerun(options: argparse.Namespace) -> int:
    """Run the experiment of a recorded run again and compare the results.

    Args:
        options: the options of the command line.
    Returns: the exit code: 0 if all metrics and the weights are equal, otherwise 1.
    Raises: SettingsError: the run cannot be repeated here. Nothing was run.
    """
    if not options.tolerance >= 0:
        raise SettingsError(f"--tolerance={options.tolerance} is not allowed: it must be a number, at least 0")
    screen = Screen()
    if options.json:
        screen.out = screen.err  # Standard output has the JSON alone.
    run = commands.find(options)
    _check_repeatable(run)
    settings = _settings(run, options)
    recall.check_files(run, settings)
    dataset = recall.load_data(run, settings)
    changed = own_code.Changes().since(run)
    drift = [*([own_code.words(changed)] if changed else []), *recall.drift(run, settings)]
    _announce(screen, run, drift)
    last_epoch = int(run.metrics[names.EPOCHS])
    job = Job(
        name=f"rerun of {run.name}"[:200],
        command=provenance.command(settings.overrides),
        tags={names.RERUN_OF: run.run_id},
        dataset=dataset,
        on_epoch=(lambda epoch, _: epoch < last_epoch) if run.is_pruned else None,
    )
    result = runner.run(settings, screen, job)
    rows = compare(run, result)
    if result.run_id is not None:
        is_equal = all(row.is_within(0.0) for row in rows)
        runs.tag(run.uri, result.run_id, {names.RERUN_EQUAL: str(is_equal).lower()})
    parted = None if all(row.is_within(0.0) for row in rows) else _parting(run, result)
    if options.json:
        print(json.dumps(as_data(run, result, rows, options.tolerance, drift, parted), ensure_ascii=False))
        return commands.FAILED if _different(rows, options.tolerance) else commands.DONE
    code = _report(screen, run, rows, options.tolerance, changed)
    if code == commands.FAILED:
        screen.table(_where(run, parted, drift))
    return code


def _parting(run: StoredRun, result: Result) -> Parting | None:
    """Return where the two trainings part; None if the recorded run has no digests."""
    try:
        return digests.parting(run.digests(), result.digests)
    except SettingsError:
        return None


def _where(run: StoredRun, parted: Parting | None, drift: Sequence[str]) -> dict[str, str]:
    """Return where the two trainings part, and what may be why, for people."""
    if parted is None:
        where = f"not known: run {run.run_id} has no {digests.FILE}, as runs of earlier versions have none"
    elif parted.position is None and parted.same_model:
        where = f"{parted.words}; so it is not the training that differs, but what was measured or recorded of it"
    else:
        where = parted.words
    why = "; ".join(drift) or "nothing that is known of code, packages, machine and threads"
    return {"parted": where, "changed": why}


def as_data(
    run: StoredRun,
    result: Result,
    rows: Sequence[Compared],
    tolerance: float,
    drift: Sequence[str],
    parted: Parting | None,
) -> dict[str, Any]:
    """Return the comparison as values that JSON has; `results/schemas/rerun-1.json` says what they are.

    Args:
        run: as it was recorded.
        result: of its repetition.
        rows: what was compared.
        tolerance: largest difference that is allowed.
        drift: what is different now beside the results, in sentences.
        parted: where the two trainings part; None if they are equal, or that is not known.
    """

    def number(value: float | str | None) -> float | str | None:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {
        "schema": SCHEMA,
        "run_id": result.run_id,
        "repeats": run.run_id,
        "is_equal": not _different(rows, tolerance),
        "tolerance": tolerance,
        "drift": list(drift),
        "parted": None if parted is None else parted.as_data(),
        "compared": [
            {"name": row.name, "old": number(row.old), "new": number(row.new), "difference": number(row.difference)}
            for row in rows
            if tolerance == 0 or row.name != WEIGHTS
        ],
    }


def _different(rows: Sequence[Compared], tolerance: float) -> list[str]:
    """Return the names of what differs by more than is allowed; weights are compared to the last bit only."""
    return [row.name for row in rows if not row.is_within(tolerance) and (tolerance == 0 or row.name != WEIGHTS)]


def compare(run: StoredRun, result: Result) -> list[Compared]:
    """Compare all metrics except times, and the weights, of a recorded run and its repetition."""
    rows = []
    for name in filter(names.is_compared, dict.fromkeys([*result.history, *result.metrics, *run.metrics])):
        if name in result.history or names.is_of_epochs(name):
            rows.append(_compare_epochs(name, run.history(name), result.history.get(name, ())))
        else:
            old, new = run.metrics.get(name), result.metrics.get(name)
            rows.append(Compared(name, old, new, _difference(old, new)))
    before = run.tags.get(names.WEIGHTS_SHA256)
    if before is not None:
        equal = before == result.weights_sha256
        rows.append(Compared(WEIGHTS, before, result.weights_sha256, 0.0 if equal else math.inf))
    return rows


def _compare_epochs(name: str, old: Mapping[int, float], new: Sequence[float]) -> Compared:
    now = dict(enumerate(new, start=1))
    differences = [_difference(old.get(step), now.get(step)) for step in {*old, *now}]
    largest = math.nan if any(map(math.isnan, differences)) else max(differences, default=math.nan)
    return Compared(name, old.get(max(old, default=0)), now.get(max(now, default=0)), largest)


def _difference(old: float | None, new: float | None) -> float:
    if old is None or new is None:
        return math.nan
    return 0.0 if old == new or (math.isnan(old) and math.isnan(new)) else abs(old - new)


def _check_repeatable(run: StoredRun) -> None:
    if run.is_sweep:
        raise SettingsError(
            f"run {run.run_id} is a sweep: name one of its jobs, or start it again with sweep.reuse=false: "
            f"{run.tags.get(names.COMMAND, 'its command')}"
        )
    if names.JOB_KEY not in run.tags:
        raise SettingsError(f"run {run.run_id} is not a run of mnist_exp")
    if run.status != "FINISHED" or names.EPOCHS not in run.metrics:
        fix = "wait for it" if run.status == "RUNNING" else f"finish it with resume={run.run_id}"
        raise SettingsError(f"run {run.run_id} is {run.status}: there is no result to compare with; {fix}")


def _settings(run: StoredRun, options: argparse.Namespace) -> Settings:
    config: dict[str, Any] = copy.deepcopy(run.config())
    if options.data_path is not None and isinstance(config.get("data"), dict):
        config["data"]["path"] = options.data_path
        if "mirrors" in config["data"]:
            config["data"]["mirrors"] = []
    tracking = commands.tracking(options, run.experiment)
    settings = recall.check_config(config, set(commands.trusted(options)), run, tracking, "--trusted-modules={}")
    return dataclasses.replace(settings, overrides=tuple(run.tags.get(names.OVERRIDES, "").split()))


def _announce(screen: Screen, run: StoredRun, drift: Sequence[str]) -> None:
    commit = provenance.commit()
    then, now = run.tags.get(names.GIT_COMMIT, "none"), commit.sha if commit else "none"
    rows = {"repeats": f"run {run.run_id}, {run.name}"}
    rows["commit"] = f"{now[:12]}, as it was" if then == now else f"{now[:12]}, was {then[:12]}"
    if run.tags.get(names.GIT_DIRTY) == "true":
        rows["commit"] += "; it had uncommitted changes then; see its uncommitted.diff"
    rows["drift"] = "; ".join(drift) or "none: the code, packages, machine and thread counts are as they were"
    screen.table(rows)


def _report(screen: Screen, run: StoredRun, rows: Sequence[Compared], tolerance: float, changed: Sequence[str]) -> int:
    different = _different(rows, tolerance)
    if tolerance > 0:
        rows = [row for row in rows if row.name != WEIGHTS]
    shown = [[row.name, _cell(row.old), _cell(row.new), _cell_of_difference(row)] for row in rows]
    screen.columns(["metric", "old", "new", "difference"], shown, left=("metric",))
    screen.out.print()
    within = f"within {tolerance:g}" if tolerance else "to the last bit"
    if different:
        fix = "" if tolerance else f"; {_why_digits_differ(run)} allow the last digits with --tolerance=0.001"
        if changed:  # No tolerance helps against another program.
            fix = f"; {own_code.words(changed)}: put it back as it was"
        verdict = f"not equal to run {run.run_id} {within}: {', '.join(different)}{fix}"
    else:
        verdict = f"equal to run {run.run_id} {within}, in every epoch"
    screen.table({"rerun": verdict})
    return commands.FAILED if different else commands.DONE


def _why_digits_differ(run: StoredRun) -> str:
    together = int(run.tags.get(names.TOGETHER, 1))
    if together == 1:
        return "on another machine"
    return f"it was trained together with {together - 1} {'other' if together == 2 else 'others'}, and here alone:"


def _cell(value: float | str | None) -> str:
    if value is None:
        return "-"
    return f"{value[:12]}…" if isinstance(value, str) else f"{value:.9g}"


def _cell_of_difference(row: Compared) -> str:
    if row.name == WEIGHTS:
        return "0" if row.difference == 0 else "different"
    return "-" if math.isnan(row.difference) else f"{row.difference:.3g}"


def _parser() -> argparse.ArgumentParser:
    parser = commands.parser(
        "rerun",
        "Run a recorded experiment again, as a new run, and compare all metrics.",
        "0 equal, 1 not equal or failed, 2 the run cannot be repeated here.",
        [
            "RUN_ID",
            "RUN_ID --tolerance 0.001  # on another machine",
        ],
    )
    commands.add_run(parser)
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="X",
        help="largest allowed difference of a metric, for another machine; default 0: equal to the last bit",
    )
    commands.add_json(parser, "print the comparison as one JSON object; all else goes to standard error")
    parser.add_argument("--data-path", metavar="PATH", help="where the same data are on this machine")
    return parser


if __name__ == "__main__":
    main()
