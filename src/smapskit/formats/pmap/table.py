"""
Format the short, the extended and the device table from rows of values.

The rows are tuples, not records, so that the command line prints a table without importing attrs:
a start takes 38 ms of CPU time instead of 113.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from smapskit.formats.pmap.columns import MODE
from smapskit.formats.pmap.dialects import SHARED, WRITABLE_PRIVATE, Dialect
from smapskit.model.backing import PMAP_ANON, PMAP_STACK
from smapskit.text import sanitize

UNKNOWN: Final = "-"
_SYSV = re.compile(r"/SYSV[0-9a-f]{8}")
# Names of the kernel that are not paths: pmap prints the same word for all of them.
_PATHLESS = re.compile(r"\[.*\]|(?:anon_inode|socket|pipe|dmabuf):.*|", re.DOTALL)


def plain_table(rows: Sequence[tuple[Any, ...]], dialect: Dialect, *, quiet: bool) -> Iterator[str]:
    """
    Yield the lines of a table.

    Args:
        rows: the values of the dialect's columns, in order.
        dialect: one that has formats for writing.
        quiet: no header and no footer.
    """
    if dialect.header and not quiet:
        yield dialect.header
    yield from map(dialect.row.__mod__, rows)
    if quiet:
        return
    if dialect.separator:
        yield dialect.separator
    columns = dict(zip(dialect.columns, zip(*rows, strict=True), strict=False))
    sums = {counter: _sum(columns.get(counter, ())) for counter in dialect.counters}
    modes = [*zip(columns.get(MODE, ()), columns.get("size", ()), strict=True)]
    yield dialect.total.format_map(
        sums
        | {
            WRITABLE_PRIVATE: sum(size for mode, size in modes if mode[1] + mode[3] == "w-"),
            SHARED: sum(size for mode, size in modes if mode[3] == "s"),
        }
    )


def process_line(pid: int, command: str | None) -> str:
    """Return the line that names the process."""
    return f"{pid}:   {sanitize(command or '')}"


def mode_of(perms: str) -> str:
    """Return the kernel's four characters as the five of pmap."""
    return f"{perms[:3]}{'s' if perms[3] == 's' else '-'}-"


def name_of(name: str, device_major: int | None, inode: int | None, *, show_path: bool) -> str:
    """
    Return a mapping's name as pmap prints it, safe for a terminal.

    Args:
        name: from the kernel or from a pmap text.
        device_major: None where the source does not report it.
        inode: None where the source does not report it.
        show_path: print the whole path instead of its last part.
    """
    return sanitize(_name_of(name, device_major, inode, show_path=show_path))


def _name_of(name: str, device_major: int | None, inode: int | None, *, show_path: bool) -> str:
    if name.startswith("[ "):
        return f"  {name}"  # read from a pmap text
    if device_major == 0 and _SYSV.match(name):
        # The shmid is the inode, which the pmap of SLES does not print.
        return name if inode is None else f"  [ shmid=0x{inode:x} ]"
    slash = name.rfind("/")
    if slash >= 0:
        return name[name.find("/") :] if show_path else name[slash + 1 :] or "/"
    if name == "[stack]":
        return f"  {PMAP_STACK}"
    # A pmap text reports no inode; there a name without a slash is that of a file.
    return name if inode is None or not _PATHLESS.fullmatch(name) else f"  {PMAP_ANON}"


def _sum(column: Collection[int | str]) -> int | str:
    """Sum the known values of a column: unknown if all of them are, 0 if there are none."""
    known = [value for value in column if isinstance(value, int)]
    return sum(known) if known or not column else UNKNOWN
