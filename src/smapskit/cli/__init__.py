"""
The command line: arguments in, tables out, errors to exit statuses.

It loads what the command asks for and nothing else: neither pandas nor NumPy for a table.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Sequence


def run() -> None:
    """
    Run as a program.

    A closed pipe and Ctrl-C end it by their signals, without a message, as they do pmap. What
    cannot be written to standard output is one line on standard error.
    """
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _open_closed_streams()
    status: object = None
    try:
        try:
            status = main()
        except SystemExit as end:
            status = end.code
        sys.stdout.flush()
    except KeyboardInterrupt as error:
        from smapskit.cli import common  # noqa: PLC0415

        for note in getattr(error, "__notes__", ()):
            common.complain(KeyboardInterrupt(f"interrupted; {note}"))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    except OSError as error:
        from smapskit.cli import common  # noqa: PLC0415

        # The commands report what they cannot read; a write has no file name.
        error.filename = error.filename or "standard output"
        common.complain(error)
        common.discard(sys.stdout)
        status = common.FAILURE
    sys.exit(status)  # type: ignore[arg-type]


def _open_closed_streams() -> None:
    """
    Open /dev/null for each standard stream that is closed.

    Otherwise the next file to be opened would get its descriptor. Standard input cannot be
    read then and standard output cannot be written, as if they were closed.
    """
    if sys.stdin is None:
        sys.stdin = open(os.open(os.devnull, os.O_WRONLY))  # noqa: PTH123, SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.open(os.devnull, os.O_RDWR), "w")  # noqa: PTH123, SIM115


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Do what the arguments ask for (those of the program where None), and print it.

    Returns:
        The exit status.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    words = sys.argv[1:] if arguments is None else list(arguments)
    match words[:1]:
        case ["diff"]:
            from smapskit.cli import diff as difference  # noqa: PLC0415

            return difference.run(words[1:])
        case ["record"]:
            from smapskit.cli import record as series  # noqa: PLC0415

            return series.run_record(words[1:])
        case ["plot"]:
            from smapskit.cli import record as series  # noqa: PLC0415

            return series.run_plot(words[1:])
        case ["--completion"]:
            from smapskit.cli import completion  # noqa: PLC0415

            return completion.run(words[1:])
    if "--all" in words:
        from smapskit.cli import system as machine  # noqa: PLC0415

        return machine.run(words)
    from smapskit.cli import fast_table as quick  # noqa: PLC0415

    status = quick.run(words)
    if status is not None:
        return status
    from smapskit.cli import show  # noqa: PLC0415

    return show.run(words)
