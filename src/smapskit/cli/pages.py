"""The command `pages`: which pages of processes are in memory, and which of files are cached."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    seconds,
)
from smapskit.cli.table_options import (
    add_table_options,
    check_table_options,
    help_if_alone,
    table_style,
)
from smapskit.errors import SmapskitError
from smapskit.formats.pmap.table import process_line
from smapskit.model.pages import Pages
from smapskit.model.residency import Residency
from smapskit.model.working_set import WARNING
from smapskit.sources import outfile
from smapskit.sources.pages.cache import read_residency
from smapskit.sources.pages.read import read_pages
from smapskit.sources.pages.working_set import working_set
from smapskit.views import page_tables
from smapskit.views.cells import TableStyle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
_MAP_WIDTH = 32
_MAP_WIDTH_OF_MAPPING = 64
_DPI = 150
_EXAMPLES = (
    ("smapskit pages -h --top 10 PID", "the mappings with the largest RSS"),
    ("smapskit pages --mapping '[heap]' PID", "where in the heap its pages are"),
    ("smapskit pages /usr/lib/os-release", "how much of a file is in the page cache"),
    ("smapskit pages -o pages.svg PID", "a picture"),
)


def run(words: Sequence[str]) -> int:
    """Print the tables of processes and files, or one document."""
    parser = build_parser()
    options = parser.parse_args(help_if_alone(words))
    _check(parser, options)
    style = table_style(options)
    processes, files, status = _read(options, style)
    if options.working_set is not None:
        return status
    for pages in processes:
        _print_notes(pages)
    for residency in files:
        _print_unknown(residency.path, residency.unknown)
    if options.output and (processes or files):
        status |= _draw(options.output, processes, files)
    elif options.json:
        sys.stdout.write(page_tables.pages_to_json(processes, files))
    elif options.csv and files:
        sys.stdout.write(page_tables.residencies_to_csv(files))
    elif options.csv:
        sys.stdout.write(page_tables.pages_to_csv(processes))
    elif not options.output:
        width = _MAP_WIDTH_OF_MAPPING if options.mapping else _MAP_WIDTH
        _print_tables(processes, files, width, style)
    sys.stdout.flush()
    return status


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    pids = [word for word in options.operands if pid_of(word) is not None]
    has_files = len(pids) < len(options.operands)
    if options.mapping is not None and has_files:
        parser.error("--mapping requires PIDs only: a FILE is read as a whole")
    if options.working_set is not None and (has_files or options.csv or options.json):
        parser.error("--working-set requires PIDs only, and prints a table")
    if options.csv and pids and has_files:
        parser.error("--csv requires either PIDs or FILEs: they have different columns")
    is_table = not (options.json or options.csv or options.output)
    check_table_options(parser, options, is_table=is_table, of="a table: not --json, --csv or -o")
    if options.output is None:
        return
    if Path(options.output).suffix not in PICTURES:
        parser.error(f"expected a file name that ends in {', '.join(PICTURES)}")
    if len(pids) > 1 or (pids and has_files):
        parser.error("--output requires one PID, or FILEs")


def _read(
    options: argparse.Namespace, style: TableStyle
) -> tuple[list[Pages], list[Residency], int]:
    """Read each operand; print the errors, and return the exit status as well."""
    processes: list[Pages] = []
    files: list[Residency] = []
    status = 0
    for word in options.operands:
        pid = pid_of(word)
        try:
            if pid is None:
                files.append(read_residency(word))
            elif options.working_set is not None:
                _measure(pid, options.working_set, style)
            else:
                processes.append(read_pages(pid, options.mapping, frames=("flags",)))
        except (SmapskitError, OSError, ValueError) as error:
            status |= exit_status(error)
            print_error(error)
    return processes, files, status


def _measure(pid: int, duration: float, style: TableStyle) -> None:
    print_message(WARNING)
    found = working_set(pid, duration)
    snapshot = found.snapshot
    first = process_line(snapshot.pid or 0, snapshot.command or "")
    sys.stdout.write(style.name(first, 0) + "\n")
    sys.stdout.write(page_tables.format_working_set(found, style))
    for note in found.notes:
        if note != WARNING:
            print_message(note)


def _print_notes(pages: Pages) -> None:
    for note in pages.notes:
        print_message(f"process {pages.pid}: {note}")
    shown = {name: pages.unknown[name] for name in page_tables.SHOWN if name in pages.unknown}
    _print_unknown(f"process {pages.pid}", shown)


def _print_unknown(name: str, unknown: Mapping[str, str]) -> None:
    """Print one line for each reason, with the values that are not known."""
    for reason in dict.fromkeys(unknown.values()):
        values = ", ".join(value for value, why in unknown.items() if why == reason)
        print_message(f"{name}: not known: {values}: {reason}")


def _print_tables(
    processes: Sequence[Pages], files: Sequence[Residency], width: int, style: TableStyle
) -> None:
    characters = page_tables.BLOCKS if _can_print(page_tables.BLOCKS) else page_tables.ASCII
    for pages in processes:
        first = process_line(pages.pid or 0, pages.command or "")
        sys.stdout.write(style.name(first, 0) + "\n")
        sys.stdout.write(page_tables.format_pages(pages, width, characters, style))
    if files:
        sys.stdout.write(page_tables.format_residencies(files, width, characters, style))


def _can_print(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _draw(name: str, processes: Sequence[Pages], files: Sequence[Residency]) -> int:
    from smapskit.views import page_plots  # noqa: PLC0415  an extra

    draw: Callable[[], Figure] = (
        processes[0].plot if processes else lambda: page_plots.plot_residency(files)
    )
    try:
        figure = draw()
        with outfile.replacing(Path(name)) as file:
            figure.savefig(file, format=Path(name).suffix[1:], dpi=_DPI)
    except (SmapskitError, OSError, ImportError) as error:
        print_error(error)
        return FAILURE
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the options."""
    parser = Parser(
        prog="smapskit pages",
        usage="smapskit pages [options] PID|FILE ...",
        examples=_EXAMPLES,
        statuses=STATUSES_OF_PIDS,
        add_help=False,
        description="Show which pages of a process are in memory, one row per mapping, or which "
        "pages of files are in the page cache, one row per file. Sizes are in kB. The map has one "
        "character for each part of the range: · (.) no page is in memory, ░ (-) few, ▒ (+) half, "
        "▓ (*) most, █ (#) all; s: none, but some are in swap. Active pages (on the kernel's "
        "active list) require root. Only --working-set changes a "
        "process; the contents of memory and files are never read.",
    )
    parser.add_argument(
        "operands",
        nargs="+",
        metavar="PID|FILE",
        type=operand,
        help="a process, by number or as /proc/PID, or a file (./NAME if it is a number)",
    )
    parser.add_argument(
        "--mapping",
        metavar="NAME",
        help="only mappings with this pathname or last component, such as [heap] or libc.so.6",
    )
    parser.add_argument(
        "--working-set",
        type=seconds,
        metavar="SECONDS",
        help="measure which memory the process touches within this time. This changes the "
        "process: its accessed bits are cleared, and the kernel may evict pages in use",
    )
    add_table_options(parser, "-h")
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument(
        "--json",
        action="store_true",
        help="one JSON document, in pages; docs/schema-pages.json describes it",
    )
    formats.add_argument(
        "--csv", action="store_true", help="CSV, one row per mapping or per file, in pages"
    )
    formats.add_argument(
        "-o",
        "--output",
        metavar="PICTURE",
        help="draw a picture in place of a table: png, svg or pdf",
    )
    add_help(parser)
    return parser
