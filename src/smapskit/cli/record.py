"""The command `record`: sample a process over time into a file."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import get_args

from smapskit.cli.common import (
    FAILURE,
    STATUSES_OF_PIDS,
    Parser,
    advice_for,
    exit_status,
    operand,
    pid_of,
    print_error,
    print_message,
    seconds,
    share,
)
from smapskit.errors import SmapskitError
from smapskit.model.condition import Condition
from smapskit.model.totals import GroupName
from smapskit.sources import process, procfs, recording

_SUFFIX_OF_PAGES = ".npz"
_MAX_SECONDS_WITHOUT_YES = 1.0
_ERRORS = {status: text for status, text in STATUSES_OF_PIDS.items() if status}
_EXAMPLES = (
    ("smapskit record -o run.csv PID", "until it ends, or Ctrl-C"),
    ("smapskit record -t 60 --by kind -o kinds.csv PID", "by kind, for a minute"),
    ("smapskit record -o new.csv -- python3 program.py", "a command, from its start"),
    ("smapskit record --budget 1% -o long.csv PID", "at little cost to it"),
    ("smapskit record --pages -o pages.npz PID", "which pages are in memory"),
)


def run(words: Sequence[str]) -> int:
    """Record a process, or a command from its start, until it ends."""
    options = build_parser().parse_args(_without_command(words))
    command = list(words[len(_without_command(words)) + 1 :])
    pid = None if options.pid is None else pid_of(options.pid)
    if (pid is None) == (not command):
        expected = "expected either one PID or -- and a COMMAND"
        if options.pid is not None and pid is None:
            advice = advice_for(options.pid, "smapskit record -o FILE")
            expected = f"{expected}, got {options.pid}{advice}"
        print_error(SmapskitError(expected))
        return FAILURE
    problem = _check_pages(options)
    if problem:
        print_error(SmapskitError(problem))
        return FAILURE
    if pid is not None and not options.yes and not _accepts_cost(pid):
        return FAILURE
    record = _record_pages if options.pages else _record_sums
    try:
        return record(options, pid, command)
    except (SmapskitError, OSError, ValueError, ImportError) as error:
        if isinstance(error, FileExistsError) and not options.force:
            error.add_note("--force replaces it")
        print_error(error)
        return exit_status(error)


def _accepts_cost(pid: int) -> bool:
    """Ask whether to read a process that would be stopped for long; True where it would not."""
    try:
        rss = process.read_status(pid, procfs.PROC).get("rss", 0)
    except (SmapskitError, OSError):
        return True  # reported by the first read
    estimate = recording.estimate_seconds(rss)
    if estimate <= _MAX_SECONDS_WITHOUT_YES:
        return True
    message = (
        f"process {pid} has {rss:,} kB in memory: a read takes about {estimate:.1f} s, for which "
        "it is stopped when it maps memory"
    )
    if not sys.stdin.isatty():
        print_message(f"{message}; --yes reads it")
        return False
    print_message(message)
    sys.stderr.write("Read it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _check_pages(options: argparse.Namespace) -> str | None:
    """Return what is wrong with the options for pages."""
    is_npz = options.output.endswith(_SUFFIX_OF_PAGES)
    if options.pages and (not is_npz or options.by):
        return f"--pages requires a FILE that ends in {_SUFFIX_OF_PAGES}, without --by"
    if options.pages and (options.budget or options.when):
        return "--budget and --when are not possible with --pages"
    if options.snapshot and not options.when:
        return "--snapshot requires --when"
    if not options.pages and (is_npz or options.mapping is not None):
        return f"a FILE that ends in {_SUFFIX_OF_PAGES} and --mapping require --pages"
    return None


def _record_pages(options: argparse.Namespace, pid: int | None, command: Sequence[str]) -> int:
    from smapskit.sources.pages import sampling  # noqa: PLC0415  loads NumPy

    samples = 0

    def count(_sample: sampling.PageSample) -> None:
        nonlocal samples
        samples += 1

    with _child(command) as child, _ending_on_sigterm():
        try:
            sampling.record_pages(
                child.pid if child is not None else pid or 0,
                options.mapping,
                options.interval,
                options.duration,
                require_mapping=child is None,
                path=options.output,
                overwrite=options.force,
                on_sample=count,
            )
        except KeyboardInterrupt:
            if not samples:
                raise
        status = None if child is None else child.poll()
    print_message(f"{samples} samples; in {options.output}")
    return _exit_status(status)


def _record_sums(options: argparse.Namespace, pid: int | None, command: Sequence[str]) -> int:
    counts = _Counts()
    # Opened first: an error in opening the file is reported before a command starts.
    with (
        recording.Output(options.output, overwrite=options.force) as output,
        _child(command) as child,
        _progress(output, counts) as show,
    ):
        pid = child.pid if child is not None else pid or 0
        watch = recording.Watch.of(
            options.when,
            pid,
            options.snapshot,
            options.output,
            overwrite=options.force,
            budget=options.budget,
        )
        try:
            recording.record_to(
                output,
                pid,
                options.interval,
                options.duration,
                by=options.by,
                on_sample=show,
                budget=options.budget,
                watch=watch,
            )
        except KeyboardInterrupt:
            if not counts.samples or not output.is_complete:
                raise
        status = None if child is None else child.poll()
    if watch is not None:
        print_message(watch.marker or f"{watch.condition} did not hold: no snapshot was saved")
    print_message(f"{counts}; in {options.output}")
    return _exit_status(status)


class _Counts:
    """The number of samples and the time spent reading; samples are not kept in memory."""

    def __init__(self) -> None:
        self.samples = 0
        self.seconds = 0.0
        self.read_seconds = 0.0

    def add(self, rows: Sequence[recording.Sample]) -> None:
        """Count the rows of one sample, without markers."""
        samples = [row for row in rows if not row.marker]
        if samples:
            self.samples += 1
            self.seconds = max(self.seconds, samples[0].seconds)
            self.read_seconds += samples[0].read_seconds

    def __str__(self) -> str:
        share = self.read_seconds / self.seconds if self.seconds else 0
        cost = f", {share:.1%} of the time spent reading" if share else ""
        return f"{self.samples} samples in {self.seconds:.1f} s{cost}"


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the options."""
    parser = Parser(
        prog="smapskit record",
        usage="smapskit record [options] -o FILE PID\n"
        "       smapskit record [options] -o FILE -- COMMAND ...",
        examples=_EXAMPLES,
        statuses={0: "success; with COMMAND, that of COMMAND", **_ERRORS},
        description="Sample a process at fixed intervals until it ends or Ctrl-C, and write the "
        "sums over its mappings to a file, which is flushed after each sample.",
    )
    parser.add_argument(
        "pid", metavar="PID", nargs="?", type=operand, help="by number or as /proc/PID"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="CSV; Parquet if it ends in .parquet; npz with --pages",
    )
    parser.add_argument(
        "-i",
        "--interval",
        type=seconds,
        default=1.0,
        metavar="SECONDS",
        help="time from the start of one sample to the start of the next (default: 1)",
    )
    parser.add_argument(
        "-t", "--duration", type=seconds, metavar="SECONDS", help="stop after this time"
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing FILE")
    parser.add_argument(
        "--by",
        choices=(*get_args(GroupName), "mapping"),
        help="one row per group and sample. mapping: one row per mapping; backing: where the pages "
        "come from; kind: whose memory it is (heap, thread stack, code, ...)",
    )
    parser.add_argument(
        "--budget",
        type=share,
        metavar="PART",
        help="at most this part of the time goes into reading, such as 1%% or 0.01: samples in "
        "between are read from /proc/PID/status; with --by there are fewer samples",
    )
    parser.add_argument(
        "--when",
        type=_condition,
        metavar="CONDITION",
        help="save one snapshot when a condition first holds, such as 'rss > 80%% of limit' (of "
        "the memory cgroup) or 'anon > 2GiB'; values: rss, pss, uss, swap, anon",
    )
    parser.add_argument(
        "--snapshot",
        metavar="FILE",
        help="of --when: the text of smaps (default: FILE of -o with the suffix .smaps)",
    )
    parser.add_argument(
        "-y",
        "--yes",
        action="store_true",
        help="read a process for which one read is estimated to take more than a second",
    )
    parser.add_argument(
        "--pages",
        action="store_true",
        help="record which pages are in memory in place of sums; FILE must end in .npz, and is "
        "written at the end",
    )
    parser.add_argument(
        "--mapping",
        metavar="NAME",
        help="with --pages: only mappings with this pathname or last component",
    )
    return parser


def _exit_status(returncode: int | None) -> int:
    """Return the exit status of the command, as a shell does: 128 and the signal that ended it."""
    return 0 if returncode is None else 128 - returncode if returncode < 0 else returncode


def _condition(text: str) -> Condition:
    try:
        return Condition.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _without_command(words: Sequence[str]) -> list[str]:
    return list(words[: words.index("--")]) if "--" in words else list(words)


@contextmanager
def _child(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes] | None]:
    """Start the command; terminate it if it outlives the recording."""
    if not command:
        yield None
        return
    with subprocess.Popen(command) as child:  # noqa: S603  the user's own command
        try:
            yield child
        finally:
            with suppress(subprocess.TimeoutExpired):
                child.wait(0.2)
            if child.poll() is None:
                child.terminate()


@contextmanager
def _progress(
    output: recording.Output, counts: _Counts
) -> Iterator[Callable[[Sequence[recording.Sample]], object]]:
    """
    Count samples, and show count, time, RSS and file size on a terminal.

    SIGTERM ends the recording like Ctrl-C.
    """
    with _ending_on_sigterm():
        if not sys.stderr.isatty():
            yield counts.add
            return
        try:
            from tqdm import tqdm  # noqa: PLC0415  an extra
        except ImportError:
            print_message("a progress line requires tqdm: pip install '.[progress]' in a checkout")
            yield counts.add
            return
        with tqdm(unit=" samples", bar_format="{n_fmt}{unit} {elapsed} {postfix}") as bar:

            def show(rows: Sequence[recording.Sample]) -> None:
                counts.add(rows)
                rss = sum(row.totals.rss or 0 for row in rows)
                bar.set_postfix_str(f"RSS {rss:,} kB, file {output.size:,} bytes", refresh=False)
                bar.update()

            yield show


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end a recording like Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
