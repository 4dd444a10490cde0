"""What every command shares: operands to snapshots, errors to lines and exit statuses."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, NoReturn, TextIO

from smapskit import captures, process, procfs
from smapskit.errors import AccessDenied, ProcessNotFound, SmapskitError, shown
from smapskit.pmap.dialects import LayoutName
from smapskit.pmap.plain import first_line
from smapskit.snapshot import Snapshot

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

FAILURE = 1
NOT_FOUND = 42
_LARGEST_PID = 2**31 - 1
_MOST_SECONDS = 10**9  # 31 years; the clock's functions end at 292


class Parser(argparse.ArgumentParser):
    """argparse's, with pmap's exit status for a wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        self.print_usage(sys.stderr)
        self.exit(FAILURE, f"{self.prog}: {shown(message)}\n")

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # argparse's own ignores errors: a help that was not printed would end with status 0.
        if file is not None and file is sys.stdout:
            file.write(message)
        else:
            _print_error(message)


def operand(text: str) -> str:
    """Accept a PID or a CAPTURE; a number that can be no pid is a wrong usage."""
    if _number(text) is not None and pid_of(text) is None:
        raise argparse.ArgumentTypeError(
            f"expected a pid of at most {_LARGEST_PID}, got {_start(text)} (a file: ./NAME)"
        )
    return text


def seconds(text: str) -> float:
    """Accept a finite number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(
            f"expected a number of seconds above 0, got {_start(text)}"
        )
    return value


def _start(text: str) -> str:
    return ascii(text if len(text) <= 20 else f"{text[:20]}...")  # noqa: PLR2004


class Reader:
    """
    The operands' snapshots; what can't be read is told, and kept in the status.

    Args:
        operands: processes and captures.
        names_denied: print the line that names a process before finding that it may not be
            read, as pmap does; only for pmap's own tables.
        limit: as in `smapskit.load`.
    """

    def __init__(
        self, operands: Sequence[str], *, names_denied: bool = False, limit: int | None = None
    ) -> None:
        self.operands = operands
        self.names_denied = names_denied
        self.limit = limit
        self.status = 0

    def snapshots(self, layout: LayoutName | Collection[str]) -> Iterator[Snapshot]:
        """Each that can be read, when it is asked for."""
        for word in self.operands:
            try:
                snapshots = read_operand(word, layout, self.limit)
            except (SmapskitError, OSError) as error:
                self.status |= status_of(error)
                if self.names_denied and isinstance(error, AccessDenied):
                    _name_process(word)
                complain(error)
                continue
            except MemoryError:
                self.status |= FAILURE
                complain(SmapskitError(f"{word}: not enough memory to read it"))
                continue
            for snapshot in snapshots:
                for note in snapshot.notes:
                    print_line(f"{snapshot.source or word}: {note}")
                yield snapshot


def _name_process(word: str) -> None:
    pid = pid_of(word)
    if pid is not None:
        with suppress(SmapskitError):
            sys.stdout.write(first_line(pid, procfs.read_command(pid)) + "\n")


def read_operand(
    operand: str, layout: LayoutName | Collection[str], limit: int | None = None
) -> list[Snapshot]:
    """The snapshots of one operand: a process, or what a capture holds."""
    pid = pid_of(operand)
    if pid is None:
        source: str | IO[bytes] = sys.stdin.buffer if operand == "-" else operand
        return captures.load_all(source, limit=limit)
    # The short and the device table need no counters, which cost the kernel a page walk.
    read = process.read_maps if layout in ("short", "device") else process.read
    return [read(pid)]


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Add the option `--limit`."""
    parser.add_argument(
        "--limit",
        type=_bytes,
        metavar="BYTES",
        help="how long the text of a capture may be, such as 512M or 2G (default: 256M where "
        "it is compressed, 4G where it is not)",
    )


def _bytes(text: str) -> int:
    size = re.fullmatch(r"([0-9]{1,15})([kKMGT]?)", text)
    if size is None or int(size[1]) == 0:
        msg = f"expected a number of bytes like 512M, got {text[:40]!a}"
        raise argparse.ArgumentTypeError(msg)
    return int(size[1]) << 10 * "_KMGT".index(size[2].upper() or "_")


def pid_of(operand: str) -> int | None:
    """The process that an operand names, by number or as /proc/PID; None for a capture."""
    digits = _number(operand)
    # By its length first: int() refuses thousands of digits.
    if digits is None or len(digits) > len(str(_LARGEST_PID)) or int(digits) > _LARGEST_PID:
        return None
    return int(digits)


def _number(operand: str) -> str | None:
    """The digits of an operand that is a number or /proc/NUMBER, without leading zeros."""
    word = operand.removeprefix("/proc/").rstrip("/")
    return word.lstrip("0") or "0" if word.isascii() and word.isdigit() else None


def complain(error: BaseException) -> None:
    """One line on standard error, which no terminal takes for a command."""
    if isinstance(error, OSError) and error.strerror is not None:
        name = f": {error.filename}" if error.filename else ""
        message = f"{error.strerror}{name}"
    else:
        message = str(error)
    print_line("; ".join([message, *getattr(error, "__notes__", ())]))


def print_line(message: str) -> None:
    """Print one line on standard error, if that can be written."""
    _print_error(f"smapskit: {shown(message)}\n")


def _print_error(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Discard what is written to a stream that failed, also when the interpreter ends."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def status_of(error: Exception) -> int:
    """The exit status that an error ends with."""
    return NOT_FOUND if isinstance(error, ProcessNotFound) else FAILURE
