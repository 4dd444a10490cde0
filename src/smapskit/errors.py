"""What can go wrong, by name.

Each error is also the built-in that a caller would expect, so that code which knows
nothing of smapskit can catch it: a `ParseError` is a `ValueError`, a `ProcessNotFound` a
`ProcessLookupError`.
"""

from __future__ import annotations

_SHOWN = 80  # of an offending line: enough to recognise it, short enough for a terminal


class SmapskitError(Exception):
    """The base of every error that smapskit raises on purpose."""


class ParseError(SmapskitError, ValueError):
    """
    A text is not what it should be.

    Attributes:
        message: what was expected, and what stands there instead.
        source: the file or process the text is from; None where it came as a string.
        line_number: counted from 1; None where no single line is to blame.
        line: that line, without its line end.
    """

    def __init__(
        self,
        message: str,
        source: str | None = None,
        line_number: int | None = None,
        line: str | None = None,
    ) -> None:
        # All of it stands in args, so that the error survives pickling between processes.
        super().__init__(message, source, line_number, line)
        self.message = message
        self.source = source
        self.line_number = line_number
        self.line = line

    def __str__(self) -> str:
        place = [] if self.source is None else [shown(self.source)]
        if self.line_number is not None:
            place.append(f"line {self.line_number}")
        message = shown(self.message)
        text = f"{', '.join(place)}: {message}" if place else message
        if self.line is None:
            return text
        cut = self.line if len(self.line) <= _SHOWN else self.line[:_SHOWN] + "..."
        return f"{text}: {cut!a}"


class ProcessNotFound(SmapskitError, ProcessLookupError):
    """There is no process of this pid, or it ended while it was read."""


class AccessDenied(SmapskitError, PermissionError):
    """The kernel does not let this user read that process's memory map."""


class Unsupported(SmapskitError, OSError):
    """This system or this kernel does not have what was asked for."""


def shown(text: str) -> str:
    """`text` with everything escaped that a terminal could take as a command."""
    return text if text.isprintable() else ascii(text)[1:-1]
