"""The default command: tables as printed by pmap, groups, JSON, CSV."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import get_args

from smapskit.cli.commands import COMMANDS
from smapskit.cli.common import (
    FAILURE,
    STATUSES_OF_PIDS,
    OperandReader,
    Parser,
    add_help,
    add_lenient,
    add_limit,
    operand,
    print_error,
)
from smapskit.cli.table_options import add_table_options, check_table_options, table_style
from smapskit.errors import SmapskitError, escape_unprintable
from smapskit.formats.pmap.dialects import LayoutName, chosen_layout
from smapskit.formats.pmap.rcfile import default_rc, parse_rc
from smapskit.formats.pmap.table import process_line
from smapskit.formats.pmap.write import format_pmaps, overlaps
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import GroupName
from smapskit.version import __version__
from smapskit.views.cells import TableStyle

_DEFAULT_RC = os.path.expanduser("~/.pmaprc")  # noqa: PTH111  it never raises
_MAX_RC_SIZE = 1 << 20
_MAX_ADDRESS = 2**64 - 1

_EXAMPLES = (
    ("smapskit PID", "the table of pmap -x"),
    ("smapskit --by kind -h PID", "whose memory it is: heap, stack, ..."),
    ("cat /proc/PID/smaps > before.txt", "save a capture"),
    ("smapskit -X before.txt", "most fields of a capture"),
    ("smapskit --json PID > before.json", "every field, for programs"),
)


def run(words: Sequence[str]) -> int:
    """Print the requested table or document for each process and capture."""
    parser = build_parser()
    options = parser.parse_args(words)
    if options.short_h and not options.by:
        parser.print_help()  # like pmap -h
        return 0
    options.human |= options.short_h
    is_table = bool(options.by) and not (options.json or options.csv)
    check_table_options(
        parser, options, is_table=is_table, of="--by, --all or diff, without --json and --csv"
    )
    try:
        if options.create_rc:
            return _create_rc(options.create_rc)
        layout: LayoutName | Collection[str] = chosen_layout(options.layouts or ())
        if options.rc:
            with Path(options.rc).open(encoding="utf-8", errors="surrogateescape") as file:
                text = file.read(_MAX_RC_SIZE)
            config = parse_rc(text, source=options.rc)
            layout = config.columns
            options.show_path ^= config.show_path
    except (SmapskitError, OSError) as error:
        if isinstance(error, FileNotFoundError) and options.rc:
            error.add_note("-n creates it" if options.rc == _DEFAULT_RC else "-N FILE creates one")
        print_error(error)
        return FAILURE
    if not options.operands:
        parser.error("expected a PID or the name of a CAPTURE, as in smapskit $(pidof NAME)")
    is_table = not (options.json or options.csv or options.by)
    reader = OperandReader(
        options.operands, names_denied=is_table, limit=options.limit, strict=not options.lenient
    )
    for text in _texts(options, layout, reader):
        sys.stdout.write(text)
    sys.stdout.flush()
    return reader.status


def _texts(
    options: argparse.Namespace, layout: LayoutName | Collection[str], reader: OperandReader
) -> Iterator[str]:
    """Yield the output, one text per process or one document."""
    range_, by = options.range, options.by
    snapshots = (_in_range(snapshot, range_) for snapshot in reader.snapshots("extended"))
    if options.json or options.csv:
        from smapskit.views import exports  # noqa: PLC0415  slow to import

        export = exports.to_json if options.json else exports.to_csv
        exported = list(snapshots)
        return iter([export(exported, [s.group_by(by) for s in exported] if by else None)])
    if by:
        style = table_style(options)
        return (_groups(snapshot, by, style) for snapshot in snapshots)
    return format_pmaps(
        reader.snapshots(layout),
        layout,
        show_path=options.show_path,
        quiet=options.quiet,
        range=range_,
    )


def _groups(snapshot: Snapshot, by: GroupName, style: TableStyle) -> str:
    from smapskit.views.tables import format_groups  # noqa: PLC0415

    first = ""
    if snapshot.pid is not None:
        first = style.name(process_line(snapshot.pid, snapshot.command), 0) + "\n"
    return first + format_groups(snapshot.group_by(by), snapshot.totals(), by, style)


def _in_range(snapshot: Snapshot, range_: tuple[int, int] | None) -> Snapshot:
    return snapshot.filter(lambda mapping: overlaps(mapping, range_))


def _create_rc(path: str) -> int:
    with Path(path).open("x") as file:
        file.write(default_rc())
    print(f"smapskit: wrote {escape_unprintable(path)}: remove the # before each column to print")
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the options."""
    parser = Parser(
        prog="smapskit",
        usage="smapskit [options] PID|CAPTURE ...\n"
        "       smapskit --all [options]\n"
        "       smapskit COMMAND [options] ...",
        description="Show the memory of processes, one row per mapping, like pmap: of live "
        "processes, or of saved captures of smaps, maps or pmap. Sizes are in kB (1,024 bytes). "
        "smapskit COMMAND --help describes a command.",
        commands=COMMANDS,
        examples=_EXAMPLES,
        statuses=STATUSES_OF_PIDS,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument(
        "operands",
        nargs="*",
        metavar="PID|CAPTURE",
        type=operand,
        help="a process, by number or as /proc/PID, or a saved text, which may be compressed; "
        "- is standard input",
    )
    layouts = parser.add_argument_group("layouts of pmap (the last one given is used)")

    def layout(*names: str, const: LayoutName, help: str) -> None:  # noqa: A002
        layouts.add_argument(*names, dest="layouts", action="append_const", const=const, help=help)

    layout("-x", "--extended", const="extended", help="size, RSS and dirty pages (the default)")
    layout("-X", const="X", help="most fields of the kernel; -XX: all of them")
    layout("-d", "--device", const="device", help="offset and device of the mapped files")
    layout("--short", const="short", help="size only, like pmap without options")
    layouts.add_argument(
        "-c",
        "--read-rc",
        dest="rc",
        action="store_const",
        const=_DEFAULT_RC,
        help="the columns listed in ~/.pmaprc",
    )
    layouts.add_argument(
        "-C", "--read-rc-from", dest="rc", metavar="FILE", help="the columns listed in FILE"
    )
    layouts.add_argument(
        "-n",
        "--create-rc",
        dest="create_rc",
        action="store_const",
        const=_DEFAULT_RC,
        help="create a ~/.pmaprc that lists all columns, commented out",
    )
    layouts.add_argument(
        "-N", "--create-rc-to", dest="create_rc", metavar="FILE", help="create such a FILE"
    )
    table = parser.add_argument_group("selection")
    table.add_argument(
        "--all",
        action="store_true",
        help="all processes of this machine, one row each; see --all --help",
    )
    table.add_argument("-q", "--quiet", action="store_true", help="no header and no footer")
    table.add_argument("-p", "--show-path", action="store_true", help="print whole paths")
    table.add_argument(
        "-A",
        "--range",
        type=_range,
        metavar="LOW[,HIGH]",
        help="only mappings that overlap these addresses (hex); LOW alone: the mapping "
        "that contains it",
    )
    other = parser.add_argument_group("other output")
    other.add_argument(
        "--by",
        choices=get_args(GroupName),
        help="one row per group of mappings, with sums in kB, the largest RSS first. backing: "
        "where the pages come from; kind: whose memory it is (heap, thread stack, code, ...)",
    )
    add_table_options(other, of="--by")
    formats = other.add_mutually_exclusive_group()
    formats.add_argument(
        "--json",
        action="store_true",
        help="one JSON document (with --by: groups); docs/schema.json describes it",
    )
    formats.add_argument(
        "--csv",
        action="store_true",
        help="CSV, one row per mapping (with --by: per group)",
    )
    add_limit(parser)
    add_lenient(parser)
    parser.add_argument(
        "--completion",
        choices=("bash", "zsh", "fish"),
        help="print a script for this shell that completes commands, options and operands",
    )
    parser.add_argument("-h", dest="short_h", action="store_true", help=argparse.SUPPRESS)
    add_help(parser, "; so does -h without --by")
    parser.add_argument("-V", "--version", action="version", version=f"smapskit {__version__}")
    return parser


def _range(text: str) -> tuple[int, int]:
    low, comma, high = text.partition(",")
    try:
        first = int(low, 16) if low else 0
        last = int(high, 16) if high else _MAX_ADDRESS if comma else first
    except ValueError:
        first = last = -1
    if not 0 <= first <= last <= _MAX_ADDRESS or not text:
        msg = f"expected hex addresses LOW[,HIGH], got {text!r:.60}"
        raise argparse.ArgumentTypeError(msg)
    return first, last
