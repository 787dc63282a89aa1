"""With which choices of groups an option applies: `model.filters` with `model=cnn`, but not with `model=mlp`."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Choices = Mapping[str, str]


@dataclass(frozen=True)
class Condition:
    """The choices with which an option applies.

    Args:
        groups: those that decide, such as `("model",)`.
        chosen: what they may be, one text for each group: `(("cnn",), ("resnet",))`; None for a group that is left as
            it is.
    """

    groups: tuple[str, ...]
    chosen: tuple[tuple[str | None, ...], ...]

    def holds(self, choices: Choices) -> bool:
        """Tell whether the option applies with these choices: the name of each group that is chosen."""
        return tuple(map(choices.get, self.groups)) in self.chosen

    @property
    def words(self) -> str:
        """For display: `model=cnn,resnet`."""
        if len(self.groups) == 1:
            return f"{self.groups[0]}={','.join(name or 'as it is' for (name,) in self.chosen)}"
        return " or ".join(words_of(dict(zip(self.groups, each, strict=True))) for each in self.chosen)


def words_of(choices: Mapping[str, str | None]) -> str:
    """Return choices for display: `model=cnn optimizer=sgd`."""
    return " ".join(f"{group}={name or 'as it is'}" for group, name in choices.items())


def of(combinations: Sequence[Choices], applies: Sequence[bool]) -> Condition | None:
    """Return the condition under which an option applies; None if it does with all choices, or with none.

    Args:
        combinations: of choices, all that a sweep has.
        applies: whether the option does with each of them.
    """
    if len(set(applies)) < 2:
        return None
    groups = tuple(dict.fromkeys(group for each in combinations for group in each))
    for count in range(1, len(groups) + 1):  # As few groups as decide it.
        for some in itertools.combinations(groups, count):
            answers: dict[tuple[str | None, ...], set[bool]] = {}
            for each, answer in zip(combinations, applies, strict=True):
                answers.setdefault(tuple(map(each.get, some)), set()).add(answer)
            if all(len(found) == 1 for found in answers.values()):
                return Condition(some, tuple(chosen for chosen, found in answers.items() if True in found))
    raise AssertionError("the same choices both have the option and lack it")
