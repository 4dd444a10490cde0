"""The option `--all`: all processes of this machine, one row per process or per group."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import get_args

from smapskit.cli.common import (
    FAILURE,
    STATUSES,
    Parser,
    add_help,
    print_error,
    print_unreadable,
    show_progress,
)
from smapskit.cli.table_options import add_table_options, check_table_options, table_style
from smapskit.errors import SmapskitError
from smapskit.model.family import FamilyKey
from smapskit.model.totals import GroupName
from smapskit.sources.families import read_families
from smapskit.sources.system import SystemUsage, read_system
from smapskit.views import exports
from smapskit.views.columns import OF_PROCESSES
from smapskit.views.tables import format_families, format_processes, format_system_groups

_EXAMPLES = (
    ("smapskit --all --top 10", "the processes with the largest PSS"),
    ("smapskit --all --by kind -h", "heaps, stacks, code, ... of all of them"),
    ("smapskit --all --by pathname --top 20", "each library, over all processes"),
    ("smapskit --all --by-process command", "one row per program"),
    ("smapskit --all --csv > all.csv", "for a spreadsheet"),
)


def run(words: Sequence[str]) -> int:
    """Print the table."""
    parser = build_parser()
    options = parser.parse_args(words)
    is_table = not (options.json or options.csv)
    check_table_options(parser, options, is_table=is_table, of="a table: not --json, not --csv")
    if options.by_process and options.sort != "pss":
        parser.error("--sort is not possible with --by-process: families are sorted by PSS")
    try:
        text, unreadable = _families(options) if options.by_process else _usage(options)
    except (SmapskitError, OSError) as error:
        print_error(error)
        return FAILURE
    sys.stdout.write(text)
    sys.stdout.flush()
    print_unreadable(unreadable)
    return 0


def _families(options: argparse.Namespace) -> tuple[str, dict[int, str]]:
    """Return what to print, and why some processes could not be read."""
    with show_progress() as progress:
        families = read_families(options.by_process, progress=progress)
    if options.json:
        return exports.families_to_json(families), families.unreadable
    if options.csv:
        return exports.families_to_csv(families), families.unreadable
    return format_families(families, table_style(options)), families.unreadable


def _usage(options: argparse.Namespace) -> tuple[str, dict[int, str]]:
    """Return what to print, and why some processes could not be read."""
    with show_progress() as progress:
        usage = read_system(options.by, progress=progress)
    if options.json or options.csv:
        write = exports.system_to_json if options.json else exports.system_to_csv
        rows = _rows(usage, options.by, options.sort)
        return write(rows, usage.unreadable, options.by), usage.unreadable
    style = table_style(options)
    if options.by:
        groups = {key: (group.processes, group.totals) for key, group in usage.groups.items()}
        return format_system_groups(groups, options.by, options.sort, style), usage.unreadable
    processes = ((each.pid, each.usage, each.command) for each in usage.processes)
    return format_processes(processes, options.sort, style), usage.unreadable


def _rows(usage: SystemUsage, by: str | None, sort: str) -> list[exports.SystemRow]:
    rows: list[exports.SystemRow]
    if by is None:
        rows = [((each.pid, each.command), each.usage) for each in usage.processes]
    else:
        rows = [((key, group.processes), group.totals) for key, group in usage.groups.items()]
    return sorted(rows, key=lambda row: getattr(row[1], sort) or 0, reverse=True)


def build_parser() -> Parser:
    """Build the parser of the options."""
    parser = Parser(
        prog="smapskit --all",
        usage="smapskit --all [--by GROUP | --by-process KEY] [options]",
        examples=_EXAMPLES,
        statuses=STATUSES,
        add_help=False,
        description="Show the memory of each process of this machine in kB: PSS (shared memory "
        "divided by the number of processes that share it), USS (memory that no other process "
        "maps), RSS and swap. With --by: the memory of each group over all processes, such as "
        "of each library; shared pages count once, by PSS.",
    )
    parser.add_argument("--all", action="store_true", help="all processes that this user may read")
    groups = parser.add_mutually_exclusive_group()
    groups.add_argument(
        "--by",
        choices=get_args(GroupName),
        help="one row per group. backing: "
        "where the pages come from; kind: whose memory it is (heap, thread stack, code, ...)",
    )
    groups.add_argument(
        "--by-process",
        choices=get_args(FamilyKey),
        help="one row per family: all processes with this command, user, systemd unit or "
        "container, or a process with its descendants; with what they share, what each has of "
        "its own, and what one more would cost",
    )
    parser.add_argument(
        "--sort",
        choices=OF_PROCESSES,
        default="pss",
        help="value to sort by, largest first (default: pss)",
    )
    add_table_options(parser, "-h")
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument(
        "--json",
        action="store_true",
        help="one JSON document; docs/schema-system.json describes it, and "
        "docs/schema-families.json that of --by-process",
    )
    formats.add_argument(
        "--csv", action="store_true", help="CSV, one row per process, group or family"
    )
    add_help(parser)
    return parser
