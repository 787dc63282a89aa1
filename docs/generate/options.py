"""The reference of options: every group, each choice with its purpose, and each option with its value and meaning."""

from collections.abc import Sequence
from pathlib import Path

from generate.markdown import block, code, prose, table
from mnist_exp.composition import compose, help_page
from mnist_exp.composition.help_page import Option, Section
from mnist_exp.config.fields import MISSING

_HEAD = ("option", "default", "meaning")
# Their files change options of other groups, which are told where they belong.
_DELTAS = ("experiment",)


def text() -> str:
    """Return all groups, in the order of `--help`."""
    top, *groups = help_page.sections()
    parts = ["## Options of no group\n", _options(top.options)]
    for section in groups:
        parts += [f"## {section.group}\n", *_group(section)]
    return "\n".join(parts)


def _group(section: Section) -> list[str]:
    """Return a group's choices. Those that are files with the same options share a table."""
    if section.group in _DELTAS:
        return [_presets(section.group, section.choices)]
    if section.group == "sweep":
        presets = [name for name in section.choices if name != "default"]
        return [
            _options(section.options),
            "\nA preset is chosen by `-m sweep=NAME`. It says what is swept over; the command line goes before it.\n",
            _presets(section.group, presets),
        ]
    parts = []
    for name in section.choices:
        file = _file(section.group, name)
        if file is None:  # Hydra's own, or that of another package.
            continue
        default = " (the default)" if name == section.chosen else ""
        parts += [f"### {section.group}={name}{default}\n", _purpose(file) + "\n"]
        parts.append(_options(_options_of(section.group, name)))
    return parts


def _options_of(group: str, name: str) -> Sequence[Option]:
    found = help_page.sections([f"{group}={name}"])
    return next(section.options for section in found if section.group == group)


def _options(options: Sequence[Option]) -> str:
    if not options:
        return "It has no options.\n"
    return table(_HEAD, [[code(o.name), _default(o.value), prose(o.meaning)] for o in options])


def _default(value: str) -> str:
    return "must be given" if value == MISSING else code(value)


def _presets(group: str, names: Sequence[str]) -> str:
    parts = []
    for name in names:
        file = _file(group, name)
        if file is not None:
            parts += [f"### {group}={name}\n", _purpose(file) + "\n", block(_body(file), "yaml")]
    return "\n".join(parts)


def _file(group: str, name: str) -> Path | None:
    files = [folder / group / f"{name}.yaml" for folder in (compose.CONF, compose.EXPERIMENTS)]
    return next((file for file in files if file.is_file()), None)


def _purpose(file: Path) -> str:
    """Return the comment that a file begins with; a new line where it names something, as `Cost: …`."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line.removeprefix("#").strip())
    return "\n".join(_with_code(line) for line in lines)


def _with_code(line: str) -> str:
    name, colon, rest = line.partition(": ")
    if colon and rest.startswith("python -m"):
        return f"\n{name}: {code(rest)}\n"
    return f"\n{line}" if colon and name.isalpha() and name.istitle() else line


def _body(file: Path) -> str:
    lines = file.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("#"))
