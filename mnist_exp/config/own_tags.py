"""Tags of one's own for a run: `+tags.owner=ann`. They are recorded, and change no result."""

import posixpath
import re
from collections.abc import Mapping
from typing import Annotated, Any

from mnist_exp.config.fields import Allowed
from mnist_exp.config.nested import flatten
from mnist_exp.config.wording import show

OwnTags = Annotated[dict[str, Any], Allowed("names with their texts: +tags.owner=ann")]
MOST_CHARACTERS = 8_000  # of a value; MLflow 3.17 cuts longer ones, and says so in its log alone
_NAME = re.compile(r"[\w.\- :/]{1,250}")  # that MLflow takes
_OTHERS = ("mlflow.", "mnist_exp.")
_OURS = ("pruned",)


def check(tags: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return tags as texts, those in sections named by dots, and a sentence for each that cannot be recorded."""
    texts, problems = {}, []
    for name, value in flatten(dict(tags)).items():
        option = f"tags.{name}={show(value)}"
        if name.startswith(_OTHERS) or name in _OURS:
            problems.append(f"{option} is not allowed: MLflow and this package set tags of that name themselves")
        elif not _NAME.fullmatch(name) or not _is_one_path(name):
            problems.append(
                f"{option} is not allowed: a tag's name has letters, digits, and any of _ . - : / or spaces"
            )
        elif value is None or isinstance(value, list):
            problems.append(f"{option} is not allowed: it must be text")
        elif len(text := str(value).lower() if isinstance(value, bool) else str(value)) > MOST_CHARACTERS:
            problems.append(f"tags.{name} has {len(text):,} characters: at most {MOST_CHARACTERS:,} can be recorded")
        else:
            texts[name] = text
    return texts, problems


def _is_one_path(name: str) -> bool:
    """Tell whether a name is that of one file below a folder, as MLflow asks for: `a/b`, neither `/a` nor `a//b`."""
    return posixpath.normpath(name) == name and name != "." and not name.startswith(("/", ".."))
