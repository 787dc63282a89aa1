"""How sphinx-gallery runs the tutorials and shows them."""

import shutil
import sys
from pathlib import Path
from typing import Any

ORDER = (
    "first_run",
    "sweep_and_verdict",
    "search",
    "your_own",
    "resume_and_rerun",
    "page_and_onnx",
    "beyond_digits",
)


def place(name: str) -> int:
    """Return where a tutorial stands among the others."""
    return ORDER.index(Path(name).stem)


def begin_anew(settings: Any, name: str) -> None:
    """Forget the folder of the tutorial before, so that the next one has a folder and a store of its own."""
    lesson = sys.modules.pop("lesson", None)
    if lesson is not None:
        shutil.rmtree(lesson.FOLDER, ignore_errors=True)


SETTINGS = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "generated/tutorials",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"lesson\.py$",
    "within_subsection_order": place,
    "reset_modules": ("matplotlib", "generate.tutorials.begin_anew"),
    "abort_on_example_error": True,
    "capture_repr": (),
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 10_000,
}
