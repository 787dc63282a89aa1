"""Records of a run on their way to the store, kept on disk while it does not take them."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnist_exp.errors import RunError, first_line


@dataclass(frozen=True)
class Message:
    """One record.

    Args:
        kind: params, metrics, tags, inputs, files, model, registration or end.
        facts: what it says, as JSON knows it.
        files: their contents, by their names.
    """

    kind: str
    facts: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)


class Outbox:
    """The records of one run that wait, in their order; those that the disk does not take either wait in memory.

    Args:
        folder: where they are kept; it is made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reason = ""  # Why the disk did not take what is in memory.
        kept = [path for path in folder.iterdir() if path.name.isdigit()] if folder.is_dir() else []
        self._waiting: list[tuple[int, Message | None]] = [(int(path.name), None) for path in sorted(kept)]

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def in_memory(self) -> int:
        """How many are on no disk."""
        return sum(message is not None for _, message in self._waiting)

    def put(self, message: Message) -> None:
        """Keep a record behind the others, in memory until they are stored."""
        number = self._waiting[-1][0] + 1 if self._waiting else 1
        self._waiting.append((number, message))

    def store(self) -> None:
        """Write what is in memory only, as far as the disk takes it."""
        self.reason = ""
        for position, (number, message) in enumerate(self._waiting):
            if message is not None:
                try:
                    self._write(number, message)
                except OSError as error:
                    self.reason = error.strerror or str(error)
                    return
                self._waiting[position] = (number, None)

    def first(self) -> Message:
        """Return the oldest record. Raises: RunError: it is damaged."""
        number, message = self._waiting[0]
        return message if message is not None else _read(self._path(number))

    def drop_first(self, *, only_from_memory: bool = False) -> None:
        """Forget the oldest record, which is delivered, or of no use; one on disk may be left as it is."""
        number, message = self._waiting[0]
        if only_from_memory and message is None:
            return
        self._waiting.pop(0)
        shutil.rmtree(self._path(number), ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}"

    def _write(self, number: int, message: Message) -> None:
        """Write a record under another name and move it to its place, so that there is never half a one."""
        path = self._path(number)
        unfinished = path.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            unfinished.mkdir(parents=True)
            head = {"kind": message.kind, "facts": message.facts, "files": list(message.files)}
            contents = {"message.json": json.dumps(head).encode()}
            contents |= {str(place): content for place, content in enumerate(message.files.values())}
            for name, content in contents.items():
                with (unfinished / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            unfinished.rename(path)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise


def _read(path: Path) -> Message:
    try:
        head = json.loads((path / "message.json").read_text(encoding="utf-8"))
        files = {name: (path / str(place)).read_bytes() for place, name in enumerate(head["files"])}
        return Message(head["kind"], head["facts"], files)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"the record {path} is damaged ({first_line(error)}): move it away, and the others can be delivered"
        ) from error
