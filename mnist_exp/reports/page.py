"""The page of a report: one HTML file with everything in it, which loads nothing from elsewhere."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mnist_exp.reports import html
from mnist_exp.reports.figures import NAMES
from mnist_exp.reports.tables import Table


@dataclass(frozen=True)
class Content:
    """The content of a page.

    Args:
        title: title of the page.
        summary: one line on the runs of the report.
        verdict: the conclusions, a sentence or two each.
        cautions: warnings about how to read the numbers.
        figures: file names of the figures, which are in the page's folder.
        tables: tables before the figures.
        more: tables after the figures.
        folded: tables that open with a click.
        versions: package → versions that the runs used.
        command: the command that made the page.
    """

    title: str
    summary: str
    verdict: Sequence[str]
    cautions: Sequence[str]
    figures: Sequence[str]
    tables: Sequence[Table]
    more: Sequence[Table]
    folded: Sequence[Table]
    versions: Mapping[str, str]
    command: str


def write(folder: Path, content: Content) -> None:
    """Write index.html, with the figures embedded.

    Args:
        folder: folder to write to, which has the figures.
        content: the content of the page.
    """
    figures = [
        {"name": name, "caption": NAMES[name], "data": base64.b64encode((folder / name).read_bytes()).decode()}
        for name in content.figures
    ]
    html.write(folder, "page.html.j2", ("page.css",), "page.js", content=content, figures=figures)
