"""The option `--all`: all processes of this machine, one row per process or per group."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import get_args

from smapskit.cli.common import (
    FAILURE,
    Parser,
    print_error,
    print_message,
    show_progress,
    unreadable_reasons,
)
from smapskit.errors import SmapskitError
from smapskit.model.totals import GroupName
from smapskit.sources.system import SystemUsage, read_system
from smapskit.views import exports
from smapskit.views.columns import OF_PROCESSES
from smapskit.views.tables import format_processes, format_system_groups


def run(words: Sequence[str]) -> int:
    """Print the table."""
    options = build_parser().parse_args(words)
    try:
        with show_progress() as progress:
            usage = read_system(options.by, progress=progress)
    except (SmapskitError, OSError) as error:
        print_error(error)
        return FAILURE
    processes = ((each.pid, each.usage, each.command) for each in usage.processes)
    groups = {key: (group.processes, group.totals) for key, group in usage.groups.items()}
    if options.json or options.csv:
        rows = _rows(usage, options.by, options.sort)
        write = exports.system_to_json if options.json else exports.system_to_csv
        sys.stdout.write(write(rows, usage.unreadable, options.by))
    elif options.by:
        sys.stdout.write(format_system_groups(groups, options.by, options.sort))
    else:
        sys.stdout.write(format_processes(processes, options.sort))
    sys.stdout.flush()
    for reason, count in unreadable_reasons(usage.unreadable).items():
        print_message(f"{count} more could not be read ({reason})")
    return 0


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
        usage="python -m smapskit --all [--by GROUP] [--sort VALUE] [--json | --csv]",
        description="Show the memory of each process of this machine in kB: PSS (shared memory "
        "divided by the number of processes that share it), USS (memory that no other process "
        "maps), RSS and swap. With --by: the memory of each group over all processes, such as "
        "of each library; shared pages count once, by PSS.",
    )
    parser.add_argument("--all", action="store_true", help="all processes that this user may read")
    parser.add_argument(
        "--by",
        choices=get_args(GroupName),
        help="one row per group. backing: "
        "where the pages come from; kind: whose memory it is (heap, thread stack, code, ...)",
    )
    parser.add_argument(
        "--sort",
        choices=OF_PROCESSES,
        default="pss",
        help="value to sort by, largest first (default: pss)",
    )
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument(
        "--json", action="store_true", help="one JSON document; docs/schema-system.json"
    )
    formats.add_argument("--csv", action="store_true", help="for a spreadsheet")
    return parser
