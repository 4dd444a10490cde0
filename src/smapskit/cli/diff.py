"""The command `diff`: how mappings changed between two snapshots."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

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
from smapskit.cli.table_options import add_table_options, help_if_alone, table_style
from smapskit.errors import SmapskitError
from smapskit.model.diff import diff
from smapskit.views.tables import format_difference

_EXAMPLES = (
    ("cat /proc/PID/smaps > before.txt", "save a capture"),
    ("smapskit diff before.txt PID", "what changed since then"),
    ("smapskit diff -h --top 10 before.txt PID", "the ten largest, with units"),
    ("smapskit diff before.txt after.txt", "between two captures"),
)


def run(words: Sequence[str]) -> int:
    """Print the difference of two captures or processes."""
    parser = build_parser()
    options = parser.parse_args(help_if_alone(words))
    reader = OperandReader(
        [options.before, options.after],
        limit=options.limit,
        strict=not options.lenient,
        command="smapskit diff ...",
    )
    snapshots = list(reader.snapshots("extended"))
    if reader.status:
        return reader.status
    if len(snapshots) != 2:  # noqa: PLR2004  a before and an after
        print_error(SmapskitError("expected one process in each capture"))
        return FAILURE
    sys.stdout.write(format_difference(diff(*snapshots), table_style(options)))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the options."""
    parser = Parser(
        prog="smapskit diff",
        usage="smapskit diff [options] BEFORE AFTER",
        examples=_EXAMPLES,
        statuses=STATUSES_OF_PIDS,
        add_help=False,
        description="Show how mappings changed between two captures, or a capture and a process: "
        "added, removed, grown, shrunk, split, merged or changed, with the change of each value "
        "in kB, the largest first.",
    )
    parser.add_argument(
        "before", metavar="BEFORE", type=operand, help="a PID or a CAPTURE; - is standard input"
    )
    parser.add_argument("after", metavar="AFTER", type=operand, help="a PID or a CAPTURE")
    add_table_options(parser, "-h")
    add_limit(parser)
    add_lenient(parser)
    add_help(parser)
    return parser
