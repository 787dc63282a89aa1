"""Resume a run that was interrupted. It stays the same run, or it is refused."""

import contextlib
import copy
import dataclasses
import datetime
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mnist_exp.config import rules
from mnist_exp.config.nested import flatten
from mnist_exp.config.parse import tracking_settings
from mnist_exp.config.schema import Settings, TrackingSettings
from mnist_exp.config.wording import show
from mnist_exp.data import Dataset
from mnist_exp.errors import BusyError, SettingsError
from mnist_exp.experiment import own_code, provenance, recall
from mnist_exp.experiment.job_key import job_key, result_config
from mnist_exp.runtime import processes
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import names, references, run_folder
from mnist_exp.tracking.run_folder import RunFolder
from mnist_exp.tracking.runs import StoredRun
from mnist_exp.training import checkpoints
from mnist_exp.training.checkpoints import Checkpoint, Position


@dataclass(frozen=True)
class Resumption:
    """A run to resume.

    Args:
        folder: of the run, claimed.
        checkpoint: to start from; None starts with the first epoch again.
        number: of this resumption, from 1.
        changes: what is different now: options, versions, machine, code.
        own_code: the user's own modules that took part until now, and their digests; None if that is not known.
        promotions: the epochs at which its search had paused it and let it go on, as `1,3`.
    """

    folder: RunFolder
    checkpoint: Checkpoint | None
    number: int
    changes: tuple[str, ...] = ()
    own_code: Mapping[str, str] | None = None
    promotions: str = ""

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.folder.path.name

    @property
    def where(self) -> str:
        """Where the run continues, in words."""
        return f"from {self.checkpoint.position if self.checkpoint else Position()}"

    @property
    def done(self) -> int:
        """Number of epochs that are done."""
        return self.checkpoint.position.epoch if self.checkpoint else 0

    def promoted(self, epoch: int) -> "Resumption":
        """Return it for a run that goes on though its search had paused it after an epoch; not if it did so later."""
        kept = self.checkpoint
        if kept is not None and kept.position == Position(epoch):
            kept = kept.to_go_on()
        before = [each for each in self.promotions.split(",") if each]
        promotions = ",".join(dict.fromkeys([*before, str(epoch)]))
        return dataclasses.replace(self, checkpoint=kept, promotions=promotions)

    def tags(self) -> dict[str, str]:
        """Return the tags that record it."""
        commit = provenance.commit()
        facts = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "process": processes.identify(),
            "from": self.where.removeprefix("from "),
            "git_commit": commit.sha if commit else "none",
            "changes": list(self.changes),
        }
        promoted = {names.PROMOTED: self.promotions} if self.promotions else {}
        return {names.RESUMED: str(self.number), names.resumption(self.number): json.dumps(facts), **promoted}

    def epochs(self) -> Iterator[dict[str, float]]:
        """Yield the metrics of each epoch that is done."""
        return iter(self.checkpoint.epochs() if self.checkpoint else ())


