"""Digests of a training's weights at moments of it, and where those of two trainings part; nothing here needs Keras.

A digest tells whether two arrays are equal, and takes 16 letters instead of their megabytes. They are taken before the
first step, within the first epoch after ever more steps (each about twice as many as the one before), and after each
epoch. So a difference is found between two moments: a training that computes otherwise does so from its first step on.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mnist_exp.errors import SettingsError
from mnist_exp.training.checkpoints import Position

FILE, LARGEST = "weight_digests.json", 5_000_000  # name, and bytes, of the file of a run
OPTIMIZER, RANDOM = "the optimizer's state", "the state of random generators"
_LETTERS = 16
_MOST = 20_000  # digests of single weights: as many as 10 weights have in 2,000 epochs
_MOST_NAMED = 3


def of_arrays(arrays: Sequence[npt.NDArray[Any]]) -> str:
    """Return one digest of some arrays: the first 64 bits of their SHA-256, in hex."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)  # Python has no bfloat16.
    return content.hexdigest()[:_LETTERS]


@dataclass(frozen=True)
class Moment:
    """The digests of all weights at a moment.

    Args:
        position: whole epochs done, and steps after them.
        digests: of each part, in the order of the record; an empty text, or none at the end, where none was taken, as
            of the optimizer within an epoch. None at all where there were too many to keep.
        whole: of all parts together.
    """

    position: Position
    digests: tuple[str, ...]
    whole: str


@dataclass
class Digests:
    """The record of a training.

    Args:
        parts: the names of the weights, and of what else a training changes.
        moments: the earliest first.
    """

    parts: tuple[str, ...] = ()
    moments: list[Moment] = field(default_factory=list)

    def add(self, position: Position, found: Mapping[str, str]) -> None:
        """Add a moment.

        Args:
            position: of the training.
            found: digest of each part by its name, in one order. Some may be left out, and some come later, as that of
                a random generator that is made with the first step.
        """
        self.parts += tuple(name for name in found if name not in self.parts)
        whole = hashlib.sha256("".join(found.values()).encode()).hexdigest()[:_LETTERS]
        kept = sum(len(moment.digests) for moment in self.moments)
        last = max(map(self.parts.index, found), default=-1)
        each = tuple(found.get(name, "") for name in self.parts[: last + 1]) if kept + len(found) <= _MOST else ()
        self.moments.append(Moment(position, each, whole))

    def as_data(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        moments = [
            {"epoch": each.position.epoch, "step": each.position.step, "digests": list(each.digests), "all": each.whole}
            for each in self.moments
        ]
        return {"parts": list(self.parts), "moments": moments}

    def to_json(self) -> str:
        """Return it as a file has it: a line for each moment."""
        content = self.as_data()
        lines = ",\n".join(json.dumps(each) for each in content["moments"])
        return f'{{"parts": {json.dumps(content["parts"], ensure_ascii=False)},\n"moments": [\n{lines}\n]}}\n'


def parse(text: str, what: str) -> Digests:
    """Return what a file holds, which may come from someone else.

    Args:
        text: of the file.
        what: its name in an error message.
    Raises: SettingsError: it is not what mnist_exp writes.
    """
    try:
        return of_data(json.loads(text))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettingsError(f"{what} is not what mnist_exp writes") from error


def of_data(content: Any) -> Digests:
    """Return what `as_data` made. Raises: ValueError, TypeError, KeyError: it is something else."""
    parts = tuple(map(str, content["parts"]))
    moments = []
    for each in content["moments"]:
        digests = tuple(map(str, each["digests"]))
        if len(digests) > len(parts):
            raise ValueError("there are more digests than parts")
        moments.append(Moment(Position(int(each["epoch"]), int(each["step"])), digests, str(each["all"])))
    return Digests(parts, moments)


@dataclass(frozen=True)
class Parting:
    """Where two trainings part.

    Args:
        position: the first moment, of those that both recorded, at which they differ; None if they never do.
        equal_at: the last moment before it at which they were equal; None if there is none.
        parts: what differs then; empty where that was not kept.
        same_model: whether both have the same weights, by their names.
    """

    position: Position | None
    equal_at: Position | None
    parts: tuple[str, ...] = ()
    same_model: bool = True

    @property
    def words(self) -> str:
        """Where they part, in a sentence."""
        if not self.same_model:
            return f"the two models have other weights: {_named(self.parts)}"
        if self.position is None:
            until = "" if self.equal_at is None else f" {_at(self.equal_at)}, and at each recorded moment before it"
            return f"never: all weights were equal{until}" if until else "no moment was recorded in both runs"
        where = f"{_at(self.position)}, {self._which()}"
        if self.position == Position():
            return f"{where}: they did not begin alike"
        if self.equal_at is None:
            return f"{where}, the first moment that was recorded in both"
        return f"{where}; {_at(self.equal_at)} all were equal"

    def _which(self) -> str:
        return f"in {_named(self.parts)}" if self.parts else "in some weights"

    def as_data(self) -> dict[str, Any]:
        """Return it as values that JSON has."""
        return {
            "first_different": _moment(self.position),
            "last_equal": _moment(self.equal_at),
            "parts": list(self.parts),
            "words": self.words,
        }


def parting(old: Digests, new: Digests) -> Parting:
    """Return where two trainings part.

    Args:
        old: the recorded one.
        new: its repetition.
    """
    if len(old.parts) != len(new.parts):
        differing = tuple(part for part in (*old.parts, *new.parts) if (part in old.parts) != (part in new.parts))
        return Parting(None, None, differing, same_model=False)
    there = {moment.position: moment for moment in new.moments}
    equal_at = None
    for moment in sorted(old.moments, key=lambda each: _order(each.position)):
        other = there.get(moment.position)
        if other is None:
            continue
        if other.whole != moment.whole:
            pairs = zip(old.parts, moment.digests, other.digests, strict=False)
            parts = tuple(name for name, first, second in pairs if first != second)
            return Parting(moment.position, equal_at, parts)
        equal_at = moment.position
    return Parting(None, equal_at)


def is_due(step: int, last: int) -> bool:
    """Tell whether the weights are looked at after a step of the first epoch, which comes after others: 1, 2, 4, 8, …

    Keras may do several steps at a time: then it is the first step seen of those after each power of two.

    Args:
        step: how many are done.
        last: how many were done when they were looked at before; 0 if they were not.
    """
    return step > 0 and (last == 0 or int(math.log2(step)) > int(math.log2(last)))


def _order(position: Position) -> tuple[int, int]:
    return position.epoch, position.step


def _moment(position: Position | None) -> dict[str, int] | None:
    """Return a moment as people count: the epoch from 1, and how many of its steps are done; null: all of them."""
    if position is None:
        return None
    if position == Position():
        return {"epoch": 1, "step": 0}
    return {"epoch": position.epoch + 1, "step": position.step} if position.step else {"epoch": position.epoch}


def _at(position: Position) -> str:
    if position.step:
        return f"after step {position.step} of epoch {position.epoch + 1}"
    return f"at the end of epoch {position.epoch}" if position.epoch else "before the first step"


def _named(parts: Sequence[str]) -> str:
    more = len(parts) - _MOST_NAMED
    if more <= 1:
        *others, last = parts
        return f"{', '.join(others)} and {last}" if others else last
    return f"{', '.join(parts[:_MOST_NAMED])} and {more} more"
