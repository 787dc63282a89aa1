"""The results of an earlier sweep that a search may start from: `sweep.start_from`.

They are those whose searched options lie in the space, and whose sweep varied nothing else, but for the seed. Where
other options, or the data, are not the same, that is told: what was best there is likely to be good here.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mnist_exp.composition.overrides import read as read_override
from mnist_exp.config import wording
from mnist_exp.config.nested import flatten
from mnist_exp.config.schema import SweepSettings
from mnist_exp.errors import SettingsError, plural
from mnist_exp.experiment.job_key import WITHOUT_EFFECT, defaults_since
from mnist_exp.search import given
from mnist_exp.search.given import Known
from mnist_exp.search.space import Axis
from mnist_exp.sweeps.planning.defaults import chosen
from mnist_exp.sweeps.planning.plan import Plan
from mnist_exp.tracking import names, plain, references, runs
from mnist_exp.tracking.runs import StoredRun

_NOT_COMPARED = (*WITHOUT_EFFECT, "data", "seed", "resume", "objective", "direction")
_COMPARED_DATA = ("data.limit", "data.validation")
_MOST_SHOWN = 5
_ABSENT = "absent"


def known(reference: str, how: SweepSettings, made: Plan, config: DictConfig) -> tuple[list[Known], str]:
    """Return the results of an earlier sweep that lie in the space, and what there is to tell of them.

    Raises: SettingsError: there is no such sweep, or its results say nothing here.
    """
    settings = made.settings
    if settings.tracking.store != "mlflow":
        raise SettingsError(f"tracking.store={settings.tracking.store} has no earlier sweeps: leave it out")
    parent = references.find(settings.tracking, reference)
    if not parent.is_sweep:
        raise SettingsError("this is a run, not a sweep: give the parent run of a sweep")
    found = [run for run in runs.of_sweep(parent) if run.is_done or (run.is_pruned and run.status == "FINISHED")]
    if not found:
        raise SettingsError("it has no finished run yet")
    here = {name: wording.text(value) for name, value in flatten(settings.to_config()).items()}
    searched = {axis.key for axis in made.space.axes}
    _check_objective(found[0], here)
    alike: list[tuple[StoredRun, dict[str, Any]]] = []
    left_out: dict[str, int] = {}
    for run in found:
        params, why = _params(run, made.space.axes, here, config)
        if params is None:
            left_out[why] = left_out.get(why, 0) + 1
        else:
            alike.append((run, params))
    told = [f"{count} left out ({why})" for why, count in left_out.items()]
    if not alike:
        raise SettingsError(f"none of its {plural(len(found), 'result')} can be used here: {', '.join(told)}")
    results = _results(alike, how, settings.objective)
    differing = _differences([run for run, _ in alike], here, searched)
    if settings.objective.endswith("loss") and any(name.startswith("loss") for name in differing):
        raise SettingsError("its losses are of another kind: select by another metric, as objective=val_accuracy")
    if {run.tags.get(names.DATA_SHA256) for run, _ in alike} != {made.data_sha256}:
        differing = {"data": "others", **differing}
    if differing:
        shown = [f"{name} {there}" for name, there in differing.items()]
        told.append(f"not the same there: {wording.listed(shown, _MOST_SHOWN, str)}")
    counted = f"{plural(len(results), 'result')} of sweep {parent.run_id[:8]} ({parent.name[:60]})"
    return results, "; ".join([counted, *told])


def _check_objective(run: StoredRun, here: Mapping[str, str]) -> None:
    for name in ("objective", "direction"):
        if (there := run.params.get(name, here[name])) != here[name]:
            raise SettingsError(f"its {name} is {there}, not {here[name]}: its results say nothing here")
    if run.params.get("data.validation") == "test" and here["objective"].startswith("val_"):
        raise SettingsError("its runs were validated on the test set, which would choose for this search")


def _params(
    run: StoredRun, axes: Sequence[Axis], here: Mapping[str, str], config: DictConfig
) -> tuple[dict[str, Any] | None, str]:
    """Return the values of a run's searched options as Optuna has them; or None, and why it cannot be used."""
    swept = _point(run)
    for key, value in swept.items():
        if key in {axis.key for axis in axes} or key == names.SEED:
            continue
        fixed = chosen(config, key) or here.get(key)
        if fixed is None or wording.text(value) != wording.text(plain.typed(fixed)):
            return None, f"another {key}"
    params: dict[str, Any] = {}
    choices: dict[str, str] = {}
    for axis in axes:
        if not axis.applies(choices):
            continue
        try:
            value = given.value_of(axis, swept[axis.key] if axis.key in swept else _recorded(run, axis, config))
        except LookupError:
            return None, f"{axis.key} unknown"
        except ValueError:
            return None, f"{axis.key} outside {axis.words}"
        params[axis.parameter], choices[axis.key] = value, str(value)
    return params, ""


def _point(run: StoredRun) -> dict[str, Any]:
    """Return the values of the options that the sweep of a run varied."""
    try:
        written = json.loads(run.tags.get(names.POINT, "{}"))
        return {key: read_override(f"{key}={text}").value() for key, text in written.items()}
    except (ValueError, AttributeError, SettingsError):
        return {}


def _recorded(run: StoredRun, axis: Axis, config: DictConfig) -> Any:
    """Return the value that an option had in a run whose sweep did not vary it. Raises: LookupError: not recorded."""
    if (choice := chosen(config, axis.key)) is None:
        return plain.typed(run.params[axis.key])
    for text in run.tags.get(names.OVERRIDES, "").split():
        if text.startswith(f"{axis.key}="):
            return text.partition("=")[2]
    target = f"{axis.key}._target_"
    if run.params.get(target) == OmegaConf.select(config, target):
        return choice
    raise LookupError(axis.key)


def _results(alike: Sequence[tuple[StoredRun, dict[str, Any]]], how: SweepSettings, objective: str) -> list[Known]:
    """Return the results of runs, without those whose record lacks an objective."""
    pruned = [run for run, _ in alike if run.is_pruned] if how.minimize_too is None else []
    epochs = runs.metric_histories(pruned[0].uri, [run.run_id for run in pruned], objective) if pruned else {}
    known = []
    for run, params in alike:
        wanted = [names.OBJECTIVE, *([how.minimize_too] if how.minimize_too else [])]
        values = [run.metrics[name] for name in wanted if name in run.metrics]
        of_pruned = epochs.get(run.run_id, {})
        if run.is_pruned and of_pruned:
            known.append(Known(run.run_id, params, [*of_pruned.values()][-1:], of_pruned))
        elif not run.is_pruned and len(values) == len(wanted):
            known.append(Known(run.run_id, params, values))
    return known


def _differences(earlier: Sequence[StoredRun], here: Mapping[str, str], searched: set[str]) -> dict[str, str]:
    """Return the options that were the same in all earlier runs, and are not what they are here, with both values."""
    found = {}
    since = {name: wording.text(value) for name, value in defaults_since().items()}
    for name in sorted({*here, *(name for run in earlier for name in run.params)}):
        section = name.partition(".")[0]
        is_compared = name in _COMPARED_DATA or not ({name, section} & {*_NOT_COMPARED, *searched})
        values = {run.params.get(name) for run in earlier}
        if not is_compared or len(values) > 1:
            continue
        there, now = values.pop() or since.get(name, _ABSENT), here.get(name, _ABSENT)
        if plain.typed(there) != plain.typed(now):
            found[name] = f"{there} (here {now})"
    return found
