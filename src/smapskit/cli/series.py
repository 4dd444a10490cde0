"""The commands `record` and `plot`: a process over time, kept and drawn."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from smapskit import outfile, recording
from smapskit.cli.common import (
    FAILURE,
    Parser,
    complain,
    operand,
    pid_of,
    print_line,
    seconds,
    status_of,
)
from smapskit.errors import SmapskitError

_PICTURES = (".png", ".svg", ".pdf")


def run_record(words: Sequence[str]) -> int:
    """Record a process, or a command from its start, until it ends."""
    options = record_parser().parse_args(_without_command(words))
    command = list(words[len(_without_command(words)) + 1 :])
    pid = None if options.pid is None else pid_of(options.pid)
    if (pid is None) == (not command):
        complain(SmapskitError("expected either one PID or -- and a COMMAND"))
        return FAILURE
    counts = _Counts()
    try:
        # Opened first: a file that can't be written is told before anything runs.
        with (
            recording.Output(options.output, overwrite=options.force) as output,
            _child(command) as child,
            _progress(output, counts) as show,
        ):
            recording.record_to(
                output,
                child.pid if child is not None else pid or 0,
                options.interval,
                options.duration,
                by=options.by,
                each=show,
            )
            status = None if child is None else child.poll()
    except (SmapskitError, OSError, ValueError, ImportError) as error:
        if isinstance(error, FileExistsError) and not options.force:
            error.add_note("--force replaces it")
        complain(error)
        return status_of(error)
    print_line(f"{counts}; in {options.output}")
    return status or 0


class _Counts:
    """What a recording came to so far: nothing else of it is kept in memory."""

    def __init__(self) -> None:
        self.samples = 0
        self.seconds = 0.0
        self.reading = 0.0

    def add(self, rows: Sequence[recording.Row]) -> None:
        """Count the rows of one moment, markers aside."""
        samples = [row for row in rows if not row.event]
        if samples:
            self.samples += 1
            self.seconds = max(self.seconds, samples[0].seconds)
            self.reading += samples[0].reading

    def __str__(self) -> str:
        share = self.reading / self.seconds if self.seconds else 0
        cost = f", {share:.1%} of the time spent reading" if share else ""
        return f"{self.samples} samples in {self.seconds:.1f} s{cost}"


def run_plot(words: Sequence[str]) -> int:
    """Draw a recording."""
    parser = plot_parser()
    options = parser.parse_args(words)
    if options.output is not None and Path(options.output).suffix not in _PICTURES:
        parser.error(f"expected a picture that ends in {', '.join(_PICTURES)}")
    try:
        figure = recording.Recording.load(options.file).plot()
        picture = Path(options.output or Path(options.file).with_suffix(".png"))
        with outfile.replacing(picture) as file:
            figure.savefig(file, format=picture.suffix[1:], dpi=150)
    except (SmapskitError, OSError, ImportError) as error:
        complain(error)
        return FAILURE
    return 0


def plot_parser() -> argparse.ArgumentParser:
    """The options of plot."""
    parser = Parser(
        prog="smapskit plot",
        usage="python -m smapskit plot FILE [-o PICTURE]",
        description="Draw a recording: RSS, the RSS of shared mappings, anonymous memory.",
    )
    parser.add_argument("file", metavar="FILE", help="what record wrote, CSV or Parquet")
    parser.add_argument(
        "-o", "--output", metavar="PICTURE", help="png, svg or pdf (FILE with .png by default)"
    )
    return parser


def record_parser() -> argparse.ArgumentParser:
    """The options of record."""
    parser = Parser(
        prog="smapskit record",
        usage="python -m smapskit record [options] -o FILE PID\n"
        "       python -m smapskit record [options] -o FILE -- COMMAND ...",
        description="Sample a process at steady intervals until it ends or Ctrl-C, and keep "
        "the sums over its mappings, each sample flushed.",
    )
    parser.add_argument(
        "pid", metavar="PID", nargs="?", type=operand, help="by number or as /proc/PID"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="CSV; Parquet if it ends in .parquet"
    )
    parser.add_argument(
        "-i",
        "--interval",
        type=seconds,
        default=1.0,
        metavar="SECONDS",
        help="from one sample to the next (1)",
    )
    parser.add_argument(
        "-t", "--duration", type=seconds, metavar="SECONDS", help="stop after so long"
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing FILE")
    parser.add_argument(
        "--by",
        choices=("backing", "sharing", "perms", "pathname", "mapping"),
        help="a row a group and sample; mapping: a row for each",
    )
    return parser


def _without_command(words: Sequence[str]) -> list[str]:
    return list(words[: words.index("--")]) if "--" in words else list(words)


@contextmanager
def _child(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes] | None]:
    """The command, started; ended by its pid if it outlives the recording."""
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
) -> Iterator[Callable[[Sequence[recording.Row]], object]]:
    """
    Count samples, and show count, time, RSS and file size on a terminal.

    SIGTERM ends the recording like Ctrl-C.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not sys.stderr.isatty():
            yield counts.add
            return
        try:
            from tqdm import tqdm  # noqa: PLC0415  an extra
        except ImportError:
            print_line("a progress line requires tqdm: pip install '.[progress]' in a checkout")
            yield counts.add
            return
        with tqdm(unit=" samples", bar_format="{n_fmt}{unit} {elapsed} {postfix}") as bar:

            def show(rows: Sequence[recording.Row]) -> None:
                counts.add(rows)
                rss = sum(row.totals.rss or 0 for row in rows)
                bar.set_postfix_str(f"RSS {rss:,} kB, file {output.size:,} bytes", refresh=False)
                bar.update()

            yield show
    finally:
        signal.signal(signal.SIGTERM, before)
