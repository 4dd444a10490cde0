"""
The command line: arguments in, tables out, errors to exit statuses.

It loads what the command asks for and nothing else: neither pandas nor NumPy for a table.
"""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Sequence


def run() -> None:
    """Run as a program: a closed pipe ends it quietly, as it does pmap."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())


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
