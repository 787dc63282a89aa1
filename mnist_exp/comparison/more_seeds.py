"""The command that runs configurations again with several seeds, so that they can be compared."""

import math
import re
import shlex
from collections.abc import Sequence

from mnist_exp.comparison.groups import Group
from mnist_exp.tracking import names

_SEEDS = "seed=range(1,6)"
_RUN = ["python", "-m", "mnist_exp.run"]
# What needs no quotes in a list of Hydra's.
_PLAIN = re.compile(r"[\w./+-]+|\[[\w., +-]*\]")


def words(groups: Sequence[Group]) -> str:
    """Return what to do, for people: the whole command where the runs tell one, else the option that is missing.

    Args:
        groups: with one seed each.
    """
    command = _command(groups)
    return f"run more, with -m '{_SEEDS}'" if command is None else f"run more: {command}"


def _command(groups: Sequence[Group]) -> str | None:
    """Return a command whose grid is all the configurations, and no other."""
    commands = [shlex.split(run.tags.get(names.COMMAND, "")) for group in groups for run in group.runs]
    if any(command[:3] != _RUN or "-m" in command[3:] for command in commands):
        return None
    options = {key: list(dict.fromkeys(group.values.get(key) for group in groups)) for key in groups[0].values}
    several = {key: values for key, values in options.items() if len(values) > 1}
    if math.prod(map(len, several.values())) != len(groups):
        return None
    if any(value is None or not _PLAIN.fullmatch(value) for values in several.values() for value in values):
        return None
    given = [[word for word in command[3:] if _key(word) not in ("seed", *several)] for command in commands]
    if any(each != given[0] for each in given):
        return None
    swept = [f"{key}={','.join(map(str, values))}" for key, values in several.items()]
    return shlex.join([*_RUN, "-m", *given[0], *swept, _SEEDS])


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+")
