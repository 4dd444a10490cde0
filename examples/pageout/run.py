"""
How file-backed memory gives way: map a file larger than memory, read it all, then allocate.

    python examples/pageout/run.py              make the run, about 20 seconds
    python examples/pageout/run.py --replay     draw and judge the recorded one

All of it happens in a memory cgroup of its own; without one nothing is run. Status: 0 all
that such a run should show is shown, 1 an error, 2 a wrong option, 3 this machine can't make
the run, 4 the run does not show it; 130 and 143 after Ctrl-C and SIGTERM.
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
from cgroup import CannotBeMade
from experiment import MIB, Plan, check, run
from judge import Claim, Series, judge

from smapskit import SmapskitError
from smapskit.sources.recording import Recording

RECORDED = Path(__file__).parent / "recorded" / "sequential.csv"
CANNOT, NOT_SHOWN = 3, 4
_MOST_SECONDS = 10**6


class Stopped(BaseException):
    """A signal that ends the run; no KeyboardInterrupt, which would end the recording well."""


def main() -> int:
    """Make or replay a run, draw and judge it; the exit status."""
    options = _parser().parse_args()
    try:
        import graph  # noqa: PLC0415  told before the run, not after
    except ImportError as error:
        print(f"{error}: pip install '.[plot]' in a checkout", file=sys.stderr)
        return CANNOT
    try:
        if options.replay is not None:
            recording = Recording.load(options.replay)
        else:
            plan = _plan(options)
            group = check(plan)
            options.out.mkdir(parents=True, exist_ok=True)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, _stop)
            recording = run(plan, group, lambda line: print(f"  {line}", flush=True))
        claims = judge(recording)
        options.out.mkdir(parents=True, exist_ok=True)  # here too: a replay may be refused
        if options.replay is None:
            recording.save(options.out / "pageout.csv")
        pictures = graph.save(graph.draw(recording), options.out)
    except CannotBeMade as error:
        print(f"this machine can't make the run: {error}", file=sys.stderr)
        print("--replay draws and judges a recorded one", file=sys.stderr)
        return CANNOT
    except (SmapskitError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except Stopped as stopped:
        print("stopped; nothing is left behind", file=sys.stderr)
        return 128 + int(stopped.args[0])
    print(_report(recording, claims))
    print("\nIn", ", ".join(str(path) for path in pictures))
    return 0 if all(claim.holds for claim in claims) else NOT_SHOWN


def _stop(number: int, _frame: object) -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # the cleaning up is not to be interrupted
    raise Stopped(number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Map a file larger than memory, read it all, then allocate until the "
        "OOM killer comes, in a memory cgroup; record, draw and judge it.",
        epilog="Sizes take K, M or G. Status: 0 all shown, 1 error, 2 wrong option, "
        "3 not possible on this machine (nothing was changed), 4 not all shown.",
    )
    plan = Plan()
    add = parser.add_argument
    add("--limit", type=size, default=plan.limit, help="the group's memory (256M)")
    add("--file-size", type=size, default=plan.file_size, help="of the file to map (512M)")
    add("--step", type=size, default=plan.step, help="one allocation (4M)")
    add(
        "--pattern",
        choices=("sequential", "random", "reread"),
        default=plan.pattern,
        help="how the file is read; reread: once more after each allocation (sequential)",
    )
    add("--swap", choices=("none", "use"), default="none", help="may the group swap? (none)")
    add("--high", type=size, help="reclaim from here on, below --limit (cgroup v2)")
    add("--interval", type=seconds, default=plan.interval, help="seconds between samples (0.25)")
    add("--timeout", type=seconds, default=plan.timeout, help="seconds for the whole run (60)")
    add("--file", type=Path, help="map this one instead of a new sparse one")
    add("--folder", type=Path, default=plan.folder, help="where to make the file (%(default)s)")
    add(
        "--out", type=Path, default=Path("pageout"), help="folder for graph and recording (pageout)"
    )
    add(
        "--replay",
        type=Path,
        nargs="?",
        const=RECORDED,
        metavar="RECORDING",
        help="make no run: draw and judge a recorded one",
    )
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    known = {field.name for field in attrs.fields(Plan)}
    words = {name: value for name, value in vars(options).items() if name in known}
    words["swap"] = options.swap == "use"
    if options.file is not None:
        words["file_size"] = options.file.stat().st_size
    return Plan(**words)


def size(text: str) -> int:
    """Bytes of a size such as 256M."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text, re.IGNORECASE)
    if match is None or not int(match[1]):
        raise argparse.ArgumentTypeError(f"expected a size such as 256M, got {text!r}")
    return int(match[1]) * {"": 1, "K": 1 << 10, "M": MIB, "G": 1 << 30}[match[2].upper()]


def seconds(text: str) -> float:
    """Accept a finite number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!a}")
    return value


def _report(recording: Recording, claims: list[Claim]) -> str:
    notes = recording.notes
    lines = [
        f"Linux {notes['kernel']}, cgroup v{notes['cgroup']}, {notes['machine']}, {notes['date']}",
        "",
    ]
    for number, claim in enumerate(claims, 1):
        lines.append(f"{number}. {claim.text}: {claim.verdict.upper()}")
        lines += [f"     {'+' if each.holds else '-'} {each}" for each in claim.findings]
        lines += textwrap.wrap(claim.remark, 76, initial_indent="     ", subsequent_indent="     ")
    return "\n".join([*lines, "", *_moments(recording)])


def _moments(recording: Recording) -> list[str]:
    """Both senses of "shared", and pmap's own figures, where pmap looked as well."""
    figures = Series.of(recording).figures
    lines = [
        "                    RSS         sum of RSS where   Shared_Clean +   pmap -x:   pmap -x:",
        "  time (s)          (kB)        permission is s    Shared_Dirty     RSS        RSS of s",
    ]
    for said in recording.notes["pmap"]:
        if said["seconds"] in figures.index:
            row = figures.loc[said["seconds"]] * 1024
            lines.append(
                f"  {said['seconds']:>8.2f}  {row['total']:>12,.0f}  {row['shared']:>21,.0f}"
                f"  {row['by_several']:>15,.0f}  {said['rss']:>9,}  {said['shared_rss']:>9,}"
            )
    return lines


if __name__ == "__main__":
    sys.exit(main())
