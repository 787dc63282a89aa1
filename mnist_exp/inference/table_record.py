"""What a run recorded of the tables that it was trained on, by which the columns of a new one are found."""

import functools
from collections.abc import Sequence
from pathlib import Path

from mnist_exp.data.formats.csv import TRANSPOSED
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import run_files
from mnist_exp.tracking.runs import StoredRun


class TableRecord:
    """The columns of the table that a run was trained on; read from the store when they are asked for.

    Args:
        run: recorded.
    """

    def __init__(self, run: StoredRun) -> None:
        self._run = run

    @functools.cached_property
    def columns(self) -> Sequence[str] | None:
        """Names of the columns of the values, in their order; None if there is no record of any."""
        try:
            found = run_files.read_sections(self._run.uri, self._run.run_id, "columns.yaml").get("columns")
        except SettingsError:
            return None
        return list(map(str, found)) if isinstance(found, list) and len(set(map(str, found))) == len(found) else None

    def is_transposed(self, name: str) -> bool:
        """Return whether rows and columns of the images are exchanged in a table, as it was read for the training."""
        try:
            section = self._run.config().get("data")
        except SettingsError:
            section = None
        said = section.get("transposed") if isinstance(section, dict) else None
        return Path(name).name.startswith(TRANSPOSED) if said is None else bool(said)
