"""The records of a run that wait on disk until its store takes them."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnist_exp.errors import RunError, first_line
from mnist_exp.runtime import redacted_files
from mnist_exp.runtime.redaction import redact_record


@dataclass(frozen=True)
class Record:
    """One record of a run.

    Args:
        kind: params, metrics, tags, inputs, files, model, registration or end.
        facts: its values; they can be written as JSON.
        files: contents of its files, by name.
    """

    kind: str
    facts: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)


class Spool:
    """The waiting records of one run, oldest first. If the disk is full, they stay in memory.

    Args:
        folder: where the records are kept; it is created for the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reason = ""  # Why records in memory could not be written to disk.
        kept = [path for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []
        self._waiting: list[tuple[int, Record | None]] = [(int(path.name), None) for path in sorted(kept)]

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def in_memory(self) -> int:
        """The number of records that are in memory only."""
        return sum(record is not None for _, record in self._waiting)

    def put(self, record: Record) -> None:
        """Add a record at the end, without its secrets. It is in memory until `store` is called."""
        number = self._waiting[-1][0] + 1 if self._waiting else 1
        files = {name: redacted_files.content(name, content) for name, content in record.files.items()}
        self._waiting.append((number, Record(record.kind, redact_record(record.facts), files)))

    def store(self) -> None:
        """Write the records in memory to disk. If the disk is full, the rest stays in memory."""
        self.reason = ""
        for position, (number, record) in enumerate(self._waiting):
            if record is not None:
                try:
                    self._write(number, record)
                except OSError as error:
                    self.reason = error.strerror or str(error)
                    return
                self._waiting[position] = (number, None)

    def first(self) -> Record:
        """Return the oldest record. Raises: RunError: it is damaged."""
        number, record = self._waiting[0]
        return record if record is not None else _read(self._path(number))

    def drop_first(self, *, only_from_memory: bool = False) -> None:
        """Remove the oldest record; with `only_from_memory` only if it is not on disk."""
        number, record = self._waiting[0]
        if only_from_memory and record is None:
            return
        self._waiting.pop(0)
        shutil.rmtree(self._path(number), ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}"

    def _write(self, number: int, record: Record) -> None:
        """Write a record under another name, then rename it, so that no half-written record is ever read."""
        path = self._path(number)
        unfinished = path.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            unfinished.mkdir(parents=True)
            head = {"kind": record.kind, "facts": record.facts, "files": list(record.files)}
            contents = {"message.json": json.dumps(head).encode()}
            contents |= {str(place): content for place, content in enumerate(record.files.values())}
            for name, content in contents.items():
                with (unfinished / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            unfinished.rename(path)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise


def count_records(count: int) -> str:
    """Return a number of records with its noun: `1 record`, `2 records`."""
    return "1 record" if count == 1 else f"{count} records"


def _read(path: Path) -> Record:
    try:
        head = json.loads((path / "message.json").read_text(encoding="utf-8"))
        files = {name: (path / str(place)).read_bytes() for place, name in enumerate(head["files"])}
        return Record(head["kind"], head["facts"], files)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"the record {path} is damaged ({first_line(error)}): move it away, and the others can be delivered"
        ) from error
