"""The user's own code that took part in a run: what is recorded of it, and what of it was changed since.

One rule for all commands, and for jobs that are done as for jobs that were interrupted: a result of other own code is
another result. Another version of this package, or of Keras, is only told.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mnist_exp.config import components
from mnist_exp.config.nested import digest
from mnist_exp.config.schema import BUILDER_GROUPS, MAPPING_GROUPS, Settings
from mnist_exp.errors import SettingsError
from mnist_exp.runtime import own_modules
from mnist_exp.tracking import names
from mnist_exp.tracking.runs import StoredRun

FILE = "own_code.txt"
_BOTH = ", then "
_MOST_NAMED = 3


def record(settings: Settings, before: Mapping[str, str] | None = None, *, after_error: bool = False) -> dict[str, str]:
    """Return the own modules that the process has imported for a run, with the SHA-256 of their files in hex.

    Args:
        settings: of the run.
        before: the record of the run that is resumed. A module that differs gets both digests, so that the run equals
            neither code.
        after_error: whether an error ended the run, perhaps in an import.
    """
    now = own_modules.imported(_starts(settings), settings.trusted_modules, all_named=after_error)
    if before is None:
        return now
    merged = dict(before)
    for name, sha256 in now.items():
        then = before.get(name, sha256)
        merged[name] = then if then.rpartition(_BOTH)[2] == sha256 else f"{then}{_BOTH}{sha256}"
    return dict(sorted(merged.items()))


def tags(record: Mapping[str, str]) -> dict[str, str]:
    """Return the tag of a record; none where no own code took part."""
    return {names.OWN_CODE: digest(dict(record))} if record else {}


def to_text(record: Mapping[str, str]) -> str:
    """Return a record as lines of digest and name, as sha256sum writes them: no name looks as if it had a secret."""
    return "".join(f"{sha256}  {name}\n" for name, sha256 in record.items())


def from_text(text: str) -> dict[str, str]:
    """Return the record that `to_text` wrote; of other text, whatever has its form."""
    lines = (line.rpartition("  ") for line in text.splitlines())
    return {name: sha256 for sha256, _, name in lines if sha256}


def write(record: Mapping[str, str], folder: Path) -> None:
    """Write a record into a folder of files to log; nothing where no own code took part."""
    if record:
        (folder / FILE).write_text(to_text(record), encoding="utf-8")


def of_run(run: StoredRun) -> dict[str, str] | None:
    """Return what a run recorded of the own code that took part; None if it recorded nothing that can be read."""
    if names.OWN_CODE not in run.tags:
        return None
    try:
        return from_text(run.own_code())
    except SettingsError:
        return None


def differing(runs: Iterable[StoredRun]) -> list[str]:
    """Return the own files, as `my_pkg/nets.py`, of which runs had different ones, or not all of them."""
    records = [of_run(run) or {} for run in runs]
    modules = sorted({name for record in records for name in record})
    return [own_modules.shown(name) for name in modules if len({record.get(name) for record in records}) > 1]


def took_part(run: StoredRun) -> bool:
    """Tell whether a run was built by own code, recorded or not."""
    targets = [value for name, value in run.params.items() if name.endswith("_target_")]
    return names.OWN_CODE in run.tags or any(not components.is_of_libraries(target) for target in targets)


def words(files: Sequence[str]) -> str:
    """Return what was changed, for people: `my_pkg/nets.py was changed since`."""
    shown = [*files[:_MOST_NAMED], *([f"{len(files) - _MOST_NAMED} more files"] if len(files) > _MOST_NAMED else [])]
    joined = " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
    return f"{joined} {'was' if len(files) == 1 else 'were'} changed since"


@dataclass
class Changes:
    """Tells which own files were changed since a run. Files and records are read once, however many runs are asked for.

    Make a new one for each call: it does not see what is changed later.
    """

    _now: dict[str, str] = field(default_factory=dict)
    _records: dict[str, dict[str, str] | None] = field(default_factory=dict)
    _since: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def since(self, run: StoredRun) -> tuple[str, ...]:
        """Return the own files, as `my_pkg/nets.py`, that differ now from those that a run was made by.

        A run that recorded none of its own code, as those of before it was recorded, has none.
        """
        sha256 = run.tags.get(names.OWN_CODE)
        if sha256 is None:
            return ()
        if sha256 not in self._since:
            record = self._record(run)
            if record is None:
                return (f"the own code of run {run.run_id}, of which there is no {FILE},",)
            changed = [name for name, then in record.items() if self.now(name) != then]
            self._since[sha256] = tuple(map(own_modules.shown, changed))
        return self._since[sha256]

    def counts(self, run: StoredRun, reuse: bool | str) -> bool:
        """Tell whether a run counts by the rule about own code; `reuse` is the option `sweep.reuse`."""
        return reuse == "any" or not self.since(run)

    def state(self, runs: Iterable[StoredRun]) -> str:
        """Return a digest of what the own files that some runs were made by are now."""
        return digest({name: self.now(name) for run in runs for name in self._record(run) or ()})

    def now(self, name: str) -> str:
        """Return the digest of a module's file as it is now."""
        if name not in self._now:
            self._now[name] = own_modules.digest_now(name)
        return self._now[name]

    def _record(self, run: StoredRun) -> dict[str, str] | None:
        sha256 = run.tags.get(names.OWN_CODE, "")
        if self._records.get(sha256) is None:  # Another run with the same digest may have the file that this one lacks.
            self._records[sha256] = of_run(run)
        return self._records[sha256]


def _starts(settings: Settings) -> list[str]:
    """Return the modules of the builders that the user's own code has."""
    single = [getattr(settings, group) for group in BUILDER_GROUPS]
    named = [part for group in MAPPING_GROUPS for part in getattr(settings, group).values()]
    parts = (*single, *named, settings.data.loader)
    targets = [part.target for part in parts if not components.is_of_libraries(part.target)]
    return list(dict.fromkeys(target.rpartition(".")[0] for target in targets))
