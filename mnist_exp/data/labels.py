"""Labels as files have them, texts and numbers of any kind, become whole numbers from 0 with a name for each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mnist_exp.config.wording import listed
from mnist_exp.data.lazy import Array
from mnist_exp.errors import DataError

ClassNames = Sequence[str] | Mapping[Any, str] | None
# What a column of labels is called, the likeliest first.
LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "y")
_SHOWN = 6
_EXACT = 2.0**53  # up to which a double holds every whole number


@dataclass(frozen=True)
class Labels:
    """Labels of the parts of a data set, as a task takes them.

    Args:
        parts: each as it was given, or int64 (n,) from 0.
        names: one for each class, by label, or for each column; None where nothing names them.
        told: sentences about what was changed.
    """

    parts: tuple[Array, ...]
    names: tuple[str, ...] | None
    told: tuple[str, ...] = ()


def texts_numbered(parts: Sequence[Array], names: ClassNames) -> Labels | None:
    """Return labels that are texts as the numbers of the sorted texts; None if they are none.

    Args:
        parts: the labels of each set.
        names: of the classes, if the data name them: a text for each label, or by these texts.
    Raises: DataError: a label is no text, and others are; or it has no name.
    """
    made = [_as_texts(part) for part in parts]
    if not any(each is not None for each in made):
        return None
    if not all(each is not None for each in made):
        kinds = ", ".join(str(part.dtype) for part in parts)
        raise DataError(f"the labels are texts in one set and numbers in another ({kinds}); they must be alike")
    texts = [each for each in made if each is not None]
    known = sorted(set().union(*(set(each.tolist()) for each in texts)), key=_in_order)
    if isinstance(names, Mapping):
        keys = {str(key): str(name) for key, name in names.items()}
        _refuse_unknown([each for each in known if each not in keys], keys)
        known, shown = list(keys), tuple(keys.values())
    elif names:
        _refuse_unknown([each for each in known if each not in names], names)
        known, shown = list(names), tuple(names)
    else:
        shown = tuple(known)
    numbers = {text: number for number, text in enumerate(known)}
    coded = (np.fromiter((numbers[text] for text in each.tolist()), np.int64, len(each)) for each in texts)
    return Labels(tuple(coded), shown)


def renumbered(parts: Sequence[Array], names: ClassNames) -> Labels:
    """Return whole numbers that stand for classes as those from 0 without a gap; what has none is returned as it is.

    Where a tuple names the classes, labels are positions in it and stay what they are. Where a mapping does, they
    become positions in its sorted keys.

    Args:
        parts: the labels of each set, (n,) or (n, 1).
        names: of the classes, if the data name them.
    Raises: DataError: a label has no name in a mapping.
    """
    is_flat = all(part.ndim == 1 or (part.ndim == 2 and part.shape[1] == 1) for part in parts)
    # As whole floats, where a task says that they are classes: MATLAB and pandas have no others beside missing ones.
    if all(part.dtype.kind in "iubf" and _are_whole(part) for part in parts):
        parts = [part.astype(np.int64) if part.dtype.kind == "f" else part for part in parts]
    if not is_flat or any(part.dtype.kind not in "iub" for part in parts) or not all(map(len, parts)):
        return Labels(tuple(parts), _as_tuple(names))
    if names is not None and not isinstance(names, Mapping):
        return Labels(tuple(parts), tuple(names))
    flat = [part.reshape(-1) for part in parts]
    # Through Python's whole numbers: of int64 and uint64 NumPy makes floats.
    found = sorted(set().union(*(set(np.unique(each).tolist()) for each in flat)))
    if isinstance(names, Mapping):
        keys = sorted(int(key) for key in names)
        _refuse_unknown([label for label in found if label not in keys], keys)
        shown = tuple(str(names[key]) for key in keys)
    else:
        keys, shown = found, tuple(map(str, found))
    if keys == list(range(len(keys))):
        return Labels(tuple(parts), None if names is None else shown)
    # A set of few examples has more than so many classes where the labels are really numbers.
    if names is None and len(keys) > max(20, len(flat[0]) // 2):
        raise DataError(
            f"y_train holds {len(keys):,} different labels, from {keys[0]} to {keys[-1]}, for {len(flat[0]):,} "
            "examples: that is too many for classes; for numbers there is task=regression"
        )
    ordered = np.array(keys, dtype=object) if max(map(abs, keys)) >= 2**63 else np.array(keys, np.int64)
    coded = tuple(np.searchsorted(ordered, each).astype(np.int64) for each in flat)
    return Labels(coded, shown, (_renumbering(keys, shown, is_named=names is not None),))


def _are_whole(y: Array) -> bool:
    return y.dtype.kind != "f" or bool((np.isfinite(y) & (y == np.rint(y)) & (abs(y) < _EXACT)).all())


def _as_texts(y: Array) -> Array | None:
    """Return labels as texts (n,), if they are texts; bytes are read as UTF-8."""
    if y.dtype.kind not in "UTSO":
        return None
    flat = y.reshape(-1) if y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1) else None
    if flat is None:
        raise DataError(f"labels that are texts must be one an example, (n,), not {y.shape}")
    if y.dtype.kind == "O" and not all(isinstance(each, str | bytes) for each in flat.tolist()):
        raise DataError("labels must be whole numbers or texts, not other objects of Python")
    made = [each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each) for each in flat.tolist()]
    if blank := sum(not each.strip() for each in made):
        raise DataError(f"{blank:,} of {len(made):,} labels are empty texts: give each example its label")
    return np.array(made, dtype=object)


def _in_order(text: str) -> tuple[int, float, str]:
    """Sort numbers by their value, before all other texts."""
    try:
        return 0, float(int(text)), text
    except (ValueError, OverflowError):
        return 1, 0.0, text


def _renumbering(keys: Sequence[int], names: Sequence[str], *, is_named: bool) -> str:
    last = len(keys) - 1
    if keys[-1] - keys[0] == last:
        what = f"the labels are {keys[0]} to {keys[-1]}"
    else:
        there = set(keys)
        gaps = [label for label in range(keys[0], min(keys[-1], keys[0] + 10_000)) if label not in there]
        what = f"the labels are {keys[0]} to {keys[-1]} without {listed(gaps, _SHOWN, str)}"
    named = "each has the name that the data give" if is_named else "the label itself is the name"
    return f"{what}: the {len(keys)} classes are numbered 0 to {last}, and {named} ({names[0]}, …, {names[-1]})"


def _refuse_unknown(labels: Sequence[Any], known: Any) -> None:
    if labels:
        named = listed(list(known), _SHOWN)
        raise DataError(f"the labels {listed(labels, _SHOWN)} are none of those that the data name: {named}")


def _as_tuple(names: ClassNames) -> tuple[str, ...] | None:
    if names is None:
        return None
    return tuple(map(str, names.values() if isinstance(names, Mapping) else names))
