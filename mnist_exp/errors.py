"""What a user can cause; everything else is a bug and shows its traceback."""

from collections.abc import Sequence


class MnistExpError(Exception):
    """Base class of all errors that this package raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows instead of a traceback: IPython asks for it by this name."""
        return [f"{type(self).__name__}: {self}"]


class SettingsError(MnistExpError):
    """One or more problems in a configuration, a command line or the data that they name.

    Args:
        problems: one sentence each, with the option, its value and what is allowed.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [_in_one_line(p) for p in ([problems] if isinstance(problems, str) else problems)]
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["SettingsError"], tuple[list[str]]]:
        return type(self), (self.problems,)


class DataError(SettingsError):
    """The data set is missing, damaged or not usable for training a classifier."""


class TrackingError(SettingsError):
    """The tracking store cannot be reached or written to."""


class StoreAwayError(TrackingError):
    """The tracking store does not answer now; it may do so later."""


class BusyError(SettingsError):
    """Another process is using what was asked for; nothing is wrong with the configuration."""


class GoneError(SettingsError):
    """What the command line names was deleted elsewhere; nothing is wrong with the command line."""


class TrainingError(MnistExpError):
    """The training cannot give a result, as when the loss is NaN."""


class RunError(MnistExpError):
    """A run failed, or some runs of a sweep did; the message says why, with a traceback where it is a bug."""


def first_line(error: BaseException) -> str:
    """Return an error as one line: the message of a `MnistExpError`, type and message of any other exception."""
    text = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, MnistExpError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def printable(text: str) -> str:
    """Return a text with invisible and control characters as escapes; accents and other scripts stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 run`, `2 runs`, `1,000 runs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _in_one_line(text: str) -> str:
    """Return a sentence without line breaks, with invisible and control characters as escapes."""
    line = " ".join(filter(None, (part.strip("\r\n ") for part in text.splitlines())))
    return printable(line) or "an error without a message"
