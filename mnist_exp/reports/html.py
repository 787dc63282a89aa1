"""Pages of one HTML file with everything in it, which load nothing from elsewhere."""

import base64
import datetime
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_exp.runtime import redacted_files

FILE = "index.html"


def write(folder: Path, template: str, styles: Sequence[str], script: str | None = None, **values: Any) -> None:
    """Write index.html from a template of this folder; it says when it was made.

    A name that is shown may come from another person. So all text is escaped, and the page's policy allows only its own
    script and style, identified by their digests.

    Args:
        folder: folder to write to.
        template: file name of the template.
        styles: file names of its styles.
        script: file name of its script; None if it has none.
        values: that the template shows.
    """
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    sources = {name: loader.get_source(environment, name)[0] for name in (*styles, *([script] if script else []))}
    style, program = "".join(sources[name] for name in styles), sources[script] if script else ""
    text = environment.get_template(template).render(
        script=program,
        style=style,
        script_sha256=_digest(program),
        style_sha256=_digest(style),
        made=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        **values,
    )
    # A name of a file need not be UTF-8.
    redacted_files.write(folder / FILE, text.encode("utf-8", "backslashreplace").decode())


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