@contextlib.contextmanager
def opened(
    config: DictConfig, overrides: Sequence[str], screen: Screen
) -> Iterator[tuple[Settings, Dataset, Resumption]]:
    """Yield settings and data of the run that `resume` names, and where it continues.

    The folder of the run is claimed inside the context.

    Args:
        config: composed.
        overrides: that the user gave with `resume`; what they change must be what may change.
        screen: shows what is different now.
    Raises: SettingsError: the run cannot be resumed, or would be another run; nothing was changed.
    """
    tracking = tracking_settings(config)
    if problems := rules.notify_problems(tracking.notify, overrides):
        raise SettingsError(problems)
    if tracking.store != "mlflow":
        raise SettingsError(f"tracking.store={tracking.store} keeps no runs: there is nothing to resume")
    if not isinstance(config.resume, str) or not (
        references.is_reference(config.resume) or references.is_start(config.resume)
    ):
        raise SettingsError(
            f"resume={show(config.resume)} is no run id: it must be 32 characters of 0-9 and a-f, or at least the "
            "first 6 of them, as `python -m mnist_exp.runs` shows them; those that make a number need all 32"
        )
    is_id = run_folder.is_run_id(config.resume)
    run_id = config.resume if is_id else references.find(tracking, config.resume).run_id
    folder = run_folder.folder_of(tracking, run_id)
    if not folder.path.exists():
        _refuse_unkept(folder, references.find(tracking, run_id), screen)
    with claimed(folder):
        run = references.find(tracking, run_id)
        if run.status == "FINISHED":
            folder.finish()  # Its process ended before it could remove it.
        _check_resumable(run, screen)
        before, wanted = run.config(), tracking
        tracking = dataclasses.replace(tracking, experiment=run.experiment, register_as=_name(tracking, before))
        trusted = _given_modules(config)
        recorded = recall.check_config(before, trusted, run, tracking)
        settings = recall.check_config(_merged(before, config, overrides), trusted, run, tracking)
        _refuse_other_names(overrides, wanted, settings.data.name, run, recorded.data.name)
        # Where the data lie may be said by another choice of the group; the record keeps what they are called.
        settings = dataclasses.replace(settings, data=dataclasses.replace(settings.data, name=recorded.data.name))
        recall.check_files(run, settings)
        changes = _changes(recorded, settings, recall.input_files_of(run))
        dataset = recall.load_data(run, settings)
        differences = recall.drift(run, settings)
        for change in [change for change in changes if change.startswith("trainer.threads")] + differences:
            screen.warn(f"{change}: the resumed run may differ from an uninterrupted one in the last digits")
        if files := own_code.Changes().since(run):
            changes.append(own_code.words(files))
            screen.warn(
                f"{changes[-1]}: the epochs until now were trained by other code than those to come. The result is of "
                "neither, and no sweep will count it; a new run would be of one code"
            )
        settings = dataclasses.replace(settings, overrides=tuple(overrides))
        yield settings, dataset, from_checkpoint(folder, run, screen, changes + differences)


def _refuse_other_names(
    overrides: Sequence[str], wanted: TrackingSettings, data_name: str, run: StoredRun, recorded_name: str
) -> None:
    """Refuse names that the user gave and that are not those of the run, which it keeps."""
    given = {text.partition("=")[0].lstrip("+") for text in overrides}
    kept = {
        "tracking.experiment": (wanted.experiment, run.experiment),
        "tracking.run_name": (wanted.run_name, run.name),
        "data.name": (data_name, recorded_name),
    }
    problems = [
        f"{option}={show(new)} was {show(old)}: a resumed run keeps its names, leave it as it was"
        for option, (new, old) in kept.items()
        if option in given and new not in (None, old)
    ]
    if problems:
        raise SettingsError(problems)


def _name(tracking: TrackingSettings, before: Mapping[str, Any]) -> Any:
    """Return the name that the model is to be registered under: the one given now, else the recorded one."""
    then = before.get("tracking")
    return tracking.register_as or (then.get("register_as") if isinstance(then, dict) else None)


@dataclass(frozen=True)
class Origin:
    """Another run, of the same job but for fewer epochs, from whose end a new run starts.

    Args:
        run_id: of the other run.
        checkpoint: of its end.
    """

    run_id: str
    checkpoint: Checkpoint


def origin(run_id: str, settings: Settings, data_sha256: str, screen: Screen) -> Origin | None:
    """Return what a run starts from that goes on where a run of fewer epochs has ended; None if it must begin anew.

    Args:
        run_id: of the run of fewer epochs.
        settings: of the new run.
        data_sha256: digest of its data.
        screen: shows what is different now, or why it begins anew.
    """
    run = references.find(settings.tracking, run_id)
    epochs = int(run.params.get(names.PLANNED_EPOCHS, 0))
    trainer = dataclasses.replace(settings.trainer, epochs=epochs)
    if (
        epochs >= settings.trainer.epochs
        or job_key(dataclasses.replace(settings, trainer=trainer), data_sha256) != run.key
    ):
        screen.warn(f"run {run_id} is not this experiment with fewer epochs: it begins anew")
        return None
    differences = recall.drift(run, settings)
    if recall.CODE_UNKNOWN in differences or own_code.Changes().since(run):
        screen.warn(f"run {run_id} was made by other code: it begins anew")
        return None
    checkpoint, _ = checkpoints.load(run_folder.folder_of(settings.tracking, run_id).path)
    for change in differences if checkpoint is not None else ():
        screen.warn(f"{change}: what goes on from a shorter run may differ from a whole one in the last digits")
    return None if checkpoint is None else Origin(run_id, checkpoint.to_go_on())


