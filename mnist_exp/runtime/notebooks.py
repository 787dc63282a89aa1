"""Whether this process is the kernel of a notebook, and what a person sees there."""

import html
import sys
from collections.abc import Sequence
from typing import Any

from mnist_exp.runtime.redaction import redact


def shell() -> Any:
    """Return IPython's shell of this process; None where it has none, or is no kernel but a terminal."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    found = get_ipython()
    return found if found is not None and "IPKernelApp" in found.config else None


class Shown:
    """One output of a notebook's cell, which is put anew in its place."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, markup: str, text: str) -> None:
        """Show it, without secrets.

        Args:
            markup: of it in HTML; what comes from a record is escaped in it.
            text: the same for who shows no HTML.
        """
        import IPython.display

        content = {"text/html": redact(markup), "text/plain": redact(text)}
        if self._handle is None:
            display: Any = IPython.display.display
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under a head in HTML, all texts escaped."""
    first = "".join(f"<th>{html.escape(text)}</th>" for text in head)
    lines = "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{first}</tr></thead><tbody>{lines}</tbody></table>"
