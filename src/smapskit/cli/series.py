"""The commands `record` and `plot`: a process over time, kept and drawn."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from smapskit import recording
from smapskit.cli.common import FAILURE, Parser, complain, pid_of, status_of
from smapskit.errors import SmapskitError, shown

_PICTURES = (".png", ".svg", ".pdf")


def run_record(words: Sequence[str]) -> int:
    """Record a process, or a command from its start, until it ends."""
    options = record_parser().parse_args(_without_command(words))
    command = list(words[len(_without_command(words)) + 1 :])
    pid = None if options.pid is None else pid_of(options.pid)
    if (pid is None) == (not command):
        complain(SmapskitError("expected either one PID or -- and a COMMAND"))
        return FAILURE
    journal = recording.journal(Path(options.output))
    is_new = not journal.exists()
    try:
        # Made first: a file that can't be written is told before anything runs.
        journal.open("ab").close()
        with _child(command) as child, _progress(journal) as show:
            result = recording.record(
                child.pid if child is not None else pid or 0,
                options.interval,
                options.duration,
                by=options.by,
                path=options.output,
                each=show,
            )
            status = None if child is None else child.poll()
    except (SmapskitError, OSError, ValueError, ImportError) as error:
        if is_new and journal.is_file() and not journal.stat().st_size:
            journal.unlink()
        complain(error)
        return status_of(error)
    cost = sum(row.reading for row in result.samples)
    length = max((row.seconds for row in result.samples), default=0.0)
    share = f", {cost / length:.1%} of the time spent reading" if length else ""
    count = len(result.totals())
    print(
        f"smapskit: {count} samples in {length:.1f} s{share}; in {shown(options.output)}",
        file=sys.stderr,
    )
    return status or 0


def run_plot(words: Sequence[str]) -> int:
    """Draw a recording."""
    parser = plot_parser()
    options = parser.parse_args(words)
    picture = Path(options.output or Path(options.file).with_suffix(".png"))
    if picture.suffix not in _PICTURES:
        parser.error(f"expected a picture that ends in {', '.join(_PICTURES)}")
    new = picture.with_name(f"{picture.name}.new")
    try:
        figure = recording.Recording.load(options.file).plot()
        figure.savefig(new, format=picture.suffix[1:], dpi=150)
        new.replace(picture)
    except (SmapskitError, OSError, ImportError) as error:
        complain(error)
        return FAILURE
    finally:
        new.unlink(missing_ok=True)
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
    parser.add_argument("pid", metavar="PID", nargs="?", help="by number or as /proc/PID")
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="CSV; Parquet if it ends in .parquet"
    )
    parser.add_argument(
        "-i",
        "--interval",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="from one sample to the next (1)",
    )
    parser.add_argument(
        "-t", "--duration", type=float, metavar="SECONDS", help="stop after so long"
    )
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
def _progress(journal: Path) -> Iterator[Callable[[Sequence[recording.Row]], object] | None]:
    """A line on a terminal with count, time, RSS and the file's size; SIGTERM is as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if not sys.stderr.isatty():
            yield None
            return
        try:
            from tqdm import tqdm  # noqa: PLC0415  an extra
        except ImportError:
            print(
                "smapskit: a progress line requires tqdm: pip install '.[progress]' in a checkout",
                file=sys.stderr,
            )
            yield None
            return
        with tqdm(unit=" samples", bar_format="{n_fmt}{unit} {elapsed} {postfix}") as bar:

            def show(rows: Sequence[recording.Row]) -> None:
                rss = sum(row.totals.rss or 0 for row in rows)
                size = journal.stat().st_size if journal.exists() else 0
                bar.set_postfix_str(f"RSS {rss:,} kB, file {size:,} bytes", refresh=False)
                bar.update()

            yield show
    finally:
        signal.signal(signal.SIGTERM, before)
