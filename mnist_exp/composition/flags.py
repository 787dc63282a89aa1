"""The flags of the command line, and the words that people mistake for them."""

import argparse
import functools
import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any, NoReturn

import hydra
from hydra import compose
from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf

from mnist_exp.composition.compose import composer, find_problems
from mnist_exp.config import argument_parser, wording
from mnist_exp.config.nested import flatten
from mnist_exp.config.wording import show
from mnist_exp.errors import SettingsError

_UNSUPPORTED = ("config_path", "config_name", "experimental_rerun")
AS_DATA = "--json"
_VERSION = "--version"
_SHOWING = ("help", "hydra_help", "version", "cfg", "info", "shell_completion")  # Flags with which nothing is run.
_OF_SWEEPS = re.compile(r"[+~]*sweep\.")
_OVERRIDE = re.compile(r"[+~]*[A-Za-z_][^=]*=.")


def read(words: Sequence[str]) -> argparse.Namespace:
    """Return flags and overrides as Hydra will read them.

    Args:
        words: of the command line, without the program's name.
    Raises: SettingsError: with every word that is not a flag, and the problems in the overrides.
    """
    parser = get_args_parser()
    parser.error = functools.partial(_refuse, parser)  # type: ignore[method-assign]
    parser.allow_abbrev = False  # A shortened flag would be read here, and taken for an override elsewhere.
    parser.add_argument(AS_DATA, action="store_true")
    flags = _known(parser)
    try:
        options, rest = parser.parse_known_args([word for word in words if word != _VERSION])
        options.version = _VERSION in words  # Hydra's parser would tell its own, and leave.
    except SettingsError as refusal:
        rest = [word for word in words if word.startswith("-") and word.partition("=")[0] not in flags]
        if rest:
            raise SettingsError([_unknown(word, flags) for word in rest]) from refusal
        raise
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
    problems += [
        f"{show(word)} comes after --: write flags before it, or leave -- out"
        for word in options.overrides
        if word in flags
    ]
    if not options.multirun and not shows:
        problems += problems_of_one_run(options.overrides, "add -m")
    if options.package is not None and not options.cfg:
        problems.append(f"--package={show(options.package)} needs --cfg job, --cfg hydra or --cfg all")
    if problems:
        # The words of shell completion are no overrides.
        written = [] if options.shell_completion else [word for word in options.overrides if _OVERRIDE.match(word)]
        raise SettingsError([*problems, *find_problems(written, options.config_dir, multirun=True)])
    return options


def version() -> str:
    """Return what --version prints."""
    return f"mnist_exp {metadata.version('mnist_exp')} (Hydra {hydra.__version__})"


def wants_data(words: Sequence[str]) -> bool:
    """Tell whether a command line asks for a document, however it is written."""
    return any(word.partition("=")[0] == AS_DATA for word in words)


def without_data(words: Sequence[str]) -> list[str]:
    """Return a command line as Hydra knows it, without the flag of ours, however often it was given."""
    return [word for word in words if word != AS_DATA]


def problems_of_one_run(words: Sequence[str], fix: str) -> list[str]:
    """Return a sentence for each option of sweeps that was given for one run, which does not have it.

    Args:
        words: overrides, as far as they are right.
        fix: what makes it a sweep.
    """
    return [f"{show(word)} is for sweeps: {fix}, or leave it out" for word in words if _OF_SWEEPS.match(word)]


def problems_in_call(words: Sequence[str], called: str) -> list[str]:
    """Return a sentence for each flag of the command line that was given to a function.

    Args:
        words: overrides, as far as they are right.
        called: the function: `run` or `sweep`.
    """
    hints = {
        "-m": f"{'sweep() is -m already' if called == 'sweep' else 'run() is one run, sweep() is for several'}: ",
        AS_DATA: "what is returned has all of it: ",
        "--config-dir": "write config_dir=DIR behind the list: ",
    }
    hints |= {"--multirun": hints["-m"], "-cd": hints["--config-dir"]}
    names = [(word, word.partition("=")[0]) for word in words]
    flags = [*_known(get_args_parser()), AS_DATA]
    return [
        f"{show(word)} is a flag of the command line; {hints.get(name, '')}leave it out"
        for word, name in names
        if name in flags
    ]


def _known(parser: argparse.ArgumentParser) -> list[str]:
    # A parser tells of its options in no other way.
    return [flag for action in parser._actions for flag in action.option_strings]


def _refuse(parser: argparse.ArgumentParser, message: str) -> NoReturn:
    raise SettingsError(argument_parser.problems(parser, message))


def _unknown(word: str, flags: Sequence[str]) -> str:
    """Return the sentence for a word that looks like a flag but is not one."""
    name, _, value = word.lstrip("-").partition("=")
    offered = [flag for flag in flags if flag[2:].replace("-", "_") not in _UNSUPPORTED]
    flag = argument_parser.nearest_flag(word.partition("=")[0], offered) if word[1:2] == "-" else None
    if flag is not None:
        return f"{show(word)} does not exist: did you mean {flag}?"
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
