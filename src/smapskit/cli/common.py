"""What every command shares: operands to snapshots, errors to lines and exit statuses."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import IO, NoReturn

from smapskit import captures, process, procfs
from smapskit.errors import AccessDenied, ProcessNotFound, SmapskitError, shown
from smapskit.pmap.dialects import LayoutName
from smapskit.pmap.plain import first_line
from smapskit.snapshot import Snapshot

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

    def __init__(self, operands: Sequence[str], limit: int | None = None) -> None:
        self.operands = operands
        self.limit = limit
        self.status = 0

    def snapshots(self, layout: LayoutName | Collection[str]) -> Iterator[Snapshot]:
        """Each that can be read, when it is asked for."""
        for operand in self.operands:
            try:
                yield from read_operand(operand, layout, self.limit)
            except (SmapskitError, OSError) as error:
                self.status |= status_of(error)
                complain(error)
            except MemoryError:
                self.status |= FAILURE
                complain(SmapskitError(f"{operand}: not enough memory to read it"))


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
    try:
        return [read(pid)]
    except AccessDenied:
        # pmap names the process before it finds that it may not read it.
        with suppress(SmapskitError):
            sys.stdout.write(first_line(pid, procfs.read_command(pid)) + "\n")
        raise


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