@contextlib.contextmanager
def of_job(
    run_id: str | None, key: str, settings: Settings, screen: Screen, paused_at: int | None = None
) -> Iterator[Resumption | None]:
    """Yield where an interrupted or paused job of a sweep continues; None if it must begin again.

    That is so if this machine has nothing of it, if the code has changed, if it has another job key, as in a study that
    several searches share, or if another process works on it.

    Args:
        run_id: of the interrupted run; None if there is none.
        key: of the job.
        settings: of the job.
        screen: shows what is different now.
        paused_at: the epoch at which a search had paused it, which lets it go on now; None if it had not.
    """
    with contextlib.ExitStack() as held:
        resumption = None
        if run_id is not None and (folder := run_folder.folder_of(settings.tracking, run_id)).path.is_dir():
            with contextlib.suppress(SettingsError):  # Another process works on it.
                held.enter_context(claimed(folder))
                resumption = _job_again(folder, key, settings, screen)
                if resumption is not None and paused_at is not None:
                    resumption = resumption.promoted(paused_at)
        yield resumption


def _job_again(folder: RunFolder, key: str, settings: Settings, screen: Screen) -> Resumption | None:
    run = references.find(settings.tracking, folder.path.name)
    if (run.status == "FINISHED" and not run.is_pruned) or run.key != key:
        return None
    differences = recall.drift(run, settings)
    files = own_code.Changes().since(run)
    if files and settings.sweep.reuse != "any":
        screen.warn(f"interrupted jobs begin anew: {own_code.words(files)}; sweep.reuse=any goes on with them")
        return None
    if recall.CODE_UNKNOWN in differences:
        screen.warn(f"interrupted jobs begin anew: {recall.CODE_UNKNOWN}")
        return None
    for change in differences:
        screen.warn(f"{change}: resumed jobs may differ from uninterrupted ones in the last digits")
    if files:
        differences.append(own_code.words(files))
        screen.warn(f"{differences[-1]}: resumed jobs are of two codes")
    return from_checkpoint(folder, run, screen, differences)


def command(settings: Settings, run_id: str) -> str:
    """Return the command that resumes a run, as it would be typed, without secrets."""
    tracking = {name: getattr(settings.tracking, name) for name in ("uri", "local_dir")}
    words = [f"resume={run_id}", *(f"tracking.{name}={value}" for name, value in tracking.items() if value)]
    if settings.trusted_modules:
        words.append(f"trusted_modules=[{','.join(settings.trusted_modules)}]")
    return provenance.command_of(words)


@contextlib.contextmanager
def claimed(folder: RunFolder) -> Iterator[None]:
    """Claim the folder of a run inside the context. Raises: SettingsError: another process has it."""
    folder.claim()
    try:
        yield
    finally:
        folder.release()


def from_checkpoint(folder: RunFolder, run: StoredRun, screen: Screen, changes: Sequence[str] = ()) -> Resumption:
    """Return where a run continues: at its newest valid checkpoint.

    Args:
        folder: of the run, claimed.
        run: as it is recorded.
        screen: shows which checkpoints are damaged, or that there is none.
        changes: what is different now: options, versions, machine, code.
    """
    checkpoint, damaged = checkpoints.load(folder.path)
    for file in damaged:
        screen.warn(f"{file} is damaged and not used")
    if checkpoint is None:
        screen.warn(
            f"there is no checkpoint in {folder.path}: run {folder.path.name} begins with its first epoch again"
        )
    number = int(run.tags.get(names.RESUMED, 0)) + 1
    before = own_code.of_run(run) if checkpoint is not None else None  # Else nothing was trained by it.
    return Resumption(folder, checkpoint, number, tuple(changes), before, run.tags.get(names.PROMOTED, ""))


