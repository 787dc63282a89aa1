"""The flags of the command line, and the words that people mistake for them."""

import argparse
import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any, NoReturn

import hydra
from hydra import compose
from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf

from mnist_exp.composition.compose import composer, find_problems
from mnist_exp.config import wording
from mnist_exp.config.nested import flatten
from mnist_exp.config.wording import show
from mnist_exp.errors import SettingsError

_UNSUPPORTED = ("config_path", "config_name", "experimental_rerun")
AS_DATA = "--json"
_SHOWING = ("help", "hydra_help", "cfg", "info", "shell_completion")  # Flags with which nothing is run.
_OVERRIDE = re.compile(r"[+~]*[A-Za-z_][^=]*=.")


class _RefusedError(Exception):
    """Raised in place of the exit with which argparse would end the process."""


def read(words: Sequence[str]) -> argparse.Namespace:
    """Return flags and overrides as Hydra will read them.

    Args:
        words: of the command line, without the program's name.
    Raises: SettingsError: with every word that is not a flag, and the problems in the overrides.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]
    parser.add_argument(AS_DATA, action="store_true")
    for action in parser._actions:  # A parser tells of its options in no other way.
        if action.dest == "version":  # Hydra would tell its own only.
            action.version = version()  # type: ignore[attr-defined]
    flags = [flag for action in parser._actions for flag in action.option_strings]
    try:
        options, rest = parser.parse_known_args(list(words))
    except _RefusedError as error:
        rest = [word for word in words if word.startswith("-") and word.partition("=")[0] not in flags]
        refusal = f"{str(error).removeprefix('argument ')}; --hydra-help lists all flags"
        raise SettingsError([_unknown(word, flags) for word in rest] or refusal) from error
    problems = [_unknown(word, flags) for word in rest if word.startswith("-")]
    # What follows an unknown flag may be its value.
    problems = problems or [
        f"{show(word)} comes after a flag: write flags, such as -m, before all options" for word in rest
    ]
    for name in _UNSUPPORTED:
        if getattr(options, name) is not None:
            flag = "--" + name.replace("_", "-")
            problems.append(f"{flag} is not supported: name a folder of your own with --config-dir")
    shows = [name for name in _SHOWING if getattr(options, name)]
    if options.json and shows:
        problems.append(f"{AS_DATA} is for runs and sweeps: leave it out with --{shows[0].replace('_', '-')}")
    if options.package is not None and not options.cfg:
        problems.append(f"--package={show(options.package)} needs --cfg job, --cfg hydra or --cfg all")
    if problems:
        written = [word for word in options.overrides if _OVERRIDE.match(word)]
        raise SettingsError([*problems, *find_problems(written, options.config_dir, multirun=True)])
    return options


def version() -> str:
    """Return what --version prints."""
    return f"mnist_exp {metadata.version('mnist_exp')} (Hydra {hydra.__version__})"


def _refuse(message: str) -> NoReturn:
    raise _RefusedError(message)


def _unknown(word: str, flags: Sequence[str]) -> str:
    """Return the sentence for a word that looks like a flag but is not one."""
    name, _, value = word.lstrip("-").partition("=")
    flag = wording.nearest(name, [flag[2:] for flag in flags if flag.startswith("--")]) if word[1:2] == "-" else None
    if flag is not None:
        return f"{show(word)} does not exist: did you mean --{flag}?"
    options = list(_options())
    last = name.replace("-", "_").rpartition(".")[2]
    named = [option for option in options if option == name or option.rpartition(".")[2] == last]
    option = named[0] if named else wording.nearest(name, options)
    fix = f"did you mean {option}={value[:100] or 'VALUE'}?" if option else "as in trainer.epochs=5"
    return f"{show(word)} is not a flag: options are written without dashes, {fix}"


def _options() -> Iterator[str]:
    with composer(None):
        config: Any = OmegaConf.to_container(compose("config"), resolve=False)
    yield from (name for name in flatten(config) if "_target_" not in name)
