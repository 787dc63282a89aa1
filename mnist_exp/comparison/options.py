"""The options of runs: which ones can change a result, which ones differ, and labels made of the differences."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from mnist_exp.comparison.metric import LARGEST
from mnist_exp.config import wording
from mnist_exp.experiment.job_key import defaults_since
from mnist_exp.experiment.recall import input_files_of
from mnist_exp.search.space import brief, number, short_names
from mnist_exp.tracking.runs import StoredRun

ABSENT = "–"
COMMON = "the common configuration"  # has, in every option, the value that most configurations have
TARGET = "_target_"
# The values that older runs had for options that did not exist yet.
_BEFORE = {name: wording.text(value) for name, value in defaults_since().items()}
_LONGEST = 60  # characters of a value in a label
# These options do not change a result, or the digest of the data stands for them.
_NO_OPTIONS = re.compile(
    r"seed|resume|trusted_modules|metrics\..*|(tracking|sweep|hydra)(\..*)?|trainer\.(threads|checkpoint_every)"
    r"|data\.(?!(limit|validation|reporting|standardize)$).*"
)


def of(run: StoredRun) -> dict[str, str]:
    """Return the options of a run that can change its result, except the seed. Equal numbers have equal texts."""
    params = (_BEFORE if "trainer.epochs" in run.params else {}) | run.params
    found = {key: canonical(value) for key, value in params.items() if not _NO_OPTIONS.fullmatch(key)}
    # Files are known by their bytes; their names are for people.
    return found | {key: f"{found.get(key, '')} ({sha256[:8]})" for key, sha256 in input_files_of(run).items()}


def differences(options: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the options that differ between runs. A component (`model._target_`) comes before its arguments."""
    every = dict.fromkeys(key for each in options for key in each)
    differing = [key for key in every if len({each.get(key, ABSENT) for each in options}) > 1]
    return sorted(differing, key=lambda key: (key.split(".")[0], not key.endswith(TARGET)))


def naming(options: Sequence[Mapping[str, str]], differing: Sequence[str]) -> list[str]:
    """Return the options that distinguish the groups.

    If a component differs, as the model, its arguments differ too. Of these only the ones that differ between groups
    with the same component are needed.

    Args:
        options: the options of each run.
        differing: the options that differ, as `differences` returns them.
    """
    chosen = [key for key in differing if key.endswith(f".{TARGET}")]

    def is_needed(key: str) -> bool:
        follows = f"{key.split('.', maxsplit=1)[0]}.{TARGET}" in chosen
        return not follows or key in chosen or _differs_within_groups(options, chosen, key)

    return list(filter(is_needed, differing))


def names_of(keys: Sequence[str]) -> dict[str, str]:
    """Return a short name for each option. For a component it is the name of its group: `model`."""
    short = short_names([key for key in keys if not key.endswith(f".{TARGET}")])
    return {key: short.get(key) or key.rpartition(".")[0] for key in keys}


def labels_of(groups: Sequence[Mapping[str, str]], names: Mapping[str, str]) -> list[str]:
    """Return a label for each group, different for all of them.

    If more than half of the groups agree in each option, as in an ablation, a label names only what is different from
    this common configuration. Arguments that a component does not have are left out.

    Args:
        groups: the values of each group, by option.
        names: the short name of each option.
    """
    usual = _usual(groups)
    given = [
        {key: value for key, value in values.items() if value not in (ABSENT, usual.get(key))} for values in groups
    ]
    brief_ones = [" ".join(f"{names[k]}={cut(shown(k, v))}" for k, v in values.items()) for values in given]
    if len(set(brief_ones)) < len(groups):
        brief_ones = [" ".join(f"{names[k]}={v}" for k, v in values.items()) for values in given]
    return [label or (COMMON if usual else "") for label in brief_ones]


def cut(text: str) -> str:
    """Return a text of at most 60 characters. The middle of a longer one is replaced by `…`."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 + 1 :]}"


def shown(key: str, value: str) -> str:
    """Return a value for people: of a component only the last part of its dotted name."""
    return value.rpartition(".")[2] if key.endswith(TARGET) else brief(value)


def canonical(value: str) -> str:
    """Return a value as written, but write equal numbers equally: `1.0` becomes `1`."""
    parsed = number(value)
    if parsed is None:
        return value
    return str(int(parsed)) if parsed.is_integer() and abs(parsed) < LARGEST else repr(parsed)


def _usual(groups: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return, for each option, the value that more than half of the groups have; {} if an option has no such value."""
    usual: dict[str, str] = {}
    for key in groups[0] if groups else ():
        value, times = Counter(values.get(key, ABSENT) for values in groups).most_common(1)[0]
        if times <= len(groups) / 2 or value == ABSENT:
            return {}
        usual[key] = value
    differing = [
        tuple((key, value) for key, value in values.items() if value not in (ABSENT, usual.get(key)))
        for values in groups
    ]
    return usual if len(set(differing)) == len(groups) else {}


def _differs_within_groups(options: Sequence[Mapping[str, str]], chosen: Sequence[str], key: str) -> bool:
    """Return whether an option differs between runs that have the same components."""
    seen: dict[tuple[str, ...], str] = {}
    for each in options:
        group, value = tuple(each.get(k, ABSENT) for k in chosen), each.get(key, ABSENT)
        if seen.setdefault(group, value) != value:
            return True
    return False
