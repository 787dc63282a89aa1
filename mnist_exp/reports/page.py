"""The page of a report: one HTML file with everything in it, which loads nothing from elsewhere."""

import base64
import datetime
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mnist_exp.reports.figures import NAMES
from mnist_exp.reports.tables import Table
from mnist_exp.runtime import redacted_files

FILE = "index.html"


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

    The name of a run may come from another person. So all text is escaped, and the page's policy allows only its own
    script and style, identified by their digests.

    Args:
        folder: folder to write to, which has the figures.
        content: the content of the page.
    """
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script, style = (loader.get_source(environment, name)[0] for name in ("page.js", "page.css"))
    figures = [
        {"name": name, "caption": NAMES[name], "data": base64.b64encode((folder / name).read_bytes()).decode()}
        for name in content.figures
    ]
    text = environment.get_template("page.html.j2").render(
        content=content,
        figures=figures,
        script=script,
        style=style,
        script_sha256=_digest(script),
        style_sha256=_digest(style),
        made=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )
    redacted_files.write(folder / FILE, text)


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
