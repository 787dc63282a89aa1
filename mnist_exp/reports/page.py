"""The page of a report: one HTML file with everything in it, which loads nothing from elsewhere."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mnist_exp.reports import html
from mnist_exp.reports.figures import NAMES
from mnist_exp.reports.mattered import Section
from mnist_exp.reports.tables import Table

_TEMPLATE = "page.html.j2"
_STYLES = ("vendor/tabulator.min.css", "page.css", "explore.css", "print.css")
_OWN = ("theme", "runs", "filters", "chart", "key", "table", "parallel", "scatter", "heat_map", "curves", "details")
_EXPLORE = tuple(f"js/{name}.js" for name in (*_OWN, "static_tables", "live", "page"))
_PROGRAMS = (("vendor/echarts.min.js",), ("vendor/tabulator.min.js",), _EXPLORE)
_LICENSES = {
    "Apache ECharts 6.1.0, with zrender, d3 and tslib": "vendor/echarts.LICENSE.txt",
    "Tabulator 6.5.3": "vendor/tabulator.LICENSE.txt",
}


@dataclass(frozen=True)
class Content:
    """The content of a page.

    Args:
        title: title of the page.
        summary: one line on the runs of the report.
        verdict: the conclusions, a sentence or two each.
        cautions: warnings about how to read the numbers.
        tables: tables that are always shown.
        plain: tables that stand for the table of runs where no program may run.
        folded: tables that open with a click.
        versions: package → versions that the runs used.
        command: the command that made the page.
        data: what the table and the charts show: see `page_data`.
        figures: file names of the figures that stand for the charts where no program may run.
        mattered: what mattered in the sweep; None where that is not known.
    """

    title: str
    summary: str
    verdict: Sequence[str]
    cautions: Sequence[str]
    tables: Sequence[Table]
    plain: Sequence[Table]
    folded: Sequence[Table]
    versions: Mapping[str, str]
    command: str
    data: Mapping[str, Any] = field(default_factory=dict)
    figures: Sequence[str] = ()
    mattered: Section | None = None


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
    html.write(folder, _TEMPLATE, _STYLES, _PROGRAMS, **_values(content), figures=figures, live="")


def render(content: Content, live: str) -> str:
    """Return the page that looks for newer data.

    Args:
        content: the content of the page; its figures are left out.
        live: path at which the newer data are.
    """
    return html.render(_TEMPLATE, _STYLES, _PROGRAMS, **_values(content), figures=(), live=live)


def findings(content: Content) -> str:
    """Return the part of the page with the conclusions and the tables that are always shown."""
    return html.render("findings.html.j2", (), content=content)


def _values(content: Content) -> dict[str, Any]:
    licenses = {name: html.asset(file) for name, file in _LICENSES.items()}
    return {"content": content, "data": html.json_in_page(dict(content.data)), "licenses": licenses}
