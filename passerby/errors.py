"""Every error that passerby raises on purpose, each with the exit code of the command line.

An error's text is one line: what is wrong, where (file, object, field), and the cure. Anything else that
escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable


class PasserbyError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1


class SettingError(PasserbyError):
    """A name or a value that the user set is unknown or out of range."""

    exit_code = 2


class SourceError(PasserbyError):
    """A picture, folder or video that cannot be read."""

    exit_code = 3


class DataError(PasserbyError):
    """A data set whose labels or lists cannot be used."""

    exit_code = 4


class ModelError(PasserbyError):
    """A model file, checkpoint or weights file that is not what it should be."""

    exit_code = 5


class OutputError(PasserbyError):
    """A target that cannot be written."""

    exit_code = 6


class MissingExtraError(PasserbyError):
    """A feature whose optional packages are not installed."""

    exit_code = 7

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"this needs {package}, which is not installed: pip install 'passerby[{extra}]'")


class TrainingError(PasserbyError):
    """Training cannot go on, for example because the loss is not a number."""

    exit_code = 8


class ParityError(PasserbyError):
    """An exported file answers differently from the network it was made from."""

    exit_code = 9


class StaleError(PasserbyError):
    """A live source that gave no more frames when the run ended."""

    exit_code = 11


class BusyError(PasserbyError):
    """More work than the machine can do in time; `retry` says when to try again.

    retry  seconds
    """

    exit_code = 12

    def __init__(self, text: str, retry: float = 1.0) -> None:
        super().__init__(text)
        self.retry = retry


class ShapeError(PasserbyError, ValueError):
    """Arrays whose shapes do not fit together."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The tail of an error about an unknown name: the nearest known name, or all of them.

    name     what was given
    returns  " (did you mean 'x'?)" or " (known: a, b, c)"
    """
    import difflib  # 5 ms, and only errors need it

    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f" (did you mean '{near[0]}'?)"
    return f" (known: {', '.join(names)})" if names else ""
