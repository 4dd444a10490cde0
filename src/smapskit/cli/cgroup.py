"""The command `cgroup`: who uses the memory limit of a cgroup."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from smapskit.cli.common import (
    FAILURE,
    STATUSES_OF_PIDS,
    Parser,
    add_help,
    exit_status,
    operand,
    pid_of,
    print_error,
    print_message,
    show_progress,
    unreadable_reasons,
)
from smapskit.cli.table_options import (
    add_table_options,
    check_table_options,
    help_if_alone,
    table_style,
)
from smapskit.errors import SmapskitError
from smapskit.model.cgroup import CgroupUsage
from smapskit.sources.cgroup import read_cgroup, read_cgroups
from smapskit.sources.system import SystemUsage, read_system
from smapskit.views.cells import TableStyle
from smapskit.views.cgroup import (
    cgroups_to_json,
    charges_to_json,
    format_cgroup,
    format_cgroups,
    format_charges,
)
from smapskit.views.tables import format_processes, format_system_groups

_EXAMPLES = (
    ("smapskit cgroup PID", "the group of a process"),
    ("smapskit cgroup --no-processes -h PID", "without its processes, at no cost"),
    ("smapskit cgroup /sys/fs/cgroup", "in a container: the container"),
    ("smapskit cgroup --all", "one row for each group"),
)


def run(words: Sequence[str]) -> int:
    """Print the table."""
    parser = build_parser()
    options = parser.parse_args(help_if_alone(words))
    check_table_options(parser, options, is_table=not options.json, of="a table: not --json")
    if options.all + bool(options.group) + bool(options.who_pays) != 1:
        parser.error("expected either --all, --who-pays FILE or a PID or PATH")
    if options.top is not None and not options.group:
        parser.error("--top requires a PID or PATH: it selects processes and kinds")
    style = None if options.json else table_style(options)
    try:
        if options.who_pays:
            _write_charges(options.who_pays, style)
            return 0
        if options.all:
            usages = read_cgroups()
            sys.stdout.write(format_cgroups(usages, style) if style else cgroups_to_json(usages))
            return 0
        pid = pid_of(options.group)
        usage = read_cgroup(options.group if pid is None else pid)
        for note in usage.notes:
            print_message(f"{usage.name}: {note}")
        processes = None if options.no_processes else _read_processes(usage)
    except (SmapskitError, OSError) as error:
        print_error(error)
        return exit_status(error) if isinstance(error, SmapskitError) else FAILURE
    _write(usage, processes, style)
    sys.stdout.flush()
    for reason, count in unreadable_reasons(processes.unreadable if processes else {}).items():
        print_message(f"{count} processes could not be read ({reason})")
    return 0


def _write_charges(path: str, style: TableStyle | None) -> None:
    from smapskit.sources.pages.charges import read_charges  # noqa: PLC0415  it requires NumPy

    charges = read_charges(path)
    sys.stdout.write(format_charges(charges, style) if style else charges_to_json(charges))


def _read_processes(usage: CgroupUsage) -> SystemUsage:
    with show_progress() as progress:
        return read_system("kind", pids=usage.pids, progress=progress)


def _write(usage: CgroupUsage, processes: SystemUsage | None, style: TableStyle | None) -> None:
    """Print the group as tables, or without a style as JSON."""
    if processes is None:
        sys.stdout.write(format_cgroup(usage, style) if style else cgroups_to_json([usage]))
        return
    by_pss = sorted(processes.processes, key=lambda each: -(each.usage.pss or 0))
    groups = {kind: (group.processes, group.totals) for kind, group in processes.groups.items()}
    if style is None:
        rows = [((each.pid, each.command), each.usage) for each in by_pss]
        sys.stdout.write(cgroups_to_json([usage], rows, groups, processes.unreadable))
        return
    sys.stdout.write(format_cgroup(usage, style))
    if by_pss:
        sys.stdout.write("\nProcesses of the group:\n\n")
        processes_by_pss = ((each.pid, each.usage, each.command) for each in by_pss)
        sys.stdout.write(format_processes(processes_by_pss, style=style))
        sys.stdout.write("\n")
        sys.stdout.write(format_system_groups(groups, "kind", style=style))


def build_parser() -> Parser:
    """Build the parser of the options."""
    parser = Parser(
        prog="smapskit cgroup",
        usage="smapskit cgroup [options] PID|PATH\n"
        "       smapskit cgroup [options] --all\n"
        "       smapskit cgroup [options] --who-pays FILE",
        examples=_EXAMPLES,
        statuses=STATUSES_OF_PIDS,
        description="Show who uses the memory limit of a cgroup: a container, a pod, a systemd "
        "unit. The table adds up to what is in use: memory of processes, page cache that is "
        "mapped or not, tmpfs, the kernel, and what remains unexplained; then the processes of the "
        "group by PSS, and their memory by kind. Works with v1 and v2, and reads files only.",
        epilog="Page cache, tmpfs and memory of the kernel are not in the PSS of the processes, "
        "and a page is charged to the group that used it first: the two never agree.",
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument(
        "group",
        nargs="?",
        metavar="PID|PATH",
        type=operand,
        help="a process of the group, the folder of the group, or its path in the hierarchy such "
        "as /system.slice/ssh.service",
    )
    parser.add_argument(
        "--all", action="store_true", help="one row for each memory cgroup of this machine"
    )
    parser.add_argument(
        "--who-pays",
        metavar="FILE",
        help="as root: which groups are charged with the cached pages of a file. A page is charged "
        "to the group that used it first",
    )
    parser.add_argument(
        "--no-processes",
        action="store_true",
        help="do not read the processes of the group, which takes about 0.1 s per 4 GiB of their "
        "memory and stops each of them for that time",
    )
    add_table_options(parser, "-h")
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON document; docs/schema-cgroup.json describes it",
    )
    add_help(parser)
    return parser
