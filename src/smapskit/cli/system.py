"""The option `--all`: every process of this machine, a row each, or a row a group."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from smapskit.cli.common import FAILURE, Parser, complain, print_line
from smapskit.errors import SmapskitError
from smapskit.sources import system as machine
from smapskit.text import printable
from smapskit.views.exports import cell, csv_row
from smapskit.views.tables import format_processes, format_shared_groups

_FIGURES = ("pss", "uss", "rss", "swap")


def run(words: Sequence[str]) -> int:
    """Print the table."""
    options = parser().parse_args(words)
    try:
        with _progress() as each:
            survey = machine.survey(options.by, each=each)
    except (SmapskitError, OSError) as error:
        complain(error)
        return FAILURE
    if options.json or options.csv:
        rows = list(_rows(survey, options.by, options.sort))
        if options.json:
            missing = {str(pid): why for pid, why in survey.unreadable.items()}
            print(json.dumps({"rows": rows, "unreadable": missing}, indent=1))
        else:
            heading = ["pid", "command"] if options.by is None else [options.by, "processes"]
            sys.stdout.write(csv_row([*heading, *_FIGURES]))
            sys.stdout.writelines(csv_row(map(cell, row.values())) for row in rows)
    elif options.by:
        groups = {key: (sums.processes, sums.totals) for key, sums in survey.groups.items()}
        sys.stdout.write(format_shared_groups(groups, options.by, options.sort))
    else:
        processes = ((each.pid, each.usage, each.command) for each in survey.processes)
        sys.stdout.write(format_processes(processes, options.sort))
    sys.stdout.flush()
    for reason, count in _reasons(survey.unreadable).items():
        print_line(f"{count} more could not be read ({reason})")
    return 0


def _reasons(unreadable: Mapping[int, str]) -> Counter[str]:
    """How many processes could not be read, by the reason without the pid."""
    return Counter(re.sub(rf"\b{pid}\b", "PID", reason) for pid, reason in unreadable.items())


def parser() -> Parser:
    """The options."""
    made = Parser(
        prog="smapskit --all",
        usage="python -m smapskit --all [--by GROUP] [--sort FIGURE] [--json | --csv]",
        description="Show what each process of this machine holds: PSS (what it shares divided "
        "by the number that share it), USS (what it has alone), RSS and swap, in kB. With "
        "--by: what all of them hold together of each group, such as of each library; "
        "shared pages count once, by PSS.",
    )
    made.add_argument("--all", action="store_true", help="all processes that may be read")
    made.add_argument(
        "--by", choices=("backing", "sharing", "perms", "pathname"), help="a row a group"
    )
    made.add_argument("--sort", choices=_FIGURES, default="pss", help="largest first by (pss)")
    formats = made.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="for machines")
    formats.add_argument("--csv", action="store_true", help="for a spreadsheet")
    return made


def _rows(survey: machine.Survey, by: str | None, sort: str) -> Iterator[dict[str, Any]]:
    entries: list[tuple[dict[str, Any], Any]]
    if by is None:
        entries = [({"pid": p.pid, "command": p.command}, p.usage) for p in survey.processes]
    else:
        entries = [
            ({by: None if key is None else str(key), "processes": sums.processes}, sums.totals)
            for key, sums in survey.groups.items()
        ]
    for head, usage in sorted(entries, key=lambda e: getattr(e[1], sort) or 0, reverse=True):
        safe = {k: printable(v) if isinstance(v, str) else v for k, v in head.items()}
        yield safe | {name: getattr(usage, name) for name in _FIGURES}


@contextmanager
def _progress() -> Iterator[machine.Each | None]:
    """A line on a terminal once it has taken a second."""
    try:
        from tqdm import tqdm  # noqa: PLC0415  an extra
    except ImportError:
        yield None
        return
    with tqdm(unit=" processes", delay=1, leave=False, disable=not sys.stderr.isatty()) as bar:

        def each(number: int, count: int) -> None:
            bar.total = count
            bar.update(number - bar.n)

        yield each
