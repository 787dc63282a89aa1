"""What an inspection found in data that a run does not read as a whole: remembered, so that the run can warn of it."""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mnist_exp.data.download import keras_cache
from mnist_exp.inspection.parts import TEST, TRAIN, VALIDATION

if TYPE_CHECKING:
    from mnist_exp.inspection.look import Inspection


def keep(inspection: "Inspection") -> None:
    """Remember how many test examples are training examples; where the folder cannot be written, nothing is kept."""
    dataset = inspection.dataset
    in_training = sum(len(part) for part in inspection.parts if part.array == "x_train")
    if in_training < len(dataset.y_train):  # data.limit left some out.
        return
    count = sum(
        each.count
        for each in inspection.findings
        if each.sets == (TEST, TRAIN) or (each.sets == (TEST, VALIDATION) and dataset.x_val is None)
        if not each.kind.startswith("nearly")
    )
    file = _file(dataset.sha256)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=".", suffix=".partial", dir=file.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            json.dump({"test_in_training": count}, opened)
        Path(partial).replace(file)


def recall(sha256: str) -> int | None:
    """Return what was remembered for the data of a digest; None if there is nothing."""
    try:
        found = json.loads(_file(sha256).read_bytes())["test_in_training"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, int) else None


def _file(sha256: str) -> Path:
    return keras_cache() / "mnist_exp-inspections" / f"{sha256}.json"
