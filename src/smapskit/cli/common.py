"""Shared by all commands: read operands, print errors, determine the exit status."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, NoReturn, TextIO, TypeVar

from smapskit.errors import AccessDenied, ProcessNotFound, SmapskitError, escape_unprintable
from smapskit.formats.pmap.dialects import LayoutName
from smapskit.formats.pmap.table import process_line
from smapskit.model.oom import OomReport
from smapskit.model.snapshot import Snapshot
from smapskit.sources import captures, process, procfs
from smapskit.text import parse_size

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

    from smapskit.sources.system import Progress

FAILURE = 1
NOT_FOUND = 42
Subject = TypeVar("Subject", bound=Snapshot | OomReport)
_MAX_PID = 2**31 - 1
_MAX_SECONDS = 10**9  # 31 years; the clock's functions end at 292


class Parser(argparse.ArgumentParser):
    """An argument parser with the exit status of pmap for a usage error."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit."""
        self.print_usage(sys.stderr)
        self.exit(FAILURE, f"{self.prog}: {escape_unprintable(message)}\n")

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        # The method of argparse ignores errors: help that was not printed would exit with status 0.
        if file is not None and file is sys.stdout:
            file.write(message)
        else:
            _write_error(message)


def operand(text: str) -> str:
    """Accept a PID or a CAPTURE; a number that cannot be a pid is a usage error."""
    if _number(text) is not None and pid_of(text) is None:
        raise argparse.ArgumentTypeError(
            f"expected a pid of at most {_MAX_PID}, got {_start(text)} (a file: ./NAME)"
        )
    return text


def seconds(text: str) -> float:
    """Accept a finite number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"expected a number of seconds above 0, got {_start(text)}"
        )
    return value


def _start(text: str) -> str:
    """Return the beginning of an argument, quoted."""
    return ascii(text if len(text) <= 20 else f"{text[:20]}...")  # noqa: PLR2004


class OperandReader:
    """
    Reads the operands of a command, prints errors and combines their exit statuses.

    Args:
        operands: processes and captures.
        names_denied: print the line with pid and command also of a process that may not be
            read, before the error, as pmap does.
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
        """Yield the snapshots of each operand that can be read."""
        return self.read(lambda word: read_operand(word, layout, self.limit))

    def read(self, read: Callable[[str], Sequence[Subject]]) -> Iterator[Subject]:
        """Yield what `read` returns for each operand that can be read."""
        for word in self.operands:
            try:
                subjects = read(word)
            except (SmapskitError, OSError) as error:
                self.status |= exit_status(error)
                if self.names_denied and isinstance(error, AccessDenied):
                    _name_process(word)
                print_error(error)
                continue
            except MemoryError:
                self.status |= FAILURE
                print_error(SmapskitError(f"{word}: not enough memory to read it"))
                continue
            for subject in subjects:
                for note in subject.notes:
                    print_message(f"{subject.source or word}: {note}")
                yield subject


def _name_process(word: str) -> None:
    pid = pid_of(word)
    if pid is not None:
        with suppress(SmapskitError):
            sys.stdout.write(process_line(pid, procfs.read_command(pid)) + "\n")


def read_operand(
    operand: str, layout: LayoutName | Collection[str], limit: int | None = None
) -> list[Snapshot]:
    """Return the snapshots of one operand: a process, or the processes of a capture."""
    pid = pid_of(operand)
    if pid is None:
        source: str | IO[bytes] = sys.stdin.buffer if operand == "-" else operand
        return captures.load_all(source, limit=limit)
    # The short and the device table need no counters, for which the kernel walks page tables.
    read = process.read_maps if layout in ("short", "device") else process.read
    return [read(pid)]


def add_limit(parser: argparse.ArgumentParser) -> None:
    """Add the option `--limit`."""
    parser.add_argument(
        "--limit",
        type=_bytes,
        metavar="BYTES",
        help="maximum size of the text of a capture, such as 512M or 2G (default: 256M if it is "
        "compressed, 4G if it is not)",
    )


def _bytes(text: str) -> int:
    try:
        size = parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if size == 0:
        raise argparse.ArgumentTypeError("expected a size like 512M, got 0")
    return size


def pid_of(operand: str) -> int | None:
    """Return the process that an operand names, by number or as /proc/PID; None for a capture."""
    digits = _number(operand)
    # The length first: int() rejects thousands of digits.
    if digits is None or len(digits) > len(str(_MAX_PID)) or int(digits) > _MAX_PID:
        return None
    return int(digits)


def _number(operand: str) -> str | None:
    """Return the digits of NUMBER or /proc/NUMBER, without leading zeros; None for others."""
    word = operand.removeprefix("/proc/").rstrip("/")
    return word.lstrip("0") or "0" if word.isascii() and word.isdigit() else None


def print_error(error: BaseException) -> None:
    """Print one line on standard error, without control characters."""
    if isinstance(error, OSError) and error.strerror is not None:
        name = f": {error.filename}" if error.filename else ""
        message = f"{error.strerror}{name}"
    else:
        message = str(error)
    print_message("; ".join([message, *getattr(error, "__notes__", ())]))


def print_message(message: str) -> None:
    """Print one line on standard error, if it can be written."""
    _write_error(f"smapskit: {escape_unprintable(message)}\n")


def _write_error(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Discard further output to a stream that failed, also when the interpreter exits."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def exit_status(error: Exception) -> int:
    """Return the exit status for an error."""
    return NOT_FOUND if isinstance(error, ProcessNotFound) else FAILURE


def unreadable_reasons(unreadable: Mapping[int, str]) -> Counter[str]:
    """Return the number of processes by the reason, without its pid, why they were not read."""
    return Counter(re.sub(rf"\b{pid}\b", "PID", reason) for pid, reason in unreadable.items())


@contextmanager
def show_progress() -> Iterator[Progress | None]:
    """Show progress on a terminal after a second."""
    try:
        from tqdm import tqdm  # noqa: PLC0415  an extra
    except ImportError:
        yield None
        return
    with tqdm(unit=" processes", delay=1, leave=False, disable=not sys.stderr.isatty()) as bar:

        def show(number: int, count: int) -> None:
            bar.total = count
            bar.update(number - bar.n)

        yield show
