"""The pictures of runs that a page shows, made small."""

import base64
import io

from mnist_exp.comparison.groups import Grouping
from mnist_exp.errors import SettingsError
from mnist_exp.tracking import run_files
from mnist_exp.tracking.runs import StoredRun

# What a task draws of a run at its end; its learning curves are a chart of the page.
NAMES = ("confusion_matrix.png", "confident_mistakes.png", "reliability.png", "residuals.png", "label_counts.png")
MOST_RUNS, MOST_PICTURES = 8, 2
_WIDTH, _COLOURS = 520, 32
_LARGEST = 4000  # pixels of a side


def of(grouping: Grouping) -> dict[str, dict[str, str]]:
    """Return run id → file name → PNG in base64: at most two of one run of each of the eight best configurations."""
    best = [group.runs[0] for family in grouping.families for group in family.groups][:MOST_RUNS]
    found = {run.run_id: {name: small(run, name) for name in names(run)} for run in best}
    return {
        run_id: {name: base64.b64encode(content).decode() for name, content in files.items() if content is not None}
        for run_id, files in found.items()
        if files
    }


def names(run: StoredRun) -> list[str]:
    """Return the file names of the pictures of a run that are shown, at most two."""
    there = set(run_files.names(run.uri, run.run_id))
    return [name for name in NAMES if name in there][:MOST_PICTURES]


def small(run: StoredRun, name: str) -> bytes | None:
    """Return a picture made small; None if the run has none, or it is no picture that a task draws."""
    from PIL import Image

    try:
        content = run_files.read_picture(run.uri, run.run_id, name)
        with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            if max(picture.size) > _LARGEST:
                return None
            picture.thumbnail((_WIDTH, _WIDTH))
            file = io.BytesIO()
            # Few colours: a third of the bytes, and nobody sees it in a diagram of this size.
            picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(file, "PNG")
            return file.getvalue()
    except (SettingsError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
