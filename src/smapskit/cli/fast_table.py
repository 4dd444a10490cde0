"""
Print the tables of live processes without option parser and records.

Most calls print such a table, and for a small process nearly all of the time is spent importing
modules: a call takes 38 ms of CPU time instead of 113. Everything else is printed by `show` and
`system`, which also report errors.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from smapskit.errors import ProcessNotFound, SmapskitError
from smapskit.model.sums import add_sums
from smapskit.sources import scan
from smapskit.sources.processes import Progress

if TYPE_CHECKING:
    from smapskit.formats.pmap.dialects import LayoutName

_LAYOUT_OF_LETTER: Final[dict[str, LayoutName]] = {"x": "extended", "X": "X", "d": "device"}
_LETTERS: Final = frozenset("xXdqp")
_PID_DIGITS: Final = 10
_MAX_PID: Final = 2**31 - 1


class _Request(NamedTuple):
    """What the arguments ask for."""

    pids: list[int]
    options: list[str]
    """The arguments that are not pids."""
    letters: str
    """All options of one letter, in order."""
    layouts: list[LayoutName]
    by: str | None
    is_all: bool


def run(words: Sequence[str]) -> int | None:
    """Print the tables and return the exit status, or None if others must handle the arguments."""
    request = _parse(words)
    if request is None:
        return None
    if request.is_all:
        return _print_system(request.by)
    status = 0
    for pid in request.pids:
        try:
            text = _table(pid, request)
        except ProcessNotFound as error:
            from smapskit.cli.common import exit_status, print_error  # noqa: PLC0415

            print_error(error)
            status |= exit_status(error)
            continue
        if text is None:
            from smapskit.cli import show  # noqa: PLC0415  slow to import

            status |= show.run([*request.options, str(pid)])
        else:
            sys.stdout.write(text)
    sys.stdout.flush()
    return status


def _parse(words: Sequence[str]) -> _Request | None:
    """Return None for arguments that are not known here."""
    request = _Request([], [], "", [], None, is_all=False)
    rest = iter(words)
    for word in rest:
        if word.isascii() and word.isdigit() and len(word) <= _PID_DIGITS:
            request.pids.append(int(word))
            continue
        request.options.append(word)
        if word == "--all":
            request = request._replace(is_all=True)
        elif word == "--short":
            request.layouts.append("short")
        elif word == "--by":
            by = next(rest, "")
            request.options.append(by)
            request = request._replace(by=by)
        elif len(word) > 1 and word[0] == "-" and _LETTERS.issuperset(word[1:]):
            request = request._replace(letters=request.letters + word[1:])
            request.layouts.extend(
                _LAYOUT_OF_LETTER[letter] for letter in word[1:] if letter in _LAYOUT_OF_LETTER
            )
        else:
            return None
    return request if _is_known(request) else None


def _is_known(request: _Request) -> bool:
    has_layout = bool(request.letters or request.layouts)
    if request.by is not None and (has_layout or request.by not in scan.GROUPS):
        return False
    if request.is_all:
        return not has_layout and not request.pids
    # The columns of -X become wider from one process to the next: `show` remembers the widths.
    has_one_width = "X" not in request.letters or len(request.pids) == 1
    return bool(request.pids) and has_one_width and max(request.pids) <= _MAX_PID


def _table(pid: int, request: _Request) -> str | None:
    """Return the table of a process; None if `show` must print it or report an error."""
    make = partial(_groups, by=request.by) if request.by else partial(_mappings, request=request)
    try:
        return make(pid)
    except (SmapskitError, OSError) as error:
        if isinstance(error, ProcessNotFound):
            raise
        return None


def _groups(pid: int, by: str) -> str | None:
    """Return the command line of a process, cut on a terminal, and the table of its groups."""
    read = scan.SumScanner(by).read(pid)
    if read is None:
        return None
    command, groups = read
    if not groups:  # `show` reports the reason
        return None
    from smapskit.cli.terminal import terminal_style  # noqa: PLC0415  only for these tables
    from smapskit.formats.pmap.table import process_line  # noqa: PLC0415
    from smapskit.views.tables import format_groups  # noqa: PLC0415

    style = terminal_style()
    first = style.name(process_line(pid, command), 0)
    total = add_sums(groups.values())
    return f"{first}\n{format_groups(groups, total, by, style)}"


def _mappings(pid: int, request: _Request) -> str | None:
    """Return the command line of a process and the table of its mappings."""
    from smapskit.cli.fast_layouts import read_layout  # noqa: PLC0415  not for sums
    from smapskit.formats.pmap.dialects import chosen_layout  # noqa: PLC0415
    from smapskit.formats.pmap.table import process_line  # noqa: PLC0415

    made = read_layout(
        pid,
        chosen_layout(request.layouts),
        quiet="q" in request.letters,
        show_path="p" in request.letters,
    )
    if made is None:
        return None
    command, text = made
    return f"{process_line(pid, command)}\n{text}"


def _print_system(by: str | None) -> int | None:
    """Print the table of all processes; None if `system` must report an error."""
    from smapskit.cli.terminal import terminal_style  # noqa: PLC0415  only for these tables
    from smapskit.views import tables  # noqa: PLC0415

    try:
        with _progress() as progress:
            usage = scan.read_system_sums(by, progress=progress)
    except (SmapskitError, OSError):
        return None
    style = terminal_style()
    if by is None:
        text = tables.format_processes(usage.processes, style=style)
    else:
        text = tables.format_system_groups(usage.groups, by, style=style)
    sys.stdout.write(text)
    sys.stdout.flush()
    if usage.unreadable:
        from smapskit.cli.common import print_unreadable  # noqa: PLC0415  slow to import

        print_unreadable(usage.unreadable)
    return 0


def _progress() -> AbstractContextManager[Progress | None]:
    if not sys.stderr.isatty():
        return nullcontext()
    from smapskit.cli.common import show_progress  # noqa: PLC0415  slow to import

    return show_progress()
