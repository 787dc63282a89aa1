"""Links between pages: written to lead somewhere in the repository, and turned so that they do on the site."""

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Files outside docs that are pages of the site, and their places below docs.
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "generated/contributing.md",
    "CHANGELOG.md": "generated/changelog.md",
    "SECURITY.md": "generated/security.md",
    "benchmarks/README.md": "generated/benchmarks.md",
    "experiments/findings/README.md": "generated/findings/index.md",
    "experiments/findings": "generated/findings/index.md",
    "docs/decisions": "decisions/index.md",
    "docs/tutorials": "generated/tutorials/index.rst",
}
FINDINGS = ROOT / "experiments" / "findings"
_FENCE = re.compile(r"^\s*(```|~~~)")
_LINK = re.compile(r"(?P<bang>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]*)(?P<anchor>#[^)\s]*)?\)")


def rewrite(text: str, written_in: Path, shown_in: Path) -> str:
    """Return a page's text with the links that lead to the same pages on the site.

    A link to a file that is no page, as a script, becomes its text alone.

    Args:
        text: Markdown.
        written_in: the file that its links are relative to.
        shown_in: the file below docs that the site shows.
    """
    lines, is_code = [], False
    for line in text.splitlines(keepends=True):
        is_code ^= bool(_FENCE.match(line))
        lines.append(line if is_code else _LINK.sub(lambda m: _link(m, written_in, shown_in), line))
    return "".join(lines)


def _link(found: re.Match[str], written_in: Path, shown_in: Path) -> str:
    target = found["target"]
    if ":" in target or not target:
        return found[0]
    page = place(Path(os.path.normpath(written_in.parent / target)))
    if page is None:
        return found["text"]
    path = os.path.relpath(page, shown_in.parent)
    return f"{found['bang']}[{found['text']}]({path}{found['anchor'] or ''})"


def place(file: Path) -> Path | None:
    """Return the file below docs that shows a file of the repository; None if it is not on the site."""
    name = file.relative_to(ROOT).as_posix()
    if name in ELSEWHERE:
        return DOCS / ELSEWHERE[name]
    if file.parent == FINDINGS and file.suffix in (".md", ".png"):
        return DOCS / "generated" / "findings" / file.name
    if file.parent == DOCS / "tutorials":
        return DOCS / "generated" / "tutorials" / f"{file.stem}.rst"
    if file.is_relative_to(DOCS) and file.suffix in (".md", ".png", ".svg"):
        return file
    return None


def rewrite_source(app: Any, page: str, source: list[str]) -> None:
    """Do so for a page that Sphinx has just read; those that are made are right already."""
    file = DOCS / f"{page}.md"
    if file.is_file() and not page.startswith("generated/"):
        source[0] = rewrite(source[0], file, file)
