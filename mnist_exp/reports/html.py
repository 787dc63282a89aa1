"""Pages of one HTML file with everything in it, which load nothing from elsewhere."""

import base64
import datetime
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnist_exp.runtime import redacted_files

FILE = "index.html"
_ASSETS = Path(__file__).parent / "assets"


def write(
    folder: Path,
    template: str,
    styles: Sequence[str],
    programs: Sequence[Sequence[str]] = (),
    file: str = FILE,
    **values: Any,
) -> None:
    """Write a page. Args: `folder` to write to; `file`, its name; the others as `render`."""
    text = render(template, styles, programs, **values)
    # A name of a file need not be UTF-8.
    redacted_files.write(folder / file, text.encode("utf-8", "backslashreplace").decode())


def render(template: str, styles: Sequence[str], programs: Sequence[Sequence[str]] = (), **values: Any) -> str:
    """Return a page, from a template in the folder `assets`; it says when it was made.

    A name that is shown may come from another person. So all text is escaped, and the page's policy allows only its own
    programs and style, identified by their digests.

    Args:
        template: file name of the template.
        styles: file names of its styles.
        programs: of each of its programs the file names; the files of one share their names.
        values: that the template shows.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = asset(*styles)
    sources = [asset(*files) for files in programs]
    return environment.get_template(template).render(
        programs=sources,
        style=style,
        programs_sha256=[_digest(each) for each in sources],
        style_sha256=_digest(style),
        made=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        **values,
    )


def asset(*names: str) -> str:
    """Return the text of files in the folder `assets`, one after another."""
    return "".join((_ASSETS / name).read_text("utf-8") for name in names)


def json_in_page(value: Any) -> str:
    """Return a value as JSON that may stand in an element `script`: nothing in a text of it can end the element."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
