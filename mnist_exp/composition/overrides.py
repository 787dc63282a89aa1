"""One override of the command line: read as Hydra reads it, or explained, with what was probably meant."""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep

from mnist_exp.config.wording import show
from mnist_exp.errors import SettingsError, first_line

MOST_VALUES = 10_000  # of one sweep: each is composed and checked before the first one starts, 4 ms
_DEEPEST = 40  # nested brackets; Hydra's parser recurses for each
# What word processors, chat programs and web pages make of a command that is copied from them.
_PASTED = str.maketrans("–—−“”„‘’\u00a0", '---"""\'\' ')
_NAME = r"[+~]{0,2}[A-Za-z_][\w./@-]*"
_FUNCTIONS = "choice, range, interval, tag, glob, shuffle, sort, int, float, str and bool"
_WHILE = re.compile(r"^\w+ while evaluating '.*?': (.*)$", re.DOTALL)
# Any text is a value of these options, so one that cannot be read only needs quotes.
_TEXTS = (
    "path",
    "uri",
    "experiment",
    "run_name",
    "description",
    "local_dir",
    "name",
    "storage",
    "study",
    "dir",
    "mirrors",
)


def read(text: str, loader: ConfigLoader | None = None) -> Override:
    """Return an override as Hydra reads it.

    Args:
        text: `model.dropout=0.5`.
        loader: Hydra's, which knows what `glob` stands for.
    Raises: SettingsError: it cannot be read; the sentence says how it may have been meant.
    """
    try:
        override = _parse(text)
    except Exception as error:  # Odd values make Hydra's parser raise errors of Python's own functions.
        raise SettingsError(_unreadable(text, error)) from error
    if not override.key_or_group:
        raise SettingsError(_unreadable(text, ValueError()))
    override.config_loader = loader
    return override


def read_all(texts: Sequence[str], loader: ConfigLoader | None = None) -> tuple[list[Override], list[str]]:
    """Return the overrides that can be read, and a sentence for each of the others."""
    read_ones, problems = [], []
    for text in texts:
        try:
            read_ones.append(read(text, loader))
        except SettingsError as error:
            problems += error.problems
    return read_ones, problems


def values(override: Override) -> list[str]:
    """Return the values of a sweep as they are written; none for an empty range.

    Raises: SettingsError: there are more than a sweep can have, or they cannot be listed.
    """
    swept = override.value()
    if isinstance(swept, RangeSweep) and swept.step == 0:
        raise SettingsError(f"{show(override.input_line)} cannot be swept over: its step is zero")
    if isinstance(swept, RangeSweep) and _length(swept) > MOST_VALUES:
        raise SettingsError(too_many(override, _length(swept)))
    try:
        found = list(override.sweep_string_iterator())
    except Exception as error:  # As of a sweep within a sweep: Hydra's parser takes it, its iterator does not.
        raise SettingsError(f"{show(override.input_line)} cannot be swept over: {first_line(error)}") from error
    if len(found) > MOST_VALUES:
        raise SettingsError(too_many(override, len(found)))
    return found


def too_many(override: Override, count: float) -> str:
    """Return the sentence for a sweep over too many values."""
    number = f"{count:,.0f}" if math.isfinite(count) else "endlessly many"
    return (
        f"{show(override.input_line)} has {number} values: a sweep goes through {MOST_VALUES:,} at the most; give "
        "fewer, or an interval for a search, as int(interval(1,100000))"
    )


def first_value(override: Override) -> str:
    """Return the override as a text, or with its first value where it sweeps over several."""
    if not override.is_sweep_override():
        return override.input_line or ""
    if override.is_discrete_sweep():
        return f"{override.get_key_element()}={next(iter(values(override)), 'null')}"
    return f"{override.get_key_element()}={getattr(override.value(), 'start', 'null')}"


def _parse(text: str) -> Override:
    if _depth(text) > _DEEPEST:
        raise ValueError(f"it has more than {_DEEPEST} brackets in one another")
    return OverridesParser.create().parse_override(text)


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character in "[{(") - (character in "]})")
        deepest = max(deepest, depth)
    return deepest


def _length(swept: RangeSweep) -> float:
    start, stop, step = (float(end or 0) for end in (swept.start, swept.stop, swept.step))
    if not all(map(math.isfinite, (start, stop, step))):
        return math.inf
    return max(math.ceil((stop - start) / step), 0) if step else 0


def _unreadable(text: str, error: Exception) -> str:
    shown = show(text)
    if re.fullmatch(r"-{1,2}[a-z-]+", plain := text.translate(_PASTED)):
        if plain == text:
            return f"{shown} cannot be read: an option is written without dashes, as trainer.epochs=5"
        return f"{shown} cannot be read{_pasted(text)}: did you mean {plain}?"
    fixed = next((fixed for fixed in _repairs(text) if fixed != text and _is_readable(fixed)), None)
    if fixed is not None:
        return f"{shown} cannot be read{_pasted(text)}: did you mean {fixed}?"
    if not re.match(rf"{_NAME}\s*=", text):
        alone = "" if re.fullmatch(_NAME, text) else ", without blanks around the = or after a comma"
        return f"{shown} cannot be read{_pasted(text)}: the form is option=value{alone}"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    called = _WHILE.match(reason)
    if called and "Unknown function" in called[1]:
        return f"{shown} cannot be read: {called[1].lower()}: there are {_FUNCTIONS}"
    if called and "expecting" in called[1]:
        called = None
    if len(text) > 4000 and "digits" in reason:
        return f"{shown} cannot be read: it is a number of more than 4,300 digits"
    if called or not type(error).__module__.startswith("hydra"):
        return f"{shown} cannot be read: {called[1] if called else reason}"
    why = "a bracket or quote is not closed; " if _is_open(text) else ""
    return f"{shown} cannot be read{_pasted(text)}: {why}the form is option=value, and a list is written [a,b]"


def _repairs(text: str) -> Iterator[str]:
    """Yield what a text was probably meant to be, the likeliest first."""
    plain = text.translate(_PASTED).strip()
    plain = re.sub(rf"^-+(?={_NAME}\s*=)", "", plain)
    plain = re.sub(rf"^({_NAME})\s*:?=\s*", r"\1=", plain)
    if "=" not in plain:
        plain = re.sub(rf"^({_NAME}):\s*", r"\1=", plain)
    name, equals, value = plain.partition("=")
    if equals:
        yield plain
        yield f"{name}={re.sub(',+', ',', value).strip(',')}"
        if name.rpartition(".")[2] in _TEXTS and "'" not in value and not _is_open(value):
            yield f"\"{name}='{value}'\""


def _is_readable(fixed: str) -> bool:
    plain = fixed.strip('"') if fixed.startswith('"') else fixed
    try:
        return _parse(plain).value() is not None and plain.partition("=")[2] != ""
    except Exception:
        return False


def _pasted(text: str) -> str:
    """Return words for the first character that looks like another one, or like none."""
    for character in text:
        if ord(character) in _PASTED or not character.isprintable():
            return f" (it holds a {unicodedata.name(character, 'control character').lower()})"
    return ""


def _is_open(text: str) -> bool:
    pairs = (("[", "]"), ("{", "}"), ("(", ")"))
    return any(text.count(a) != text.count(b) for a, b in pairs) or any(text.count(quote) % 2 for quote in "'\"")
