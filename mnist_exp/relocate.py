"""Make a store usable whose folder was moved or copied: `python -m mnist_exp.relocate`.

The addresses of all files that the store names are made to begin with the folder that the store lies in now.
"""

import sqlite3
import sys
from collections.abc import Sequence

from mnist_exp import commands
from mnist_exp.errors import RunError, SettingsError, plural
from mnist_exp.runtime.redaction import redact
from mnist_exp.runtime.terminal import Screen
from mnist_exp.tracking import location, store


def main() -> None:
    """Run the command line."""
    commands.leave_with(lambda: launch(sys.argv[1:]))


def launch(words: Sequence[str]) -> int:
    """Run the command line and return its exit code.

    Raises: SettingsError: there is no such store, or it is in use by another version of MLflow.
        RunError: the store cannot be written.
    """
    parser = commands.parser(
        "relocate",
        "Make the addresses in an SQLite store name the folder beside it, after that was moved or copied. The database "
        "as it was is kept.",
        "0 done, or nothing to do; 1 the store cannot be written; 2 there is no such store.",
        ["", "--tracking-uri sqlite:///runs.db"],
    )
    commands.add_tracking(parser)
    options = parser.parse_args(list(words))
    uri = store.locate(options.tracking_uri)
    store.check(uri, may_be_moved=True)
    file = store.sqlite_file(uri)
    if file is None:
        raise SettingsError(f"--tracking-uri={redact(uri)} is no SQLite file: only such a store moves with its folder")
    if not file.exists():
        raise SettingsError(f"--tracking-uri={redact(uri)}: there is no file {file}")
    try:
        with store.lock(uri):
            if not store.moved_from(file):
                print(f"nothing to do: the files of {file} are in {location.beside(file)}")
                return commands.DONE
            done = location.mend(file)
    except (sqlite3.Error, OSError) as error:
        raise RunError(f"{file} cannot be changed: {error}") from error
    Screen().table(
        {
            "from": ", ".join(done.before),
            "to": location.beside(file).as_uri(),
            "changed": f"{done.count} address{'es' * (done.count != 1)}",
            "copy": f"{done.copy}, the database as it was; delete it when all is well",
        }
    )
    if done.missing:
        have = "has" if done.missing == 1 else "have"
        Screen().warn(
            f"{plural(done.missing, 'run')} of this store {have} no files in {location.beside(file)}: look for them in "
            f"{done.before[0]}, and copy them"
        )
    return commands.DONE


if __name__ == "__main__":
    main()
