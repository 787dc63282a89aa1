"""Which columns of a table are the values of an example, and in which order."""

import re
from collections.abc import Sequence

from mnist_exp.config.wording import show
from mnist_exp.errors import DataError

_NOT_VALUES = ("label", "labels", "class", "target", "y", "digit", "id", "imageid", "index", "")
_NUMBERED = re.compile(r"(.*?)(\d+)(?:x(\d+))?")
_MOST_NAMED = 5


def chosen(names: Sequence[str], width: int, known: Sequence[str] | None) -> tuple[list[int], list[str]]:
    """Return the positions of the columns of values, in the order in which a model takes them, and what is told.

    Args:
        names: of all columns.
        width: how many numbers an example has.
        known: names of the columns that the model was trained on, in their order; None if they are not known.
    Raises: DataError: columns that it was trained on are missing.
    """
    if known is not None and len(known) == width:
        missing = [name for name in known if name not in names]
        if not missing:
            return _by_name(names, known)
        if len(missing) < len(known):
            raise DataError(f"it lacks columns that the model was trained on: {_some(missing)}")
        kept, told = _by_number(names, *_without_labels(names, width))
        order = f"none of its columns is called as those of the training, {_some(known)}: they are taken in this order"
        return kept, [*told, f"{order}: {_some([names[position] for position in kept])}"]
    return _by_number(names, *_without_labels(names, width))


def _by_name(names: Sequence[str], known: Sequence[str]) -> tuple[list[int], list[str]]:
    places = {name: position for position, name in reversed(list(enumerate(names)))}
    kept = [places[name] for name in known]
    told = _left_out([name for name in names if name not in set(known)])
    if kept != sorted(kept):
        told.append("its columns are put in the order of those that the model was trained on")
    return kept, told


def _without_labels(names: Sequence[str], width: int) -> tuple[list[int], list[str]]:
    kept = list(range(len(names)))
    others = [position for position, name in enumerate(names) if name.lower() in _NOT_VALUES]
    if len(names) <= width or len(names) - len(others) != width:
        return kept, []
    return [position for position in kept if position not in others], _left_out([names[i] for i in others])


def _by_number(names: Sequence[str], kept: list[int], told: list[str]) -> tuple[list[int], list[str]]:
    """Return the columns in the order of the numbers in their names, as of pixel0, pixel1 and of 1x1, 1x2."""
    found = [_NUMBERED.fullmatch(names[position]) for position in kept]
    matched = [match for match in found if match is not None]
    if len(matched) < len(kept) or len({match[1] for match in matched}) > 1:
        return kept, told
    keys = [(int(match[2]), int(match[3] or 0)) for match in matched]
    if len(set(keys)) < len(keys) or keys == sorted(keys):
        return kept, told
    kept = [position for _, position in sorted(zip(keys, kept, strict=True))]
    return kept, [*told, f"its columns are taken by the numbers in their names, {show(names[kept[0]])} first"]


def _left_out(others: Sequence[str]) -> list[str]:
    if not others:
        return []
    columns, are = ("columns", "are") if len(others) > 1 else ("column", "is")
    return [f"the {columns} {_some(others)} {are} left out: the others are the values"]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(show, names[:_MOST_NAMED])) + more
