"""The page of a report: one HTML file that needs nothing else, and asks for nothing."""

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
    """What a page says.

    Args:
        title: of the page.
        summary: what it is on, in a line.
        verdict: sentences.
        cautions: what a reader must know.
        figures: names of the pictures, which lie in the page's folder.
        tables: before the pictures.
        more: tables behind them.
        folded: tables that open by a click.
        versions: packages and the versions that the runs had.
        command: that made it.
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
    """Write index.html, with the pictures of its folder in it.

    Every text is escaped, and only this page's own script and style, known by their digests, are let run: what a run is
    called may come from someone else.
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
