"""
The command line: one module per command.

Only what a command needs is imported: neither pandas nor NumPy for a table.
"""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence

from smapskit.cli.commands import COMMANDS


def run() -> None:
    """
    Run as a program.

    A closed pipe and Ctrl-C end the program by their signals, without a message, like pmap. An
    error in writing to standard output is printed as one line on standard error.
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
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # before an import that takes time
        notes = getattr(error, "__notes__", ())
        if notes:
            from smapskit.cli import common  # noqa: PLC0415

            common.print_error(KeyboardInterrupt(f"interrupted; {'; '.join(notes)}"))
        signal.raise_signal(signal.SIGINT)
    except OSError as error:
        from smapskit.cli import common  # noqa: PLC0415

        # Commands report read errors themselves; a write error has no file name.
        error.filename = error.filename or "standard output"
        common.print_error(error)
        common.discard(sys.stdout)
        status = common.FAILURE
    sys.exit(status)  # type: ignore[arg-type]


def _open_closed_streams() -> None:
    """
    Open /dev/null for each standard stream that is closed.

    Otherwise the next file that is opened would get its descriptor. As with closed streams,
    reading standard input and writing standard output are errors.
    """
    if sys.stdin is None:
        sys.stdin = open(os.open(os.devnull, os.O_WRONLY))  # noqa: PTH123, SIM115
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: PTH123, SIM115
    if sys.stderr is None:
        sys.stderr = open(os.open(os.devnull, os.O_RDWR), "w")  # noqa: PTH123, SIM115


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command that the arguments name.

    Args:
        arguments: None for those of the program.

    Returns:
        The exit status.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and (words[0] in COMMANDS or words[0] == "--completion"):
        command = importlib.import_module(f"smapskit.cli.{words[0].removeprefix('--')}")
        return int(command.run(words[1:]))
    from smapskit.cli import fast_table  # noqa: PLC0415

    done = fast_table.run(words)
    if done is not None:
        return done
    if "--all" in words:
        from smapskit.cli import system  # noqa: PLC0415

        return system.run(words)
    from smapskit.cli import show  # noqa: PLC0415

    return show.run(words)
