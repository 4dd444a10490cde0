"""The command `report`: write one HTML file about a process, a difference or a recording."""

from __future__ import annotations

import argparse
import errno
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from smapskit.analysis.context import Context
from smapskit.cli.common import (
    FAILURE,
    STATUSES_OF_PIDS,
    OperandReader,
    Parser,
    add_lenient,
    add_limit,
    context_fact,
    exit_status,
    operand,
    pid_of,
    print_error,
    print_message,
    size_in_kb,
)
from smapskit.errors import SmapskitError
from smapskit.model.diff import diff
from smapskit.model.snapshot import Snapshot
from smapskit.sources import machine
from smapskit.sources.recording import Recording, is_recording
from smapskit.sources.report import (
    ReportOptions,
    write_difference_report,
    write_recording_report,
    write_snapshot_report,
)

_MAX_OPERANDS = 2
_DEFAULT_OUTPUT = "report.html"
_EXAMPLES = (
    ("smapskit report PID", "write report.html about a process"),
    ("smapskit report smaps.txt -o smaps.html", "about a saved text"),
    ("smapskit report before.txt after.txt", "what grew between two captures"),
    ("smapskit report run.csv --memory-limit 2G", "about a file written by record"),
)


def run(words: Sequence[str]) -> int:
    """Write a report."""
    parser = build_parser()
    options = parser.parse_args(words)
    if len(options.operands) > _MAX_OPERANDS:
        parser.error("expected one operand, or two to compare: BEFORE AFTER")
    try:
        options.context = Context.parse(dict(options.context))
    except ValueError as error:
        parser.error(str(error))
    try:
        _check_target(options)
        return _report(options)
    except (SmapskitError, OSError) as error:
        if isinstance(error, FileExistsError):
            error.add_note("--force replaces it")
        print_error(error)
        return exit_status(error)


def _check_target(options: argparse.Namespace) -> None:
    """Report a file that must not be replaced before a process is read."""
    target = Path(options.output)
    if target.exists() and any(
        Path(word).exists() and target.samefile(word) for word in options.operands
    ):
        msg = f"expected another name for the report than that of an operand, got {target}"
        raise SmapskitError(msg)
    if not options.force and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))


def _report(options: argparse.Namespace) -> int:
    words = options.operands
    is_pair = len(words) == _MAX_OPERANDS
    word = words[-1]
    if not is_pair and word != "-" and pid_of(word) is None and is_recording(word):
        write_recording_report(
            Recording.load(word),
            options.output,
            _report_options(options, None),
            source=word,
            memory_limit=options.memory_limit,
        )
        return _done(options)
    if options.memory_limit is not None:
        raise SmapskitError("expected --memory-limit only with a RECORDING")
    reader = OperandReader(
        words, limit=options.limit, strict=not options.lenient, command="smapskit report"
    )
    snapshots = list(reader.snapshots("extended"))
    if reader.status:
        return reader.status
    if len(snapshots) != len(words):
        print_error(SmapskitError("expected one process in each capture"))
        return FAILURE
    live = _report_options(options, pid_of(word))
    if is_pair:
        _write_difference(words, snapshots, options.output, live)
    else:
        write_snapshot_report(snapshots[0], options.output, live)
    return _done(options)


def _report_options(options: argparse.Namespace, pid: int | None) -> ReportOptions:
    """Return what the report contains; of a live process with the facts of this machine."""
    return ReportOptions(
        title=options.title,
        context=machine.complete_context(options.context, pid),
        kernel=None if pid is None else platform.release(),
        overwrite=options.force,
    )


def _write_difference(
    words: Sequence[str], snapshots: Sequence[Snapshot], output: str, options: ReportOptions
) -> None:
    before, after = snapshots
    if after.pid is not None and before.pid not in (None, after.pid):
        print_message(f"process {before.pid} is compared with another one, {after.pid}")
    write_difference_report(
        diff(before, after),
        output,
        options,
        pid=after.pid if before.pid in (None, after.pid) else None,
        command=after.command,
        source=" -> ".join(words),
        time=after.time,
        notes=tuple(dict.fromkeys([*before.notes, *after.notes])),
    )


def _done(options: argparse.Namespace) -> int:
    print_message(f"wrote {options.output}")
    return 0


def build_parser() -> Parser:
    """Build the parser of the options."""
    parser = Parser(
        prog="smapskit report",
        usage="smapskit report [options] PID|CAPTURE|RECORDING\n"
        "       smapskit report [options] BEFORE AFTER",
        description="Write one HTML file about the memory of a process, to open in a browser or "
        "to attach to a bug report: a summary, the findings of explain, a treemap, a map of "
        "addresses and all mappings; of a RECORDING memory over time; of BEFORE and AFTER what "
        "grew. The file loads nothing from the network. It contains the command line and the "
        "paths of the process.",
        examples=_EXAMPLES,
        statuses=STATUSES_OF_PIDS,
        allow_abbrev=False,
    )
    parser.add_argument(
        "operands",
        nargs="+",
        metavar="PID|CAPTURE|RECORDING",
        type=operand,
        help="a process, a saved text, or a file written by record; - is standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        default=_DEFAULT_OUTPUT,
        metavar="FILE",
        help=f"the file to write (default: {_DEFAULT_OUTPUT})",
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing FILE")
    parser.add_argument("--title", metavar="TEXT", help="title of the page (default: the process)")
    parser.add_argument(
        "--context",
        action="append",
        default=[],
        type=context_fact,
        metavar="NAME=VALUE",
        help="a fact of the machine on which a CAPTURE was made, as for explain; may be given "
        "several times",
    )
    parser.add_argument(
        "--memory-limit",
        type=size_in_kb,
        metavar="SIZE",
        help="draw a line at the limit of a recorded process, such as 512M",
    )
    add_limit(parser)
    add_lenient(parser)
    return parser
