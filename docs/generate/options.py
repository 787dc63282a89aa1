"""The reference of options: every group, each choice with its purpose, and each option with its value and meaning."""

from collections.abc import Sequence
from pathlib import Path

from generate.markdown import block, code, prose, table
from mnist_exp.composition import compose, help_page
from mnist_exp.composition.help_page import Section
from mnist_exp.config import components, schema
from mnist_exp.config.fields import MISSING, describe
from mnist_exp.config.schema import DataSettings
from mnist_exp.config.signatures import Parameter

_HEAD = ("option", "default", "allowed", "meaning")
# Their files change options of other groups, which are told where they belong.
_DELTAS = ("experiment",)


def text() -> str:
    """Return all groups, in the order of `--help`."""
    top, *groups = help_page.sections()
    parts = ["## Options of no group\n", _options(top)]
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
            _options(section),
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
        chosen = help_page.sections([f"{section.group}={name}"])
        parts.append(_options(next(each for each in chosen if each.group == section.group)))
    return parts


def _options(section: Section) -> str:
    if not section.options:
        return "It has no options.\n"
    known = _parameters(section)
    rows = []
    for option in section.options:
        parameter = known.get(option.name.rpartition(".")[2])
        allowed = describe(parameter.annotation) if parameter else ""
        rows.append([code(option.name), _default(option.value), prose(allowed), prose(option.meaning)])
    if not any(row[2] for row in rows):  # A launcher checks its options when it starts.
        return table((*_HEAD[:2], _HEAD[3]), [[*row[:2], row[3]] for row in rows])
    return table(_HEAD, rows)


def _parameters(section: Section) -> dict[str, Parameter]:
    """Return the types of a section's options, from where the program checks them."""
    group, target = section.group, section.target
    if group == "":
        return schema.TOP_LEVEL
    if group in schema.SECTIONS:
        return schema.parameters(schema.SECTIONS[group])
    built = components.parameters(group, target) if target and group in components.KINDS else {}
    return schema.parameters(DataSettings) | built if group == "data" else built


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
