"""The command `diff`: what became of each mapping between two moments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from smapskit.aggregate import diff
from smapskit.cli.common import FAILURE, Parser, Reader, add_limit, complain, operand
from smapskit.errors import SmapskitError
from smapskit.tables import format_difference


def run(words: Sequence[str]) -> int:
    """Print the difference of two captures or processes."""
    options = parser().parse_args(words)
    reader = Reader([options.before, options.after], limit=options.limit)
    snapshots = list(reader.snapshots("extended"))
    if reader.status:
        return reader.status
    if len(snapshots) != 2:  # noqa: PLR2004  a before and an after
        complain(SmapskitError("expected one process in each capture"))
        return FAILURE
    sys.stdout.write(format_difference(diff(*snapshots)))
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = Parser(
        prog="smapskit diff",
        usage="python -m smapskit diff BEFORE AFTER",
        description="Show what became of each mapping between two captures, or a capture and a "
        "process: what was added, removed, grown, shrunk, split, merged or changed, and the "
        "change of each figure in kB, the largest first.",
    )
    made.add_argument(
        "before", metavar="BEFORE", type=operand, help="a PID or a CAPTURE; - is standard input"
    )
    made.add_argument("after", metavar="AFTER", type=operand, help="the same")
    add_limit(made)
    return made
