"""The options of runs: which of them count, which differ, and how the differences are named."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from mnist_exp.config import fields
from mnist_exp.experiment.job_key import defaults_since
from mnist_exp.reports.metric import LARGEST
from mnist_exp.search.space import brief, number, short_names
from mnist_exp.tracking.runs import StoredRun

ABSENT = "–"
COMMON = "the common configuration"  # which has the value of most in every option
TARGET = "_target_"
# What runs had that were recorded before they could choose.
_BEFORE = {name: fields.text(value) for name, value in defaults_since().items()}
_LONGEST = 60  # characters of a value in a label
# They decide no result, or are told apart by the digest of the data.
_NO_OPTIONS = re.compile(
    r"seed|resume|trusted_modules|(tracking|sweep|hydra)(\..*)?|trainer\.(threads|checkpoint_every)"
    r"|data\.(?!(limit|validation)$).*"
)


def of(run: StoredRun) -> dict[str, str]:
    """Return the options that may decide a result, without the seed; numbers always written the same way."""
    params = (_BEFORE if "trainer.epochs" in run.params else {}) | run.params
    return {key: canonical(value) for key, value in params.items() if not _NO_OPTIONS.fullmatch(key)}


def differences(options: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the options that are not the same in all runs, components before their arguments."""
    every = dict.fromkeys(key for each in options for key in each)
    differing = [key for key in every if len({each.get(key, ABSENT) for each in options}) > 1]
    return sorted(differing, key=lambda key: (key.split(".")[0], not key.endswith(TARGET)))


def naming(options: Sequence[Mapping[str, str]], differing: Sequence[str]) -> list[str]:
    """Return the options that tell the groups apart.

    Where a component differs, its arguments are of another kind: only those are named that still differ within one.
    """
    kept = [key for key in differing if key.endswith(f".{TARGET}")]
    for key in differing:
        follows = f"{key.split('.')[0]}.{TARGET}" in kept
        if key not in kept and (not follows or _tells_more(options, kept, key)):
            kept.append(key)
    return [key for key in differing if key in kept]


def names_of(keys: Sequence[str]) -> dict[str, str]:
    """Return each option's short name; that of a component is its group."""
    short = short_names([key for key in keys if not key.endswith(f".{TARGET}")])
    return {key: short.get(key) or key.rpartition(".")[0] for key in keys}


def labels_of(groups: Sequence[Mapping[str, str]], names: Mapping[str, str]) -> list[str]:
    """Return what tells each group from the others; arguments that its component does not have are left out.

    Where most groups share a value of every option, as in an ablation, only what departs from these is named.
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
    """Return a text of at most 60 characters, without its middle if it has more."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 + 1 :]}"


def shown(key: str, value: str) -> str:
    """Return a value for people; of a component its last name."""
    return value.rpartition(".")[2] if key.endswith(TARGET) else brief(value)


def canonical(value: str) -> str:
    """Return a value as written, a number always in the same way: 1.0 is 1."""
    found = number(value)
    if found is None:
        return value
    return str(int(found)) if found.is_integer() and abs(found) < LARGEST else repr(found)


def _usual(groups: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the value of each option that more than half of the groups have; nothing if an option has none."""
    usual: dict[str, str] = {}
    for key in groups[0] if groups else ():
        value, times = Counter(values.get(key, ABSENT) for values in groups).most_common(1)[0]
        if times <= len(groups) / 2 or value == ABSENT:
            return {}
        usual[key] = value
    departures = [
        tuple((key, value) for key, value in values.items() if value not in (ABSENT, usual.get(key)))
        for values in groups
    ]
    return usual if len(set(departures)) == len(groups) else {}


def _tells_more(options: Sequence[Mapping[str, str]], kept: Sequence[str], key: str) -> bool:
    seen: dict[tuple[str, ...], str] = {}
    for each in options:
        place, value = tuple(each.get(k, ABSENT) for k in kept), each.get(key, ABSENT)
        if seen.setdefault(place, value) != value:
            return True
    return False
