"""A recorded run's configuration, data and machine, made usable again; nothing that it says is believed unchecked."""

import contextlib
import copy
import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mnist_exp import data
from mnist_exp.composition.preflight import check
from mnist_exp.config import input_files
from mnist_exp.config.nested import flatten
from mnist_exp.config.schema import Settings, TrackingSettings
from mnist_exp.data import Dataset
from mnist_exp.errors import SettingsError
from mnist_exp.experiment import own_code, provenance
from mnist_exp.experiment.job_key import code_sha256
from mnist_exp.runtime import backends, threads
from mnist_exp.tracking import names
from mnist_exp.tracking.plain import typed
from mnist_exp.tracking.runs import StoredRun

_SHA256 = re.compile(r"[0-9a-f]{64}")
# What is told where own code took part that was not recorded: nobody knows which code was changed.
CODE_UNKNOWN = "the code was changed since"
# Parts of a configuration that say how a run is recorded, not what it is.
OF_THE_COMMAND = ("resume", "tracking", "sweep", "hydra")


def check_config(
    config: Mapping[str, Any],
    trusted: set[str],
    run: StoredRun,
    tracking: TrackingSettings,
    how_to_trust: str = "trusted_modules=[{}]",
) -> Settings:
    """Return the settings of a recorded configuration, which may come from someone else.

    Args:
        config: nested plain values.
        trusted: modules whose code the user lets it name.
        run: that it is of.
        tracking: of this command, in the place of the recorded one.
        how_to_trust: modules, with {} for their names.
    Raises: SettingsError: it is mistaken, or names code that this command does not trust.
    """
    sections = [config, *(section for section in config.values() if isinstance(section, dict))]
    named = [name for section in sections for name in _listed(section.get("trusted_modules"))]
    foreign = [name for name in dict.fromkeys(map(str, named)) if name not in trusted]
    if foreign:
        raise not_trusted(run, foreign, how_to_trust)
    own = {name: copy.deepcopy(section) for name, section in config.items() if name not in OF_THE_COMMAND}
    hidden = [key for key, value in flatten(own).items() if "***" in str(value)]
    if hidden:
        raise SettingsError([f"{key} was hidden when run {run.run_id} was recorded: give it again" for key in hidden])
    if isinstance(own.get("trainer"), dict):
        own["trainer"].setdefault("backend", backends.DEFAULT)  # Runs of before there was a choice.
    try:
        settings = check(own | {"tracking": dataclasses.asdict(dataclasses.replace(tracking, notify=None))})
        return dataclasses.replace(settings, tracking=tracking)
    except SettingsError as error:
        raise SettingsError([f"config.yaml of run {run.run_id}: {problem}" for problem in error.problems]) from error


def not_trusted(run: StoredRun, modules: Sequence[str], how_to_trust: str) -> SettingsError:
    """Return the error that a run uses code which this command does not trust.

    Args:
        run: recorded.
        modules: that it uses.
        how_to_trust: them, with {} for their names.
    """
    named = how_to_trust.format(",".join(modules))
    return SettingsError(
        f"run {run.run_id} uses code of {', '.join(modules)}, which runs only if you trust it: add {named}"
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def load_data(run: StoredRun, settings: Settings) -> Dataset:
    """Return the data set of a recorded run. Raises: SettingsError: what is found now is another one."""
    dataset = data.load(settings)
    recorded_sha256 = run.tags.get(names.DATA_SHA256)
    if dataset.sha256 != recorded_sha256:
        raise SettingsError(
            f"data={settings.data.name} has the SHA-256 {dataset.sha256}, from {dataset.place}, but run {run.run_id} "
            f"was trained on {recorded_sha256}: point data.path or $MNIST_EXP_DATA to the same data"
        )
    return dataset


def input_files_of(run: StoredRun) -> dict[str, str]:
    """Return the SHA-256 of each file that the builders of a recorded run read, by option; what is none is left out."""
    with contextlib.suppress(ValueError):
        found = json.loads(run.tags.get(names.INPUT_FILES, "{}"))
        if isinstance(found, dict):
            return {name: each for name, each in found.items() if isinstance(each, str) and _SHA256.fullmatch(each)}
    return {}


def check_files(run: StoredRun, settings: Settings) -> None:
    """Check that the files which builders read are as they were. Raises: SettingsError: one is another one, or gone."""
    now = input_files.all_of(settings)
    problems = []
    for name, sha256 in input_files_of(run).items():
        if name not in now:
            lost = f"{name}={run.params.get(name, 'unknown')}"
            problems.append(f"{lost}: the file of the SHA-256 {sha256} that run {run.run_id} began with is gone")
        elif now[name].sha256 != sha256:
            problems.append(
                f"{name}={now[name].named} has the SHA-256 {now[name].sha256}, but run {run.run_id} began with a file "
                f"of {sha256}"
            )
    if problems:
        raise SettingsError([f"{problem}: put that one back" for problem in problems])


def drift(run: StoredRun, settings: Settings) -> list[str]:
    """Take the thread counts that the run began with, and return what is different all the same.

    The user's own code is not among it: `own_code.Changes` tells that.
    """
    different = []
    with contextlib.suppress(SettingsError):
        environment = run.environment()
        different += provenance.drift(environment, settings.trainer.backend)
        if settings.trainer.threads is None:
            different += threads.adopt(environment.get("threads"), settings.trainer.backend or backends.DEFAULT)
    own = own_code.of_run(run)
    if run.tags.get(names.CODE_SHA256) != code_sha256(settings, own):
        is_older = own is None and own_code.took_part(run)  # Then nobody knows whose code it was.
        different.append(CODE_UNKNOWN if is_older else "mnist_exp was changed since")
    return different


def made_by_other_code(runs: Iterable[StoredRun], settings: Settings) -> list[StoredRun]:
    """Return those of a sweep's runs that another version of this package, of Keras or of its backend made.

    The digest of the code tells; the commit does where a run recorded no digest. What of the user's own code was
    changed is not among it: `own_code.Changes` tells that.
    """
    now: dict[tuple[str, str], str] = {}
    commit, found = provenance.commit(), []
    for run in runs:
        if (then := run.tags.get(names.CODE_SHA256)) is None:
            if commit is not None and run.tags.get(names.GIT_COMMIT) != commit.sha:
                found.append(run)
            continue
        alike = (run.tags.get(names.OWN_CODE, ""), run.params.get("trainer.backend", "null"))
        if alike not in now:
            trainer = dataclasses.replace(settings.trainer, backend=typed(alike[1]))
            now[alike] = code_sha256(dataclasses.replace(settings, trainer=trainer), own_code.of_run(run))
        if then != now[alike]:
            found.append(run)
    return found
