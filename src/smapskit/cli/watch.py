"""The command `watch`: show how the memory of a process changes, live or from a recording."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, get_args

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
from smapskit.model.totals import GroupName
from smapskit.sources.recording import Recording, is_recording
from smapskit.watch.feed import DEFAULT_BUDGET, LiveFeed, Replay
from smapskit.watch.lines import format_line
from smapskit.watch.samples import WatchSample
from smapskit.watch.session import Session

if TYPE_CHECKING:
    from smapskit.watch.screen import WatchApp

_EXAMPLES = (
    ("smapskit watch PID", "the screen; ? lists its keys"),
    ("smapskit watch --by mapping PID", "which mappings grow"),
    ("smapskit watch --budget 1% PID", "read a large process less often"),
    ("smapskit watch run.csv", "replay a recording on the same screen"),
    ("smapskit watch -t 60 PID | tee log", "one line per sample"),
)


def run(words: Sequence[str]) -> int:
    """Watch a process until it ends, or replay a recording."""
    parser = build_parser()
    options = parser.parse_args(words)
    pid = pid_of(options.subject)
    try:
        if pid is None:
            return _watch_recording(options)
        return _watch_process(options, pid)
    except (SmapskitError, OSError, ValueError) as error:
        print_error(error)
        return exit_status(error)


def _watch_process(options: argparse.Namespace, pid: int) -> int:
    is_screen = _has_terminal()
    if is_screen and not _has_textual():
        return FAILURE
    feed = LiveFeed(pid, options.interval, options.duration, options.budget or DEFAULT_BUDGET)
    by = options.by or "kind"
    samples = feed.samples()
    first = next(samples)
    if not is_screen:
        with closing(samples):
            _print_lines(first, samples, by)
        print_message(feed.end)
        return 0
    from smapskit.watch import actions, screen  # noqa: PLC0415  loads textual

    return _run_screen(
        screen.WatchApp(
            str(pid),
            first,
            by,
            lambda sample: actions.explain_sample(sample, pid),
            lambda sample: actions.save(sample, pid, Path()),
            live=(feed, samples),
        )
    )


def _watch_recording(options: argparse.Namespace) -> int:
    path = options.subject
    for name in ("by", "budget", "duration"):
        if getattr(options, name) is not None:
            raise SmapskitError(f"expected --{name} only with a PID, not with a recording")
    if not os.path.exists(path):  # noqa: PTH110  the words of a path object differ
        advice = advice_for(path, "smapskit watch")
        raise SmapskitError(f"neither a PID nor a file: {path}{advice}")
    if not is_recording(path):
        raise SmapskitError(f"{path} is not a recording: expected a PID or a file of record")
    if (is_screen := _has_terminal()) and not _has_textual():
        return FAILURE
    recording = Recording.load(path)
    replay = Replay(recording)
    by = recording.by or "mappings"
    if not is_screen:
        _print_lines(replay.samples[0], iter(replay.samples[1:]), by)
        return 0
    from smapskit.watch import actions, screen  # noqa: PLC0415

    return _run_screen(
        screen.WatchApp(
            path,
            replay.samples[0],
            by,
            lambda _sample: actions.explain_recording(recording, path),
            lambda sample: actions.save(sample, recording.pid or 0, Path()),
            replay=replay,
        )
    )


def _print_lines(first: WatchSample, rest: Iterator[WatchSample], by: str) -> None:
    session = Session()
    for sample in chain((first,), rest):
        session.add(sample)
        print(format_line(session, by), flush=True)


def _has_terminal() -> bool:
    """Return whether there is a terminal that can show the screen."""
    is_capable = os.environ.get("TERM", "dumb") not in ("", "dumb")
    # textual draws on standard error.
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return is_capable and all(stream.isatty() for stream in streams)


def _has_textual() -> bool:
    """Return whether the screen can be shown; print what to do if not."""
    if importlib.util.find_spec("textual") is not None:
        return True
    print_error(
        SmapskitError(
            "the screen of watch requires textual: pip install 'smapskit[watch]'; without it, one "
            "line per sample is printed to a pipe: smapskit watch ... | cat"
        )
    )
    return False


def _run_screen(app: WatchApp) -> int:
    app.run()
    return app.return_code or 0


def build_parser() -> Parser:
    """Build the parser of the options."""
    parser = Parser(
        prog="smapskit watch",
        usage="smapskit watch [options] PID|RECORDING",
        description="Show RSS, PSS and swap of a process over time, and which kinds of memory or "
        "mappings grow: since the start, or since a mark. A file that record wrote is "
        "replayed. If standard output is not a terminal, print one line per sample.",
        examples=_EXAMPLES,
        statuses=STATUSES_OF_PIDS,
    )
    parser.add_argument(
        "subject", metavar="PID|RECORDING", type=operand, help="a process, or a file of record"
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
        "-t", "--duration", type=seconds, metavar="SECONDS", help="stop reading after this time"
    )
    parser.add_argument(
        "--by",
        choices=(*get_args(GroupName), "mapping"),
        help="what to show the growth of (default: kind); on the screen, b changes it",
    )
    parser.add_argument(
        "--budget",
        type=share,
        metavar="PART",
        help="at most this part of the time goes into reading, such as 1%% or 0.01 (default: "
        f"{DEFAULT_BUDGET:.0%}%); 100%% reads all mappings for each sample. Samples in between are "
        "read from /proc/PID/status, without PSS and mappings",
    )
    return parser
