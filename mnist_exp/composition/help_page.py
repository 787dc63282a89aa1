"""The page that --help prints: the groups, and every option with its value and its meaning.

The meaning of an option is the comment that follows it in its YAML file, so that both say the same. The site's
reference of options is made from the same sections.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from mnist_exp.composition.compose import composer
from mnist_exp.config.wording import show

_OPTION = re.compile(r"^(?P<name>\w+):[^#]*#\s*(?P<meaning>.+)$")
GROUPS = (
    "model",
    "optimizer",
    "schedule",
    "data",
    "augment",
    "task",
    "loss",
    "metrics",
    "callbacks",
    "trainer",
    "tracking",
    "sweep",
    "experiment",
    "hydra/launcher",
)
_HEAD = """\
Train a Keras model, recorded in MLflow.

  python -m mnist_exp.run                                 the baseline
  python -m mnist_exp.run model.dropout=0.5               another value
  python -m mnist_exp.run model=mlp data=mnist_5k         another choice of a group
  python -m mnist_exp.run -m model.filters=16,32          every value in turn; -m sweep=PRESET for those of a preset
  python -m mnist_exp.run --cfg job                       print the configuration and stop
  python -m mnist_exp.run --json                          one JSON document on stdout, all else on stderr
  python -m mnist_exp.run --config-dir DIR model=my_net   with groups of your own
  python -m mnist_exp.run --hydra-help                    Hydra's own options"""


@dataclass(frozen=True)
class Option:
    """One option, as OPTION=VALUE sets it.

    Args:
        name: with its section, `model.dropout`.
        value: as YAML writes it.
        meaning: in a sentence; empty where its file says nothing.
    """

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Section:
    """A group, or the options outside of all groups.

    Args:
        group: `model`; empty for the options of no group.
        choices: what GROUP=CHOICE may name.
        chosen: the choice in use; None where it is not one of them.
        options: of that choice.
        target: the builder that it names, with its module; None where it names none.
    """

    group: str
    choices: tuple[str, ...]
    chosen: str | None
    options: tuple[Option, ...]
    target: str | None = None


def sections(overrides: Sequence[str] = (), config_dir: str | Path | None = None) -> list[Section]:
    """Return the options of no group and those of each group, with the values that the overrides lead to."""
    with composer(config_dir) as loader:
        config = compose("config", list(overrides), return_hydra_config=True)
        chosen = {group: config.hydra.runtime.choices.get(group) for group in GROUPS}
        choices = {group: tuple(loader.get_group_options(group, ObjectType.CONFIG)) for group in GROUPS}
        folders = [Path(path.path.removeprefix("file://")) for path in loader.get_search_path().get_path() if path.path]
    plain: Any = OmegaConf.to_container(config, resolve=False)
    values: dict[str, Any] = {**plain, "hydra": None, "hydra/launcher": plain["hydra"]["launcher"]}
    top = {name: value for name, value in plain.items() if not isinstance(value, dict)}
    found = [Section("", (), None, tuple(_options("", top, _meanings(folders, "config.yaml"))))]
    for group in GROUPS:
        meanings: dict[str, str] = {}
        # A choice may build on another one of its group, as trainer=smoke does on trainer=default.
        for name in ("default", str(chosen[group])):
            meanings |= _meanings(folders, f"{group}/{name}.yaml")
        section = values.get(group) or {}
        options = _options(f"{group.replace('/', '.')}.", section, meanings)
        found.append(Section(group, choices[group], chosen[group], tuple(options), section.get("_target_")))
    return found


def text(overrides: Sequence[str] = (), config_dir: str | Path | None = None) -> str:
    """Return the page, with the options and values that the overrides lead to."""
    top, *groups = sections(overrides, config_dir)
    lines = [_HEAD, "", "Groups (GROUP=CHOICE; * is chosen)"]
    for section in groups:
        names = ", ".join(f"{name}*" if name == section.chosen else name for name in section.choices)
        lines.append(f"  {section.group:<14} {names}")
    lines += ["", "Options (OPTION=VALUE)", *map(_row, top.options)]
    for section in groups:
        lines += ["", *map(_row, section.options)] if section.options else []
    return "\n".join(lines)


def _options(prefix: str, values: Mapping[str, Any], meanings: Mapping[str, str]) -> Iterator[Option]:
    for name, value in values.items():
        if name != "_target_":
            yield Option(prefix + name, show(value), meanings.get(name, ""))


def _row(option: Option) -> str:
    shown = option.value if len(option.value) <= 16 else f"{option.value[:15]}…"
    return f"  {option.name:<33} {shown:<16} {option.meaning}".rstrip()


def _meanings(folders: Sequence[Path], name: str) -> dict[str, str]:
    """Return the comment behind each option of the first such file on the search path."""
    for folder in folders:
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
            return {m["name"]: m["meaning"] for line in lines if (m := _OPTION.match(line))}
    return {}
