"""How sphinx-gallery runs the tutorials and shows them."""

from pathlib import Path

ORDER = (
    "first_run",
    "sweep_and_verdict",
    "search",
    "your_own",
    "resume_and_rerun",
    "page_and_onnx",
)


def place(name: str) -> int:
    """Return where a tutorial stands among the others."""
    return ORDER.index(Path(name).stem)


SETTINGS = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "generated/tutorials",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"lesson\.py$",
    "within_subsection_order": place,
    "abort_on_example_error": True,
    "capture_repr": (),
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 10_000,
}