def _refuse_unkept(folder: RunFolder, run: StoredRun, screen: Screen) -> NoReturn:
    _check_resumable(run, screen)
    environment = run.environment()
    where = f"{environment.get('working_folder', 'a folder')} on {environment.get('hostname', 'a machine')}"
    raise SettingsError(
        f"resume={run.run_id} has nothing to go on from in {folder.path.parent}; it was started in {where}: go there, "
        "or name the folder that keeps it with tracking.local_dir; if that is lost, begin a new run: "
        f"{run.tags.get(names.COMMAND, 'its command')}"
    )


def _check_resumable(run: StoredRun, screen: Screen) -> None:
    process = run.tags.get(names.PROCESS, "")
    again = run.tags.get(names.COMMAND, "its command")
    if run.is_sweep:
        raise SettingsError(f"resume={run.run_id} is a sweep, which goes on when it is started again: {again}")
    if names.JOB_KEY not in run.tags:
        raise SettingsError(f"resume={run.run_id} is not a run of mnist_exp")
    if run.status == "FINISHED" and run.is_pruned:
        raise SettingsError(
            f"resume={run.run_id} was stopped by its search, which goes on with it if it deserves that: issue the "
            f"search again; to train it to its end, begin a new run: {again}"
        )
    if run.status == "FINISHED":
        raise SettingsError(
            f"resume={run.run_id} is FINISHED: there is nothing to go on with; repeat it with "
            f"`python -m mnist_exp.rerun {run.run_id}`, or train longer with a new run, of more trainer.epochs: {again}"
        )
    if run.status == "RUNNING" and processes.is_here(process) and not processes.is_gone(process):
        raise BusyError(f"resume={run.run_id} runs already, in process {process}: wait for it or stop it")
    if run.status == "RUNNING" and not processes.is_here(process):
        screen.warn(
            f"run {run.run_id} was run by {process}, another machine: make sure that it does not run there still"
        )


def _given_modules(config: DictConfig) -> set[str]:
    """Return the modules that this command trusts, at the top or in a group."""
    sections = [config, *(section for section in config.values() if isinstance(section, DictConfig))]
    return {str(name) for section in sections for name in section.get("trusted_modules") or ()}


def _merged(before: Mapping[str, Any], config: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    """Return a recorded configuration, changed by the overrides of the user."""
    now: Any = OmegaConf.to_container(config, resolve=True)
    merged = copy.deepcopy(dict(before))
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        section, *inner = override.key_or_group.split(".")
        if section in recall.OF_THE_COMMAND or section == "trusted_modules":
            continue
        if section not in before:  # A recipe may change anything.
            return {name: value for name, value in now.items() if name not in ("experiment", "resume")}
        source, target = now, merged
        for name in inner:
            source = source.get(section, {}) if isinstance(source, dict) else {}
            target, section = target.setdefault(section, {}), name
        if isinstance(source, dict) and section in source:
            target[section] = source[section]
        else:
            target.pop(section, None)
    return merged


def _changes(before: Settings, now: Settings, files: Mapping[str, str] | None = None) -> list[str]:
    """Return the changes that are allowed. Raises: SettingsError: with those that are not.

    Args:
        before: the recorded configuration.
        now: what it would be.
        files: SHA-256 of the files that its builders read then, by option: they may lie elsewhere now.
    """
    old, new = flatten(result_config(before, files)), flatten(result_config(now))
    shown_old, shown_new = (flatten(settings.to_config()) for settings in (before, now))
    different = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
    changes, problems = [], []
    for key in different:
        change = f"{key}={show(shown_new.get(key))} was {show(shown_old.get(key))}"
        is_longer = key == "trainer.epochs" and now.trainer.epochs > before.trainer.epochs
        if is_longer and now.schedule.name != "constant":
            problems.append(f"{change}: with schedule={now.schedule.name} the rates of the epochs done depend on it")
        elif is_longer or key == "trainer.threads":
            changes.append(change)
        elif key == "trainer.epochs":
            problems.append(f"{change}: a resumed run may have more epochs, not fewer")
        else:
            problems.append(f"{change}: leave it as it was, or begin a new run")
    if problems:
        raise SettingsError(problems)
    return changes
