"""The command `explain`: what is unusual about the memory of a process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

import attrs

from smapskit.analysis.context import Context
from smapskit.analysis.explain import RULES, check_id, examine
from smapskit.cli.common import (
    FAILURE,
    STATUSES_OF_PIDS,
    OperandReader,
    Parser,
    add_limit,
    context_fact,
    exit_status,
    operand,
    pid_of,
    print_error,
    print_message,
    read_operand,
    show_progress,
    unreadable_reasons,
)
from smapskit.cli.table_options import add_top, check_table_options, table_style
from smapskit.errors import SmapskitError
from smapskit.model.diff import diff
from smapskit.model.oom import OomReport
from smapskit.model.snapshot import Snapshot
from smapskit.sources import captures, machine
from smapskit.sources.recording import Recording, is_recording
from smapskit.views.findings import Report, findings_to_json, format_machine, format_report

FOUND = 3
_ERRORS = {status: text for status, text in STATUSES_OF_PIDS.items() if status}
_EXAMPLES = (
    ("smapskit explain PID", "what is unusual about a process"),
    ("smapskit explain before.txt PID", "why it grew since a capture"),
    ("smapskit explain run.csv", "of a recording: is it a leak?"),
    ("dmesg | smapskit explain -", "why the kernel killed a process"),
    ("smapskit explain --all", "deleted code, swap, ... of all processes"),
)
_MAX_OPERANDS = 2


def run(words: Sequence[str]) -> int:
    """Print the findings and return 3 if there are any."""
    parser = build_parser()
    options = parser.parse_args(words)
    if options.all == bool(options.operands):
        parser.error("expected either --all or a PID, CAPTURE or RECORDING")
    if len(options.operands) > _MAX_OPERANDS:
        parser.error("expected one operand, or two to compare: BEFORE AFTER")
    if options.all and options.context:
        parser.error("expected --context only with a CAPTURE or PID: --all reads the facts itself")
    check_table_options(parser, options, is_table=not options.json, of="text: not --json")
    try:
        options.context = Context.parse(dict(options.context))
    except ValueError as error:
        parser.error(str(error))
    if options.all:
        return _explain_system(options)
    reader = OperandReader(options.operands, limit=options.limit)
    try:
        reports = list(_reports(options, reader))
    except (SmapskitError, OSError) as error:
        print_error(error)
        return exit_status(error)
    if options.json:
        sys.stdout.write(findings_to_json(reports))
    else:
        style = table_style(options)
        sys.stdout.write("\n".join(format_report(report, style) for report in reports))
    return reader.status or (FOUND if any(r.explanation.findings for r in reports) else 0)


def _reports(options: argparse.Namespace, reader: OperandReader) -> Iterator[Report]:
    """Yield what is to be printed, one report per process, difference or recording."""
    words = options.operands
    if len(words) == _MAX_OPERANDS:
        snapshots = list(reader.snapshots("extended"))
        if not reader.status:
            yield _compare(words, snapshots, options)
        return
    (word,) = words
    if word != "-" and pid_of(word) is None and is_recording(word):
        recording = Recording.load(word)
        yield Report(
            subject="recording",
            explanation=examine(recording, options.context, options.ignore),
            pid=recording.pid,
            command=recording.command,
            source=word,
        )
        return
    for subject in reader.read(lambda word: _load(word, options.limit)):
        context = machine.complete_context(options.context, pid_of(word))
        explanation = examine(subject, context, options.ignore)
        if isinstance(subject, OomReport):
            place = f"{word}, line {subject.line_number}"
            yield Report(subject="OOM report", explanation=explanation, source=place)
            continue
        yield Report(
            subject="process",
            explanation=explanation,
            pid=subject.pid,
            command=subject.command,
            source=None if pid_of(word) is not None else word,
            time=subject.time,
            is_empty=not subject,
        )


def _load(word: str, limit: int | None) -> Sequence[Snapshot | OomReport]:
    """Return the snapshots of a process or a capture, or the OOM reports of a kernel log."""
    if pid_of(word) is not None:
        return read_operand(word, "extended", limit)
    return captures.load_explainable(sys.stdin.buffer if word == "-" else word, limit=limit)


def _compare(
    words: Sequence[str], snapshots: Sequence[Snapshot], options: argparse.Namespace
) -> Report:
    if len(snapshots) != _MAX_OPERANDS:
        raise SmapskitError("expected one process in each capture")
    before, after = snapshots
    pid = after.pid if before.pid in (None, after.pid) else None
    if after.pid is not None and before.pid not in (None, after.pid):
        print_message(f"process {before.pid} is compared with another one, {after.pid}")
    return Report(
        subject="difference",
        explanation=examine(diff(before, after), options.context, options.ignore),
        pid=pid,
        command=after.command,
        source=f"{words[0]} -> {words[1]}",
        time=after.time,
    )


def _explain_system(options: argparse.Namespace) -> int:
    try:
        with show_progress() as progress:
            found = machine.explain_system(options.ignore, progress=progress)
    except (SmapskitError, OSError) as error:
        print_error(error)
        return FAILURE
    reports = [
        Report(
            subject="process",
            explanation=each.explanation,
            pid=each.pid,
            command=each.command,
            names=each.names,
        )
        for each in found.processes
    ]
    if options.json:
        sys.stdout.write(findings_to_json(reports, found.unreadable))
    else:
        titles = {rule.id: rule.machine_title for rule in RULES.values() if rule.machine_title}
        counts = found.count, len(found.unreadable)
        sys.stdout.write(format_machine(reports, titles, *counts, table_style(options)))
    sys.stdout.flush()
    for reason, count in unreadable_reasons(found.unreadable).items():
        print_message(f"{count} more could not be read ({reason})")
    return FOUND if reports else 0


def _finding_id(text: str) -> str:
    try:
        return check_id(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the options."""
    facts = ", ".join(
        f"{field.name}={field.metadata['example']}" for field in attrs.fields(Context)
    )
    parser = Parser(
        prog="smapskit explain",
        usage="smapskit explain [options] PID|CAPTURE|RECORDING\n"
        "       smapskit explain [options] BEFORE AFTER\n"
        "       smapskit explain [options] --all",
        examples=_EXAMPLES,
        statuses={0: "nothing unusual was found", FOUND: "findings", **_ERRORS},
        description="Explain what is unusual about the memory of a process, the largest first: "
        "what it means, what to do, how sure it is. With BEFORE and AFTER, what changed between "
        "two captures or a capture and a process; of a RECORDING, how memory changed over time; of "
        "the text of dmesg or journalctl -k, why the kernel killed a process.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "operands",
        nargs="*",
        metavar="PID|CAPTURE|RECORDING",
        type=operand,
        help="a process, a saved text (also a kernel log with an OOM report), or a file written "
        "by record; - is standard input",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="all processes of this machine: deleted code that still runs, the number of "
        "mappings, swap, memory that is writable and executable",
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        type=_finding_id,
        metavar="ID",
        help="do not report this finding; may be given several times",
    )
    parser.add_argument(
        "--context",
        action="append",
        default=[],
        type=context_fact,
        metavar="NAME=VALUE",
        help="a fact of the machine on which a CAPTURE was made; sizes in kB; may be given several "
        "times: "
        f"{facts}",
    )
    add_top(
        parser,
        "only the N largest findings; with --all, the N most affected processes of each "
        "(default: 20)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON document; docs/schema-explain.json describes it",
    )
    add_limit(parser)
    return parser
