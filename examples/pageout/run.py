"""
Show how file-backed memory is reclaimed: map a file larger than memory, read it, then allocate.

    python examples/pageout/run.py              make a run, about 20 seconds
    python examples/pageout/run.py --replay     plot and judge the recorded run

The run has a memory cgroup of its own; where none can be made, nothing is run.

Exit status: 0 if the run shows all that it should, 1 after an error, 2 for a wrong option, 3 if
this machine cannot make the run, 4 if the run does not show it; 130 after Ctrl-C, 143 after
SIGTERM.
"""

from __future__ import annotations

import argparse
import math
import re
import signal
import sys
import textwrap
from pathlib import Path

import attrs
from cgroup import CannotRun
from experiment import MIB, Plan, check, run
from judge import Claim, Series, judge

from smapskit import Recording, SmapskitError

RECORDED = Path(__file__).parent / "recorded" / "sequential.csv"
CANNOT_RUN, NOT_SHOWN = 3, 4
_MAX_SECONDS = 10**6


def main() -> int:
    """Make or replay a run, plot and judge it; return the exit status."""
    options = _parser().parse_args()
    snapshot = options.out / "pageout.smaps"
    try:
        import graph  # noqa: PLC0415  reported before the run, not after it
    except ImportError as error:
        print(f"{error}: pip install '.[plot]' in a checkout", file=sys.stderr)
        return CANNOT_RUN
    try:
        if options.replay is not None:
            recording = Recording.load(options.replay)
        else:
            plan = _plan(options)
            group = check(plan)
            options.out.mkdir(parents=True, exist_ok=True)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, _interrupt)
            recording = run(plan, group, lambda line: print(f"  {line}", flush=True), snapshot)
        claims = judge(recording)
        options.out.mkdir(parents=True, exist_ok=True)  # not before: a replay may be rejected
        if options.replay is None:
            recording.save(options.out / "pageout.csv")
        pictures = graph.save(graph.draw(recording), options.out)
    except CannotRun as error:
        print(f"this machine cannot make the run: {error}", file=sys.stderr)
        print("--replay plots and judges a recorded run instead", file=sys.stderr)
        return CANNOT_RUN
    except (SmapskitError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        if options.replay is None:
            snapshot.unlink(missing_ok=True)
        print("stopped; nothing is left behind", file=sys.stderr)
        return 128 + int(interrupt.args[0] if interrupt.args else signal.SIGINT)
    print(_format_report(recording, claims))
    print("\nIn", ", ".join(str(path) for path in pictures))
    return 0 if all(claim.holds for claim in claims) else NOT_SHOWN


def _interrupt(number: int, _frame: object) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # a second signal must not interrupt the cleanup
    raise KeyboardInterrupt(number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Map a file larger than memory, read all of it, then allocate until the "
        "process is OOM-killed, in a memory cgroup; record, plot and judge the run.",
        epilog="A SIZE may end in K, M or G. Exit status: 0 all shown, 1 error, 2 wrong option, "
        "3 not possible on this machine (nothing was changed), 4 not all shown.",
    )
    plan = Plan()
    add = parser.add_argument
    add(
        "--limit",
        type=size,
        metavar="SIZE",
        default=plan.limit,
        help="memory limit of the group (default: 256M)",
    )
    add(
        "--file-size",
        type=size,
        metavar="SIZE",
        default=plan.file_size,
        help="size of the file to map (default: 512M)",
    )
    add(
        "--step",
        type=size,
        metavar="SIZE",
        default=plan.step,
        help="size of one allocation (default: 4M)",
    )
    add(
        "--pattern",
        choices=("sequential", "random", "reread"),
        default=plan.pattern,
        help="how to read the file; reread: once more after each allocation (default: sequential)",
    )
    add(
        "--swap",
        choices=("none", "use"),
        default="none",
        help="whether the group may swap (default: none)",
    )
    add("--high", type=size, metavar="SIZE", help="reclaim from here on, below --limit (cgroup v2)")
    add(
        "--interval",
        type=seconds,
        metavar="SECONDS",
        default=plan.interval,
        help="time between samples (default: 0.25)",
    )
    add(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        default=plan.timeout,
        help="time limit of the run (default: 60)",
    )
    add("--file", type=Path, help="map this file instead of a new sparse one")
    add(
        "--folder",
        type=Path,
        default=plan.folder,
        help="where to create the new file (default: %(default)s)",
    )
    add(
        "--out",
        type=Path,
        metavar="FOLDER",
        default=Path("pageout"),
        help="where to write graph and recording (default: pageout)",
    )
    add(
        "--replay",
        type=Path,
        nargs="?",
        const=RECORDED,
        metavar="RECORDING",
        help="plot and judge a recorded run instead of making one",
    )
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    known = {field.name for field in attrs.fields(Plan)}
    values = {name: value for name, value in vars(options).items() if name in known}
    values["swap"] = options.swap == "use"
    if options.file is not None:
        values["file_size"] = options.file.stat().st_size
    return Plan(**values)


def size(text: str) -> int:
    """Parse a size such as 256M into bytes."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text, re.IGNORECASE)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"expected a size such as 256M, got {text!r}")
    return int(match[1]) * {"": 1, "K": 1 << 10, "M": MIB, "G": 1 << 30}[match[2].upper()]


def seconds(text: str) -> float:
    """Parse a finite number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!a}")
    return value


def _format_report(recording: Recording, claims: list[Claim]) -> str:
    notes = recording.notes
    lines = [
        f"Linux {notes['kernel']}, cgroup v{notes['cgroup']}, {notes['machine']}, {notes['date']}",
        "",
    ]
    for number, claim in enumerate(claims, 1):
        lines.append(f"{number}. {claim.text}: {claim.verdict.upper()}")
        lines += [f"     {'+' if finding.holds else '-'} {finding}" for finding in claim.findings]
        lines += textwrap.wrap(claim.remark, 76, initial_indent="     ", subsequent_indent="     ")
    if notes.get("kernel_report"):  # earlier recordings do not have it
        report = f"The kernel's report: {notes['kernel_report']}"
        lines += ["", *textwrap.wrap(report, 80, break_on_hyphens=False)]
    return "\n".join([*lines, "", *_format_pmap_table(recording)])


def _format_pmap_table(recording: Recording) -> list[str]:
    """Return both senses of "shared", beside what pmap -x printed at about the same time."""
    samples = Series.from_recording(recording).samples
    lines = [
        "                    RSS         sum of RSS where   Shared_Clean +   pmap -x:   pmap -x:",
        "  time (s)          (kB)        permission is s    Shared_Dirty     RSS        RSS of s",
    ]
    for totals in recording.notes["pmap"]:
        if totals["seconds"] in samples.index:
            row = samples.loc[totals["seconds"]] * 1024
            lines.append(
                f"  {totals['seconds']:>8.2f}  {row['total']:>12,.0f}  {row['shared']:>21,.0f}"
                f"  {row['several']:>15,.0f}  {totals['rss']:>9,}  {totals['shared_rss']:>9,}"
            )
    return lines


if __name__ == "__main__":
    sys.exit(main())
