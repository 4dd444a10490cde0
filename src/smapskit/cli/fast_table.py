"""
Print the table of pmap -x for live processes without option parser and records.

Most calls print this table, and for a small process nearly all of the time is spent importing
modules: a call takes 38 ms of CPU time instead of 113. Everything else is printed by `show`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from smapskit.errors import ProcessNotFound, SmapskitError
from smapskit.formats.pmap.dialects import DIALECT_OF_LAYOUT
from smapskit.formats.pmap.table import mode_of, name_of, plain_table, process_line
from smapskit.formats.smaps.chunks import split_between_records
from smapskit.formats.smaps.scan import FieldScanner
from smapskit.sources import procfs
from smapskit.text import decode

_OPTION_LETTERS = frozenset("xqp")
_PID_DIGITS = 10
_MAX_PID = 2**31 - 1
_FIELDS = ("Size", "Rss", "Shared_Dirty", "Private_Dirty")


def run(words: Sequence[str]) -> int | None:
    """Print the tables and return the exit status, or None if `show` must handle the arguments."""
    options = [word for word in words if word.startswith("-")]
    pids = [word for word in words if not word.startswith("-")]
    if (
        not pids
        or not all(len(word) > 1 and _OPTION_LETTERS.issuperset(word[1:]) for word in options)
        or not all(word.isascii() and word.isdigit() and len(word) <= _PID_DIGITS for word in pids)
        or max(map(int, pids)) > _MAX_PID
    ):
        return None
    letters = "".join(options)
    status = 0
    for word in pids:
        try:
            text = _table(int(word), quiet="q" in letters, show_path="p" in letters)
        except ProcessNotFound as error:
            from smapskit.cli.common import exit_status, print_error  # noqa: PLC0415

            print_error(error)
            status |= exit_status(error)
            continue
        if text is None:
            from smapskit.cli import show  # noqa: PLC0415  slow to import

            status |= show.run([*options, word])
        else:
            sys.stdout.write(text)
    sys.stdout.flush()
    return status


def _table(pid: int, *, quiet: bool, show_path: bool) -> str | None:
    """Return the table of a process; None if `show` must print it or report an error."""
    scanner = FieldScanner(_FIELDS)
    names: dict[tuple[bytes, ...], str] = {}
    rows: list[tuple[Any, ...]] = []
    text = procfs.ProcessText(pid, "smaps")
    try:
        for chunk in split_between_records(text):
            records = scanner.scan(chunk)
            if records is None:
                return None
            for start, _end, perms, _offset, device, inode, path, *values in records:
                key = (device, inode, path)
                if key not in names:
                    major = int(device.partition(b":")[0], 16)
                    names[key] = name_of(decode(path), major, int(inode), show_path=show_path)
                size, rss, shared, private = map(int, values)
                mode = mode_of(perms.decode())
                rows.append((int(start, 16), size, rss, shared + private, mode, names[key]))
        if not rows:  # `show` reports the reason
            return None
    except (SmapskitError, OSError) as error:
        if isinstance(error, ProcessNotFound) and not isinstance(error, procfs.ExecDuringRead):
            raise
        return None
    if not text.is_steady:
        return None
    lines = [process_line(pid, text.command)]
    lines += plain_table(rows, DIALECT_OF_LAYOUT["extended"], quiet=quiet)
    return "\n".join(lines) + "\n"
