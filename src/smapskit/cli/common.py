"""What every command shares: operands to snapshots, errors to lines and exit statuses."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import IO, NoReturn

from smapskit.errors import AccessDenied, ProcessNotFound, SmapskitError, shown
from smapskit.formats.pmap.dialects import LayoutName
from smapskit.formats.pmap.table import first_line
from smapskit.model.snapshot import Snapshot
from smapskit.sources import captures, process, procfs

FAILURE = 1
NOT_FOUND = 42
_LARGEST_PID = 2**31 - 1


class Parser(argparse.ArgumentParser):
    """argparse's, with pmap's exit status for a wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        self.print_usage(sys.stderr)
        self.exit(FAILURE, f"{self.prog}: {message}\n")


class Reader:
    """The operands' snapshots; what can't be read is told, and kept in the status."""

    def __init__(self, operands: Sequence[str]) -> None:
        self.operands = operands
        self.status = 0

    def snapshots(self, layout: LayoutName | Collection[str]) -> Iterator[Snapshot]:
        """Each that can be read, when it is asked for."""
        for operand in self.operands:
            try:
                yield from read_operand(operand, layout)
            except (SmapskitError, OSError) as error:
                self.status |= status_of(error)
                complain(error)


def read_operand(operand: str, layout: LayoutName | Collection[str]) -> list[Snapshot]:
    """The snapshots of one operand: a process, or what a capture holds."""
    pid = pid_of(operand)
    if pid is None:
        source: str | IO[bytes] = sys.stdin.buffer if operand == "-" else operand
        return captures.load_all(source)
    # The short and the device table need no counters, which cost the kernel a page walk.
    read = process.read_maps if layout in ("short", "device") else process.read
    try:
        return [read(pid)]
    except AccessDenied:
        # pmap names the process before it finds that it may not read it.
        with suppress(SmapskitError):
            sys.stdout.write(first_line(pid, procfs.read_command(pid)) + "\n")
        raise


def pid_of(operand: str) -> int | None:
    """The process that an operand names, by number or as /proc/PID; None for a capture."""
    word = operand.removeprefix("/proc/").rstrip("/")
    return int(word) if word.isascii() and word.isdigit() and int(word) <= _LARGEST_PID else None


def complain(error: Exception) -> None:
    """One line on standard error, which no terminal takes for a command."""
    if isinstance(error, OSError) and error.strerror is not None:
        name = f": {error.filename}" if error.filename else ""
        message = f"{error.strerror}{name}"
    else:
        message = str(error)
    print(f"smapskit: {shown(message)}", file=sys.stderr)


def status_of(error: Exception) -> int:
    """The exit status that an error ends with."""
    return NOT_FOUND if isinstance(error, ProcessNotFound) else FAILURE
