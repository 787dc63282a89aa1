"""The page that --help prints: the groups, and every option with its value and its meaning.

The meaning of an option is the comment that follows it in its YAML file, so that both say the same.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.object_type import ObjectType
from omegaconf import OmegaConf

from mnist_exp.composition import compose as composition
from mnist_exp.config.fields import show

_OPTION = re.compile(r"^(?P<name>\w+):[^#]*#\s*(?P<meaning>.+)$")
_GROUPS = (
    "model",
    "optimizer",
    "schedule",
    "data",
    "augment",
    "trainer",
    "tracking",
    "sweep",
    "experiment",
    "hydra/launcher",
)
_HEAD = """\
Train a Keras image classifier, recorded in MLflow.

  python -m mnist_exp.run                                 the baseline
  python -m mnist_exp.run model.dropout=0.5               another value
  python -m mnist_exp.run model=mlp data=mnist_5k         another choice of a group
  python -m mnist_exp.run -m model.filters=16,32          every value in turn; -m sweep=PRESET for those of a preset
  python -m mnist_exp.run --cfg job                       print the configuration and stop
  python -m mnist_exp.run --config-dir DIR model=my_net   with groups of your own
  python -m mnist_exp.run --hydra-help                    Hydra's own options"""


def text(overrides: Sequence[str] = (), config_dir: str | Path | None = None) -> str:
    """Return the page, with the options and values that the overrides lead to."""
    with composition.composer(config_dir) as loader:
        config = compose("config", list(overrides), return_hydra_config=True)
        choices = {group: config.hydra.runtime.choices.get(group) for group in _GROUPS}
        lines = [_HEAD, "", "Groups (GROUP=CHOICE; * is chosen)"]
        for group in _GROUPS:
            options = loader.get_group_options(group, ObjectType.CONFIG)
            names = ", ".join(f"{name}*" if name == choices[group] else name for name in options)
            lines.append(f"  {group:<14} {names}")
        folders = [Path(path.path.removeprefix("file://")) for path in loader.get_search_path().get_path() if path.path]
    plain: Any = OmegaConf.to_container(config, resolve=False)
    values: dict[str, Any] = {**plain, "hydra": None, "hydra/launcher": plain["hydra"]["launcher"]}
    top = {name: value for name, value in plain.items() if not isinstance(value, dict)}
    lines += ["", "Options (OPTION=VALUE)", *_rows("", top, _meanings(folders, "config.yaml"))]
    for group in _GROUPS:
        if set(values.get(group) or {}) - {"_target_"}:
            meanings: dict[str, str] = {}
            # A choice may build on another one of its group, as trainer=smoke does on trainer=default.
            for name in ("default", str(choices[group])):
                meanings |= _meanings(folders, f"{group}/{name}.yaml")
            lines += ["", *_rows(f"{group.replace('/', '.')}.", values[group], meanings)]
    return "\n".join(lines)


def _rows(prefix: str, values: Mapping[str, Any], meanings: Mapping[str, str]) -> Iterator[str]:
    for name, value in values.items():
        if name == "_target_":
            continue
        shown = show(value)
        shown = shown if len(shown) <= 16 else f"{shown[:15]}…"
        yield f"  {prefix + name:<33} {shown:<16} {meanings.get(name, '')}".rstrip()


def _meanings(folders: Sequence[Path], name: str) -> dict[str, str]:
    """Return the comment behind each option of the first such file on the search path."""
    for folder in folders:
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
            return {m["name"]: m["meaning"] for line in lines if (m := _OPTION.match(line))}
    return {}
