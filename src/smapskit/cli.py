"""
The command line: arguments in, tables out, errors to exit statuses.

It loads what the options ask for and nothing else: neither pandas nor NumPy for a table.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO, NoReturn

from smapskit import captures, process
from smapskit.aggregate import GroupName, diff
from smapskit.errors import AccessDenied, ProcessNotFound, SmapskitError, shown
from smapskit.pmap.dialects import LayoutName
from smapskit.pmap.rcfile import default_rc, parse_rc
from smapskit.pmap.write import first_line, format_pmaps
from smapskit.snapshot import Snapshot
from smapskit.version import __version__

FAILURE = 1
NOT_FOUND = 42
_DEFAULT_RC = os.path.expanduser("~/.pmaprc")  # noqa: PTH111  it never raises
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
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["diff"]:
        return _diff(words[1:])
    parser = _parser()
    options = parser.parse_args(words)
    try:
        if options.create_rc:
            return _create_rc(options.create_rc)
        layout: LayoutName | Collection[str] = _layout(options.layouts)
        if options.rc:
            choice = parse_rc(Path(options.rc).read_text(), source=options.rc)
            layout = choice.columns
            options.show_path ^= choice.show_path
    except (SmapskitError, OSError) as error:
        _complain(error)
        return FAILURE
    if not options.operands:
        parser.error("expected a PID or the name of a CAPTURE")
    reader = _Reader(options.operands)
    for text in _texts(options, layout, reader):
        sys.stdout.write(text)
    sys.stdout.flush()
    return reader.status


def _texts(
    options: argparse.Namespace, layout: LayoutName | Collection[str], reader: _Reader
) -> Iterator[str]:
    """What to print, a piece as soon as it is known."""
    range_ = options.range
    if options.json:
        from smapskit import exports  # noqa: PLC0415  for who asks for it

        shown = [_in_range(snapshot, range_) for snapshot in reader.snapshots("extended")]
        by = options.by
        return iter([exports.to_json(shown, [s.group_by(by) for s in shown] if by else None)])
    if options.csv:
        from smapskit import exports  # noqa: PLC0415

        shown = [_in_range(snapshot, range_) for snapshot in reader.snapshots("extended")]
        return iter([exports.to_csv(shown)])
    if options.by:
        return (
            _groups(_in_range(snapshot, range_), options.by)
            for snapshot in reader.snapshots("extended")
        )
    return format_pmaps(
        reader.snapshots(layout),
        layout,
        show_path=options.show_path,
        quiet=options.quiet,
        range=range_,
    )


def _groups(snapshot: Snapshot, by: GroupName) -> str:
    from smapskit.tables import format_groups  # noqa: PLC0415

    first = "" if snapshot.pid is None else first_line(snapshot.pid, snapshot.command) + "\n"
    return first + format_groups(snapshot.group_by(by), snapshot.totals(), by)


def _in_range(snapshot: Snapshot, range_: tuple[int, int] | None) -> Snapshot:
    if range_ is None:
        return snapshot
    low, high = range_
    return snapshot.filter(lambda mapping: mapping.end > low and mapping.start <= high)


class _Reader:
    """The operands' snapshots; what can't be read is told, and kept in the status."""

    def __init__(self, operands: Sequence[str]) -> None:
        self.operands = operands
        self.status = 0

    def snapshots(self, layout: LayoutName | Collection[str]) -> Iterator[Snapshot]:
        for operand in self.operands:
            try:
                yield from _snapshots(operand, layout)
            except (SmapskitError, OSError) as error:
                self.status |= NOT_FOUND if isinstance(error, ProcessNotFound) else FAILURE
                _complain(error)


def _diff(words: Sequence[str]) -> int:
    from smapskit.tables import format_difference  # noqa: PLC0415

    parser = _Parser(
        prog="smapskit diff",
        usage="python -m smapskit diff BEFORE AFTER",
        description="Show what became of each mapping between two captures, or a capture and a "
        "process: what was added, removed, grown, shrunk, split, merged or changed, and the "
        "change of each figure in kB, the largest first.",
    )
    parser.add_argument("before", metavar="BEFORE", help="a PID or a CAPTURE; - is standard input")
    parser.add_argument("after", metavar="AFTER", help="the same")
    options = parser.parse_args(words)
    reader = _Reader([options.before, options.after])
    snapshots = list(reader.snapshots("extended"))
    if reader.status:
        return reader.status
    if len(snapshots) != 2:  # noqa: PLR2004  a before and an after
        _complain(SmapskitError("expected one process in each capture"))
        return FAILURE
    sys.stdout.write(format_difference(diff(*snapshots)))
    return 0


def _layout(chosen: list[LayoutName] | None) -> LayoutName:
    """The last one that was asked for; -X twice, in whatever place, is -XX."""
    if not chosen:
        return "extended"
    return "XX" if chosen[-1] == "X" and chosen.count("X") > 1 else chosen[-1]


def _create_rc(path: str) -> int:
    with Path(path).open("x") as file:
        file.write(default_rc())
    print(f"smapskit: wrote {shown(path)}: take the # away before each column to show")
    return 0


def _snapshots(operand: str, layout: LayoutName | Collection[str]) -> list[Snapshot]:
    pid = _pid(operand)
    if pid is None:
        source: str | IO[bytes] = sys.stdin.buffer if operand == "-" else operand
        return captures.load_all(source)
    # The short and the device table need no counters, which cost the kernel a page walk.
    read = process.read_maps if layout in ("short", "device") else process.read
    try:
        return [read(pid)]
    except AccessDenied:
        # pmap names the process before it finds that it may not read it.
        sys.stdout.write(first_line(pid, process.read_command(pid)) + "\n")
        raise


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
        usage="python -m smapskit [options] PID|CAPTURE ...\n"
        "       python -m smapskit diff BEFORE AFTER",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "operands",
        nargs="*",
        metavar="PID|CAPTURE",
        help="a process, by number or as /proc/PID, or a saved text, compressed or not; "
        "- is standard input",
    )
    layouts = parser.add_argument_group("layouts, as pmap has them; the last one counts")

    def layout(*names: str, const: LayoutName, help: str) -> None:  # noqa: A002
        layouts.add_argument(*names, dest="layouts", action="append_const", const=const, help=help)

    layout("-x", "--extended", const="extended", help="size, RSS and dirty pages (the default)")
    layout("-X", const="X", help="more: the kernel's fields; -XX: all of them")
    layout("-d", "--device", const="device", help="offset and device of the mapped files")
    layout("--short", const="short", help="size alone, as pmap without options")
    layouts.add_argument(
        "-c",
        "--read-rc",
        dest="rc",
        action="store_const",
        const=_DEFAULT_RC,
        help="the columns that ~/.pmaprc names",
    )
    layouts.add_argument(
        "-C", "--read-rc-from", dest="rc", metavar="FILE", help="the columns that FILE names"
    )
    layouts.add_argument(
        "-n",
        "--create-rc",
        dest="create_rc",
        action="store_const",
        const=_DEFAULT_RC,
        help="write a ~/.pmaprc to begin with",
    )
    layouts.add_argument(
        "-N", "--create-rc-to", dest="create_rc", metavar="FILE", help="write one to FILE"
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
    machines = parser.add_argument_group("instead of pmap's tables")
    machines.add_argument(
        "--by",
        choices=("backing", "sharing", "perms", "pathname"),
        help="a row a group of mappings, with sums, the largest RSS first",
    )
    machines.add_argument(
        "--json",
        action="store_true",
        help="one JSON document (with --by: groups); docs/schema.json",
    )
    machines.add_argument("--csv", action="store_true", help="a row a mapping, for a spreadsheet")
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
