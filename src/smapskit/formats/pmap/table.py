"""
The short, the extended and the device table, from rows that are no records.

Nothing here needs a record's class, so that the command line can print a table before it
could have loaded one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from smapskit.formats.pmap.dialects import Dialect
from smapskit.model.backing import PMAP_ANON, PMAP_SHM, PMAP_STACK
from smapskit.text import sanitize

UNKNOWN: Final = "-"
_SYSV = re.compile(r"/SYSV[0-9a-f]{8}")
# Names that the kernel gives without a path: pmap has one word for all of them.
_PATHLESS = re.compile(r"\[.*\]|(?:anon_inode|socket|pipe|dmabuf):.*|", re.DOTALL)


def plain_table(rows: Sequence[tuple[Any, ...]], dialect: Dialect, *, quiet: bool) -> Iterator[str]:
    """
    The lines of a table.

    Args:
        rows: what stands in the dialect's columns, in order.
        dialect: one that is written.
        quiet: no header and no footer.
    """
    if dialect.header and not quiet:
        yield dialect.header
    yield from map(dialect.row.__mod__, rows)
    if quiet:
        return
    if dialect.rule:
        yield dialect.rule
    columns = dict(zip(dialect.columns, zip(*rows, strict=True), strict=False))
    sums = {what: _sum(columns.get(what, ())) for what in dialect.figures}
    modes = [*zip(columns.get("mode", ()), columns.get("size", ()), strict=True)]
    yield dialect.total.format_map(
        sums
        | {
            "writable_private": sum(size for mode, size in modes if mode[1] + mode[3] == "w-"),
            "shared": sum(size for mode, size in modes if mode[3] == "s"),
        }
    )


def process_line(pid: int, command: str | None) -> str:
    """The line that names the process."""
    return f"{pid}:   {sanitize(command or '')}"


def mode_of(perms: str) -> str:
    """The kernel's four characters as pmap's five."""
    return f"{perms[:3]}{'s' if perms[3] == 's' else '-'}-"


def name_of(name: str, device_major: int | None, inode: int | None, *, show_path: bool) -> str:
    """A mapping's name as pmap prints it, safe for a terminal; None is for what is not known."""
    return sanitize(_name_of(name, device_major, inode, show_path=show_path))


def _name_of(name: str, device_major: int | None, inode: int | None, *, show_path: bool) -> str:
    if name in (PMAP_ANON, PMAP_STACK) or name.startswith(PMAP_SHM):
        return f"  {name}"  # read from a pmap text
    if device_major == 0 and _SYSV.match(name):
        # SLES's pmap shows no inode, which is the shmid.
        return name if inode is None else f"  [ shmid=0x{inode:x} ]"
    slash = name.rfind("/")
    if slash >= 0:
        return name[name.find("/") :] if show_path else name[slash + 1 :] or "/"
    if name == "[stack]":
        return f"  {PMAP_STACK}"
    # In a pmap text, which knows no inode, a name without a slash is a file's.
    return name if inode is None or not _PATHLESS.fullmatch(name) else f"  {PMAP_ANON}"


def _sum(figures: Iterable[int | str]) -> int | str:
    """The sum; unknown where all figures are, 0 where there are none."""
    kept = list(figures)
    known = [figure for figure in kept if isinstance(figure, int)]
    return sum(known) if known or not kept else UNKNOWN
