"""
The command line: arguments in, tables out, errors to exit statuses.

It loads what the options ask for and nothing else: neither pandas nor NumPy for a table.
"""

from __future__ import annotations

import argparse
import io
import signal
import sys
from collections.abc import Iterator, Sequence
from typing import IO, NoReturn

from smapskit import captures, process
from smapskit.errors import ProcessNotFound, SmapskitError, shown
from smapskit.pmap.write import format_pmaps
from smapskit.snapshot import Snapshot
from smapskit.version import __version__

FAILURE = 1
NOT_FOUND = 42
_LARGEST_PID = 2**31 - 1
_LARGEST_ADDRESS = 2**64 - 1

_DESCRIPTION = """\
Show what the memory of processes is made of, mapping by mapping, as pmap does; from live
processes or from saved captures of smaps, maps or pmap.
"""
_EPILOG = """\
exit status: 0; 1 for a wrong usage or what could not be read; 42 where a process is missing.
"""


def run() -> None:
    """Run as a program: a closed pipe ends it quietly, as it does pmap."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Do what the arguments ask for (those of the program where None), and print it.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    layout = options.layout or ("", "X", "XX")[min(options.details or 0, 2)] or "extended"
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    status = 0

    def snapshots() -> Iterator[Snapshot]:
        nonlocal status
        for operand in options.operands:
            try:
                yield from _snapshots(operand, layout)
            except ProcessNotFound as error:
                status |= NOT_FOUND
                _complain(error)
            except (SmapskitError, OSError) as error:
                status |= FAILURE
                _complain(error)

    tables = format_pmaps(
        snapshots(),
        layout,
        show_path=options.show_path,
        quiet=options.quiet,
        range=options.range,
    )
    for table in tables:
        sys.stdout.write(table)
    sys.stdout.flush()
    return status


def _snapshots(operand: str, layout: str) -> list[Snapshot]:
    pid = _pid(operand)
    if pid is not None:
        # The short and the device table need no counters, which cost the kernel a page walk.
        only_maps = layout in ("short", "device")
        return [process.read_maps(pid) if only_maps else process.read(pid)]
    source: str | IO[bytes] = sys.stdin.buffer if operand == "-" else operand
    return captures.load_all(source)


def _pid(operand: str) -> int | None:
    """The process that an operand names, by number or as /proc/PID; None for a capture."""
    word = operand.removeprefix("/proc/").rstrip("/")
    return int(word) if word.isascii() and word.isdigit() and int(word) <= _LARGEST_PID else None


def _complain(error: Exception) -> None:
    if isinstance(error, OSError) and error.strerror is not None:
        name = f": {error.filename}" if error.filename else ""
        message = f"{error.strerror}{name}"
    else:
        message = str(error)
    print(f"smapskit: {shown(message)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """argparse's, with pmap's exit status for a wrong usage."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(FAILURE, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="smapskit",
        usage="python -m smapskit [options] PID|CAPTURE ...",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "operands",
        nargs="+",
        metavar="PID|CAPTURE",
        help="a process, by number or as /proc/PID, or a saved text, compressed or not; "
        "- is standard input",
    )
    layouts = parser.add_argument_group("layouts, as pmap has them")
    layout = layouts.add_mutually_exclusive_group()
    layout.add_argument(
        "-x",
        "--extended",
        dest="layout",
        action="store_const",
        const="extended",
        help="size, RSS and dirty pages (the default)",
    )
    layout.add_argument(
        "-X", dest="details", action="count", help="more: the kernel's fields; -XX: all of them"
    )
    layout.add_argument(
        "-d",
        "--device",
        dest="layout",
        action="store_const",
        const="device",
        help="offset and device of the mapped files",
    )
    layout.add_argument(
        "--short",
        dest="layout",
        action="store_const",
        const="short",
        help="size alone, as pmap without options",
    )
    table = parser.add_argument_group("what is shown")
    table.add_argument("-q", "--quiet", action="store_true", help="no header and no footer")
    table.add_argument("-p", "--show-path", action="store_true", help="whole paths")
    table.add_argument(
        "-A",
        "--range",
        type=_range,
        metavar="LOW[,HIGH]",
        help="only mappings that overlap these addresses (hex); LOW alone: the one that holds it",
    )
    parser.add_argument("-V", "--version", action="version", version=f"smapskit {__version__}")
    return parser


def _range(text: str) -> tuple[int, int]:
    low, comma, high = text.partition(",")
    try:
        first = int(low, 16) if low else 0
        last = int(high, 16) if high else _LARGEST_ADDRESS if comma else first
    except ValueError:
        first = last = -1
    if not 0 <= first <= last or not text:
        msg = f"expected hex addresses LOW[,HIGH], got {text!a}"
        raise argparse.ArgumentTypeError(msg)
    return first, last
