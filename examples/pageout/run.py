"""
Show how file-backed memory is reclaimed: map a file larger than memory, read it, then allocate.

    python examples/pageout/run.py              make a run, about 20 seconds
    python examples/pageout/run.py --pages      also record which pages are evicted, in which order
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
from experiment import MIB, Plan, Run, check, run
from judge import Claim, Series, judge
from order import Order, judge_agreement, judge_order
from page_run import PageRun
from patterns import ORDER, PATTERNS

from smapskit import Recording, SmapskitError

RECORDED = Path(__file__).parent / "recorded" / "sequential.csv"
CANNOT_RUN, NOT_SHOWN = 3, 4
_MAX_SECONDS = 10**6
_MAX_RUNS = 100


def main() -> int:
    """Make or replay runs, plot and judge them; return the exit status."""
    options = _parser().parse_args()
    try:
        import graph  # noqa: F401, PLC0415  reported before the run, not after it
    except ImportError as error:
        print(f"{error}: pip install '.[plot]' in a checkout", file=sys.stderr)
        return CANNOT_RUN
    try:
        runs = _make(options) if options.replay is None else _load(options)
        claims: list[Claim] = []
        orders = []
        for each, folder in runs:
            order = None if each.pages is None else Order(each.pages)
            report = _judge(each, order)
            print(_format_report(each, report))
            print("\nIn", ", ".join(str(path) for path in _draw(each, order, folder)))
            claims += report.values()
            if order is not None:
                orders.append(order)
        claims += _compare(orders, options.out)
    except CannotRun as error:
        print(f"this machine cannot make the run: {error}", file=sys.stderr)
        print("--replay plots and judges a recorded run instead", file=sys.stderr)
        return CANNOT_RUN
    except (SmapskitError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print("stopped; nothing is left behind", file=sys.stderr)
        return 128 + int(interrupt.args[0] if interrupt.args else signal.SIGINT)
    return 0 if all(claim.holds for claim in claims if claim.is_judged) else NOT_SHOWN


def _make(options: argparse.Namespace) -> list[tuple[Run, Path]]:
    """Make the runs, save each when it is complete, and return them with their folders."""
    plan = _plan(options)
    runs = []
    for number, folder in enumerate(_folders(options.out, options.runs), 1):
        group = check(plan)
        folder.mkdir(parents=True, exist_ok=True)
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signal_number, _interrupt)
        each = attrs.evolve(plan, seed=number)  # a random order is another one in each run
        snapshot = folder / "pageout.smaps"
        try:
            made = run(each, group, lambda line: print(f"  {line}", flush=True), snapshot)
        except KeyboardInterrupt:
            snapshot.unlink(missing_ok=True)
            raise
        assert made.memory is not None  # noqa: S101  it is recorded in each run
        made.memory.save(folder / "pageout.csv")
        if made.pages is not None:
            made.pages.save(folder / "pageout.npz")
        runs.append((made, folder))
    return runs


def _load(options: argparse.Namespace) -> list[tuple[Run, Path]]:
    """Load recorded runs: those of memory (.csv), and those of pages (.npz)."""
    paths = options.replay or [RECORDED]
    runs = []
    for path in paths:
        if path.suffix == ".npz":
            runs.append(Run(None, PageRun.load(path)))
        else:
            recording = Recording.load(path)
            Series.from_recording(recording)  # a recording of something else is rejected
            runs.append(Run(recording, None))
    folders = _folders(options.out, len(paths))
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)  # not before: a replay may be rejected
    return list(zip(runs, folders, strict=True))


def _folders(out: Path, count: int) -> list[Path]:
    return [out] if count == 1 else [out / str(number) for number in range(1, count + 1)]


def _judge(made: Run, order: Order | None) -> dict[int, Claim]:
    """Return the claims that the recordings of a run decide, by number."""
    claims = {} if made.memory is None else dict(enumerate(judge(made.memory), 1))
    if order is not None:
        claims[ORDER] = judge_order(order)
    return claims


def _draw(made: Run, order: Order | None, folder: Path) -> list[Path]:
    """Draw a run; return the files."""
    import graph  # noqa: PLC0415
    import page_graph  # noqa: PLC0415

    files = []
    if made.memory is not None:
        files += graph.save(graph.draw(made.memory), folder)
    if order is not None:
        files += graph.save(page_graph.draw_pages(order), folder, "pageout-pages")
    return files


def _compare(orders: list[Order], out: Path) -> list[Claim]:
    """Draw the order of eviction of all runs; print and return how those alike agree."""
    import graph  # noqa: PLC0415
    import page_graph  # noqa: PLC0415

    claims = []
    alike: dict[tuple[str, int], list[Order]] = {}
    for order in orders:
        run = order.run
        alike.setdefault((run.pattern, run.notes["plan"]["limit"]), []).append(order)
    for (pattern, _limit), group in alike.items():
        if len(group) > 1:
            claims.append(judge_agreement(group))
            print(f"\n{len(group)} runs of the pattern {pattern}")
            print("\n".join(_format_claim("*", claims[-1])))
    complete = [order for order in orders if "allocating" in order.run.phases]
    if complete:
        files = graph.save(page_graph.draw_order(complete), out, "pageout-order")
        print("\nIn", ", ".join(str(path) for path in files))
    return claims


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
        choices=tuple(PATTERNS),
        default=plan.pattern,
        help="how to access the file (default: sequential); "
        + "; ".join(f"{name}: {pattern.help}" for name, pattern in PATTERNS.items()),
    )
    add(
        "--pages",
        action="store_true",
        help="also record the pages of the file, and judge the order in which they are evicted",
    )
    add(
        "--runs",
        type=_count,
        metavar="N",
        default=1,
        help="make N runs after one another, and compare their orders of eviction (default: 1)",
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
        help="time between samples (default: 0.25, with --pages 0.1)",
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
        nargs="*",
        metavar="RECORDING",
        help="plot and judge recorded runs (.csv: memory, .npz: pages) instead of making one",
    )
    return parser


def _plan(options: argparse.Namespace) -> Plan:
    known = {field.name for field in attrs.fields(Plan)}
    values = {name: value for name, value in vars(options).items() if name in known}
    if options.interval is None:
        del values["interval"]  # it depends on --pages
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


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _MAX_RUNS:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {_MAX_RUNS}, got {text!a}")
    return int(text)


def _format_report(made: Run, claims: dict[int, Claim]) -> str:
    recording = made.memory if made.memory is not None else made.pages
    assert recording is not None  # noqa: S101  a run has one of both
    notes = recording.notes
    lines = [
        f"Linux {notes['kernel']}, cgroup v{notes['cgroup']}, {notes['machine']}, {notes['date']}"
    ]
    if "lru_gen" in notes:  # recordings of earlier versions do not have it
        lru = notes["lru_gen"]
        lists = "classic LRU lists" if lru is None else f"lru_gen {lru}"
        lines.append(f"{lists}, read-ahead {notes['read_ahead_kb']} kB")
    for number, claim in claims.items():
        lines += ["", *_format_claim(f"{number}.", claim)]
    if notes.get("kernel_report"):  # earlier recordings do not have it
        report = f"The kernel's report: {notes['kernel_report']}"
        lines += ["", *textwrap.wrap(report, 80, break_on_hyphens=False)]
    if made.memory is not None:
        lines += ["", *_format_pmap_table(made.memory)]
    return "\n".join(lines)


def _format_claim(mark: str, claim: Claim) -> list[str]:
    lines = textwrap.wrap(
        f"{mark} {claim.text}: {claim.verdict.upper()}", 96, subsequent_indent="   "
    )
    lines += [f"     {finding.mark} {finding}" for finding in claim.findings]
    return lines + textwrap.wrap(
        claim.remark, 76, initial_indent="     ", subsequent_indent="     "
    )


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
