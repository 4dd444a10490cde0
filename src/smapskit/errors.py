"""
The exceptions of smapskit.

Each is also the built-in exception that a caller expects, so that code which does not know
smapskit can catch it: a `ParseError` is a `ValueError`, a `ProcessNotFound` a
`ProcessLookupError`.
"""

from __future__ import annotations

from typing import Any

_MAX_LINE = 80
"""Characters of a malformed line that a message quotes."""


class SmapskitError(Exception):
    """The base class of all exceptions of smapskit."""


class ParseError(SmapskitError, ValueError):
    """
    A text is not what was expected.

    Attributes:
        message: what was expected, and what the text has instead.
        source: the file or process that the text is from; None for a string.
        line_number: counted from 1; None where no single line is wrong.
        line: that line, without its line end.
    """

    def __init__(
        self,
        message: str,
        source: str | None = None,
        line_number: int | None = None,
        line: str | None = None,
    ) -> None:
        # All arguments are in args, so that the error can be pickled between processes.
        super().__init__(message, source, line_number, line)
        self.message = message
        self.source = source
        self.line_number = line_number
        self.line = line

    def __str__(self) -> str:
        place = [] if self.source is None else [escape_unprintable(self.source)]
        if self.line_number is not None:
            place.append(f"line {self.line_number}")
        message = escape_unprintable(self.message)
        text = f"{', '.join(place)}: {message}" if place else message
        if self.line is None:
            return text
        line = self.line if len(self.line) <= _MAX_LINE else self.line[:_MAX_LINE] + "..."
        return f"{text}: {line!r}"


class _SystemError(SmapskitError):
    """An exception that is also an OSError: error number and message, then the process."""

    def __init__(self, *args: Any, pid: int | None = None) -> None:
        super().__init__(*args)
        self.pid = pid
        """The process concerned; None where there is none."""


class ProcessNotFound(_SystemError, ProcessLookupError):
    """There is no process with this pid, or it ended while it was read."""


class AccessDenied(_SystemError, PermissionError):
    """The kernel does not allow this user to read the memory map of that process."""


class Unsupported(_SystemError, OSError):
    """This system or kernel does not provide what was requested."""


def escape_unprintable(text: str) -> str:
    """Return `text` with every character escaped that must not reach a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
