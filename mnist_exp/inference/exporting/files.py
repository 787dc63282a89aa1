"""Where an export goes: its file appears complete or not at all, and replaces nothing that it should not."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mnist_exp.config import wording
from mnist_exp.errors import RunError, SettingsError


def target(path: Path, *, is_folder: bool, is_forced: bool, beside: Sequence[str] = ()) -> Path:
    """Create the folder of an export, and return its path.

    Args:
        path: to write to.
        is_folder: whether a SavedModel is written.
        is_forced: whether an older one is replaced.
        beside: what the files that are written beside it have behind its name.
    Raises: SettingsError: it may not or cannot be written.
    """
    shown = f"--output={wording.show(str(path))}"
    try:
        if path.is_file() and is_folder:
            raise SettingsError(f"{shown} is a file: --format=savedmodel makes a folder, and does not replace it")
        if path.exists() and not is_forced:
            raise SettingsError(f"{shown} exists: name another one, or replace it with --force")
        if path.is_dir() and not (is_folder and (path / "saved_model.pb").is_file()):
            raise SettingsError(f"{shown} is a folder but not a SavedModel: it is not replaced, even with --force")
        for other in (path.with_name(path.name + suffix) for suffix in beside):
            if other.is_dir() or (other.exists() and not is_forced):
                fix = "" if other.is_dir() else ", or replace it with --force"
                raise SettingsError(
                    f"{shown} would come with {wording.show(str(other))}, which exists: name another{fix}"
                )
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise SettingsError(f"{shown} cannot be written: {error.strerror}") from error
    return path


@contextlib.contextmanager
def made_beside(path: Path) -> Iterator[Path]:
    """Yield a temporary path on the same disk as an export's."""
    with tempfile.TemporaryDirectory(prefix=".export-", dir=path.parent) as folder:
        yield Path(folder) / path.name


def put(made: Path, path: Path) -> None:
    """Move what was made to its place. Raises: RunError: what is there cannot be replaced."""
    try:
        if path.is_dir():
            shutil.rmtree(path)
        made.replace(path)
    except OSError as error:
        raise RunError(f"{path} cannot be replaced: {error.strerror}") from error


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
