"""Command lines read by argparse, with mistakes told as those of a configuration: what, its value, what is allowed."""

import argparse
import ast
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mnist_exp.config.wording import nearest, show
from mnist_exp.errors import SettingsError, printable

_CHOICE = re.compile(r"invalid choice: (?P<value>.+) \(choose from .*\)", re.DOTALL)
_TYPE = re.compile(r"invalid (?P<type>\w+) value: (?P<value>.+)", re.DOTALL)
_REQUIRED = "the following arguments are required: "
_EXCLUDED = "not allowed with argument "
_KINDS = {"int": "a whole number", "float": "a number"}
_LONGEST = 200  # characters of a value
_FLAG = re.compile(r"--?[A-Za-z]")


class Parser(argparse.ArgumentParser):
    """A parser that raises a `SettingsError` where argparse would print the usage and leave."""

    _words: Sequence[str] = ()

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the options. Raises: SettingsError: with every word that is not understood."""
        options, rest = self.parse_known_args(args, namespace)
        # What follows an unknown flag may be its value.
        problems = self.unknown(rest) or [f"{show(word)} is not understood: --help shows the form" for word in rest]
        if problems:
            raise SettingsError(problems)
        return options

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Return the options, and the words that are none. Raises: SettingsError: a value is wrong or missing."""
        self._words = sys.argv[1:] if args is None else args
        return super().parse_known_args(args, namespace)

    def unknown(self, words: Sequence[str]) -> list[str]:
        """Return a sentence for each word that looks like a flag and is none."""
        before = words[: words.index("--")] if "--" in words else words
        names = [word.partition("=")[0] for word in before if _FLAG.match(word)]
        return [self._unknown(name) for name in dict.fromkeys(names) if name not in self._option_string_actions]

    def error(self, message: str) -> NoReturn:
        """Raise a SettingsError with the unknown flags, which explain much, and what argparse says."""
        unknown = self.unknown(self._words)
        found = [text for text in problems(self, message) if not any(_meant(text, other) for other in unknown)]
        raise SettingsError([*unknown, *found])

    def _unknown(self, name: str) -> str:
        guess = nearest_flag(name, self._option_string_actions)
        return f"{show(name)} does not exist: {f'did you mean {guess}?' if guess else '--help lists all flags'}"


def nearest_flag(name: str, flags: Sequence[str] | dict[str, Any]) -> str | None:
    """Return the long flag that a shortened or misspelt one most likely means, or None."""
    long = [flag for flag in flags if flag.startswith("--")]
    begun = [flag for flag in long if len(name) > 3 and flag.startswith(name)]
    guess = nearest(name.lstrip("-"), [flag[2:] for flag in long])
    return begun[0] if begun else f"--{guess}" if guess else None


def problems(parser: argparse.ArgumentParser, message: str) -> list[str]:
    """Return what argparse says by `ArgumentParser.error`, in sentences.

    Args:
        parser: that calls it.
        message: that it gives.
    """
    # A parser tells of its options in no other way.
    actions = {_names(action): action for action in parser._actions}
    if message.startswith(_REQUIRED):
        return [_missing(actions[name]) for name in message.removeprefix(_REQUIRED).split(", ")]
    error = sys.exception()
    if not isinstance(error, argparse.ArgumentError) or error.argument_name is None:
        return [message]
    action = actions[error.argument_name]
    name, said = _name(action), error.message
    if found := _CHOICE.fullmatch(said):
        choices, value = list(map(str, action.choices or ())), str(ast.literal_eval(found["value"]))
        guess = nearest(value, choices)
        return [f"{name}={_written(value)} is not allowed: {f'did you mean {guess}?' if guess else _one_of(choices)}"]
    if found := _TYPE.fullmatch(said):
        kind = _KINDS.get(found["type"], found["type"])
        return [f"{name}={_written(ast.literal_eval(found['value']))} is not allowed: it must be {kind}"]
    if said.startswith("ignored explicit argument"):
        return [f"{name} takes no value: write {name}"]
    if said.startswith(_EXCLUDED):
        return [f"{name} and {said.removeprefix(_EXCLUDED)} exclude each other: give one of them"]
    if said == "expected one argument":
        return [f"{name} needs a value{f': {_one_of(list(action.choices))}' if action.choices else ''}"]
    return [f"{name}: {said}"]


def _missing(action: argparse.Action) -> str:
    if action.choices:
        return f"{_name(action)} is missing: {_one_of(list(action.choices))}"
    meaning = re.split("[:;] ", action.help or "it is needed")[0]  # Without the details that follow.
    return f"{_name(action)} is missing: {meaning}"


def _meant(missing: str, unknown: str) -> bool:
    """Tell whether what is missing is what an unknown flag was meant to be."""
    return unknown.endswith(f"did you mean {missing.partition(' is missing: ')[0]}?")


def _names(action: argparse.Action) -> str:
    """Return what argparse calls an option or a word."""
    return "/".join(action.option_strings) or str(action.metavar or action.dest)


def _name(action: argparse.Action) -> str:
    return next((flag for flag in action.option_strings if flag.startswith("--")), _names(action))


def _written(value: str) -> str:
    """Return a value as it stands on a command line, where a number has no quotes."""
    return printable(value[:_LONGEST])


def _one_of(choices: Sequence[str]) -> str:
    *others, last = choices
    return f"it must be {', '.join(others)} or {last}" if others else f"it must be {last}"
